"""The words of a report: what was run, what was found, how fine and how to read it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from eval.metrics import Metric, Protocol
from eval.report.findings import answer, listed
from eval.stats.intervals import FEWEST, UNITS
from eval.tables.results import Results
from eval.tables.table import Table, to_markdown
from tpsm.core.layout import Layout

Qualities = Mapping[str, Mapping[str, Any]]


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


def what_was_run(layout: Layout, results: Results, quality: Qualities) -> list[str]:
    manifest = layout.manifest()
    test = manifest.clips("test")
    frames, identities = sum(entry.frames for entry in test), {entry.identity for entry in test}
    missing = [results.label(run) for run in results.runs if run not in results.scored]
    released = [results.label(run) for run in results.scored if "released" in results.summary(run)]
    pretrained = [str(about["kind"]) for about in quality.values() if "pretrained" in about]
    trained = "Models" if pretrained and len(pretrained) == len(quality) else "Models and evaluators"
    unlike = f" (but for {listed(pretrained)}, pretrained)" if pretrained and trained != "Models" else ""
    parts = [
        f"{len(test)} test clips of {len(identities)} identities: {frames:,} frames of {manifest.size} x "
        f"{manifest.size} px. {trained} were trained on the {len(manifest.clips('train'))} training clips{unlike}. "
        + _overlap(layout),
        f"Scored: {', '.join(results.label(run) for run in results.scored)}.",
        *_schedules(results),
    ]
    if released:
        parts.append(
            f"With weights that the methods' authors released, and not trained here: {', '.join(released)}. These "
            "need not be the weights behind the papers' tables."
        )
    return [*parts, f"Not scored, so n/a below: {', '.join(missing)}."] if missing else parts


def _schedules(results: Results) -> list[str]:
    """How long the runs were trained, and from which seeds: numbers of minutes are read otherwise than of days."""
    known = [summary for run in results.scored if (summary := results.summary(run)).get("steps") is not None]
    if not known:
        return []
    steps, batches, seeds = (sorted({summary[key] for summary in known}) for key in ("steps", "batch", "seed"))
    trained = f"Trained for {_range(steps)} steps of {_range(batches)} pairs"
    if not results.seeds:
        return [f"{trained}, each run once, with the seed {_range(seeds)}."]
    several = listed([results.label(run) for run in results.seeds])
    return [
        f"{trained}; {several} from several seeds ({_range(seeds)}), all other runs from one. Tables, figures and "
        "animation show each method's first seed: what another changes is in the table of seeds, and a difference no "
        "larger than that, between ablations too, may be the seed's."
    ]


def _range(values: Sequence[int]) -> str:
    return f"{values[0]:,}" if len(values) == 1 else f"{values[0]:,} to {values[-1]:,}"


def _overlap(layout: Layout) -> str:
    """How many of the test identities training has seen, by the manifest."""
    train, test = ({entry.identity for entry in layout.manifest().clips(split)} for split in ("train", "test"))
    if shared := train & test:
        return f"{len(shared)} of {len(test)} test identities also occur in training."
    return "No test identity occurs in training."


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
        return f"On real test frames. {_overlap(layout)}\n\n" + _list(*lines)
    evaluators = results.config.evaluators
    configured = evaluators.landmarks is not None or evaluators.identity is not None
    return "Not measured: run the stage evaluators." if configured else "This data set has no evaluators."


def reading(results: Results) -> tuple[str, ...]:
    config, bootstrap = results.config, results.bootstrap
    published = (
        ()
        if config.published is None
        else (
            "Published numbers stand beside the legacy protocol, which is the papers'. They come from the papers' "
            "evaluators, and those marked ‡ from another data set: hold the order of the runs here against the order "
            "of the papers' methods, never one value against the other. Bold takes no account of them.",
        )
    )
    return (
        "Arrows say which way is better. Every table shows two controls: a copy of the source, which does not animate "
        "at all, and the real frames.",
        "L1, AKD and EPE show whether a run moves the figure. The copy is a real, sharp "
        "frame, which flatters it in MKR and AED.",
        "Strict means are over clips of each clip's mean; legacy ones over all frames, as the papers' program has it.",
        f"Intervals are of 95 %, over {UNITS[bootstrap.unit]}: the wider of Student's and the "
        f"bootstrap-t ({bootstrap.samples:,} resamples), Student's alone below {FEWEST}; simulated with 6, 14 and 30, "
        "they cover 93 to 97 %. They "
        f"speak of new test {UNITS[bootstrap.unit]}, not of another training seed. Two intervals may overlap and the "
        "runs still differ: paired differences decide, and set the bold.",
        "L1 rewards a still background and a blurred figure; AKD and EPE speak of motion, AED of identity. AKD is of "
        "the joints found in both frames: where MKR is high, it leaves out the hardest ones.",
        *published,
    )


LEGACY = (
    "What pose-evaluation, the program behind the papers' tables, would print of the same frames and evaluators: for "
    "comparison with the papers, and with nothing above. Animation across identities is not part of it."
)
PROTOCOL = (
    "Reconstruction: the first frame of a test clip is the source, and every frame drives. Strict means leave out "
    "frame 0, which repeats the source; legacy ones count it.",
    "Strict metrics read 8-bit frames rounded to the nearest level. Legacy ones read the same frames truncated, and "
    "legacy L1 is taken on floats where the frames are made.",
    "Frames in which evaluators find nothing are left out by both; the table of detection counts them.",
    "Animation: fixed pairs of test clips of different identities; the source is the first frame of one clip, the "
    "other clip drives. Its rows share clips, so its intervals are somewhat narrow.",
    "Evaluators without weights of their own are trained on this data set's training clips, with fixed seeds.",
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
