"""The words of a report: what was run, what was found, how fine and how to read it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from eval.metrics import Metric
from eval.report.facts import PROTOCOL, Qualities, overlap, reading, what_was_run
from eval.report.findings import answer, listed
from eval.tables.results import Results
from eval.tables.table import Table, to_markdown
from eval.types import Protocol
from tpsm.core.layout import Layout


def page(
    layout: Layout, results: Results, tables: Sequence[Table], pictures: Mapping[str, Path], quality: Qualities
) -> str:
    """README.md. `pictures` are captions and files; `quality` is quality.json."""
    parts = [f"# {layout.dataset}: unsupervised image animation", *what_was_run(layout, results, quality)]
    if answers := _answers(results):
        parts += ["## Which is best at what, and how sure", *answers]
    parts.append("## Tables")
    parts += _tables(tables, "strict")
    if legacy := _tables(tables, "legacy"):
        parts += ["## The same by the papers' program", LEGACY, *legacy]
    parts.append("The same tables as CSV (full precision) and LaTeX are in [tables/](tables).")
    if pictures:
        parts.append("## Figures")
        parts += [f"{caption}\n\n![{path.stem}](figures/{path.name})" for caption, path in pictures.items()]
    parts += ["## How fine each metric resolves", _resolution(layout, results, quality)]
    parts += ["## How to read this", _list(*reading(results))]
    parts += ["## Protocol", _list(*PROTOCOL), "## Formulas"]
    parts.append(_list(*(_formula(metric) for metric in results.metrics.values())))
    parts.append("Numbers: [metrics.json](metrics.json). What made them: [provenance.json](provenance.json).")
    return "\n\n".join(parts) + "\n"


def _tables(tables: Sequence[Table], protocol: Protocol) -> list[str]:
    return [to_markdown(table).rstrip() for table in tables if table.protocol == protocol]


def _answers(results: Results) -> list[str]:
    """What the page's answers say: of each question the headline; of the methods' own, by metric, the values too."""
    parts = []
    for question in answer(results):
        if question.protocol == "strict":
            parts.append(f"**{question.title}.** {question.headline}")
            if question.main:
                parts.append(_list(*(f"{f.metric}: {' '.join((f.sentence, *f.beside))}" for f in question.findings)))
    return parts


def _formula(metric: Metric) -> str:
    legacy = "" if metric.legacy is None else f" Legacy: {metric.legacy}."
    return f"**{metric.title}** ({metric.unit}; version {metric.version}): {metric.source}.{legacy}"


def _resolution(layout: Layout, results: Results, quality: Qualities) -> str:
    joints, identity = quality.get("landmarks"), quality.get("identity")
    lines = []
    if joints:
        lines += [
            f"Joint detector ({_named(joints)}): finds a joint in {_percent(joints['frames_found'])} of the frames, "
            f"and {_percent(joints['joints_found'])} of all joints.",
            f"AKD reads {_show(joints['noise_akd'])} px (MKR {_show(joints['noise_mkr'])}) when a frame gets noise of "
            f"one level in 255, and {_show(joints['shift_akd'])} px (MKR {_show(joints['shift_mkr'])}) when the frame "
            "moves by 2 px and 1 px and the joints are moved back. One frame's value says nothing finer. With the "
            f"joints left there it reads {_show(joints['moved_akd'])} px, where arithmetic says "
            f"{_show(joints['moved_akd_by_arithmetic'])} px.",
        ]
    if joints and joints["median_error_px"] is not None:
        lines += [
            f"Against the true joints: median error {_show(joints['median_error_px'])} px, mean "
            f"{_show(joints['mean_error_px'])} px; {_percent(joints['visible_found'])} of visible joints are found, "
            f"and {_percent(joints['hidden_found'])} of hidden ones, whose place the figure gives away.",
            f"AKD to truth reads {_show(joints['akd_truth_of_real_frames_px'])} px on the real frames: the detector's "
            "own share of that column.",
        ]
    if identity:
        lines += [
            f"Identity encoder ({_named(identity)}): reads {_percent(identity['frames_found'])} of the frames; the "
            "clip nearest to a test frame, its own left out, shows the same identity in "
            f"{_percent(identity['rank_1'])} of cases ({_percent(identity['rank_1_by_chance'])} by chance); AUC "
            f"{_show(identity['auc'])}.",
            f"AED reads {_show(identity['same_clip_aed'])} between moments of one clip, "
            f"{_show(identity['same_identity_distance'])} between clips of one identity, and "
            f"{_show(identity['other_identity_distance'])} between identities.",
        ]
    if lines:
        return f"On real test frames. {overlap(layout)}\n\n" + _list(*lines)
    evaluators = results.config.evaluators
    configured = evaluators.landmarks is not None or evaluators.identity is not None
    return "Not measured: run the stage evaluators." if configured else "This data set has no evaluators."


LEGACY = (
    "What pose-evaluation, the program behind the papers' tables, would print of the same frames and evaluators: for "
    "comparison with the papers, and with nothing above. Animation across identities is not part of it."
)


def _list(*lines: str) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _named(about: Mapping[str, Any]) -> str:
    """The kind; of a pretrained one, its files' names too."""
    used = about.get("pretrained")
    return str(about["kind"]) + (f", pretrained: {listed(list(used['weights']))}" if used else "")


def _show(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.3g}"


def _percent(value: float | None) -> str:
    return "n/a" if value is None else f"{100 * value:.1f} %"
