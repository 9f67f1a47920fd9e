"""`reports/<data set>/`: tables, figures, metrics.json, provenance.json and the README.md that ties them together.

What reports/index.html shows of the data set goes to `pages/<data set>/`.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from eval import figures
from eval.config import config_key, read_config
from eval.evaluators import ROLES
from eval.report.provenance import provenance, section
from eval.report.readme import page
from eval.tables.build import build_tables
from eval.tables.published import read_published
from eval.tables.results import Results
from eval.tables.table import Table, to_csv, to_latex, to_markdown
from eval.web.content import write_content
from tpsm.core.errors import UserError
from tpsm.core.files import write_text
from tpsm.core.layout import Layout

log = logging.getLogger(__name__)


def write_report(layout: Layout) -> Path:
    """Reports on whatever has been scored; what is missing says so in its cell.

    Raises:
        UserError: nothing has been scored, or an input is unreadable.
    """
    began = time.monotonic()
    results, tables = estimates(layout)
    drawn = numbers(results, tables)
    pictures = _figures(layout, results)  # these may fail, so nothing is taken away before
    kept = {layout.report / name for name in drawn} | set(pictures.values())
    for stale in (*(layout.report / "tables").glob("*.*"), *(layout.report / "figures").glob("*.png")):
        if stale not in kept:
            stale.unlink()
    for name, content in drawn.items():
        write_text(layout.report / name, content)
    quality = _quality(layout)
    made = provenance(layout, results, quality, began)
    write_text(layout.report / "provenance.json", _json(made))
    readme = layout.report / "README.md"
    measured: dict[str, dict[str, Any]] = {role: quality[role] for role in ROLES if role in quality}
    write_text(readme, page(layout, results, tables, pictures, measured) + section(made))
    write_content(layout, results, tables, pictures, measured, made)
    return readme


def estimates(layout: Layout) -> tuple[Results, list[Table]]:
    """What the scores say, and the tables of it.

    Raises:
        UserError: nothing has been scored, or an input is unreadable.
    """
    config = read_config(layout)
    published = (
        None if config.published is None else read_published(config.published, f"{config_key(layout)}.published")
    )
    results = Results(layout, config)
    if not results.scored:
        raise UserError(
            f"Nothing is scored for '{layout.dataset}'; run `python -m eval score --dataset {layout.dataset} --run "
            f"...` for the runs of {config_key(layout)}.tables first."
        )
    return results, build_tables(results, published)


def numbers(results: Results, tables: Sequence[Table]) -> dict[str, str]:
    """File -> content, of all that scores and configuration alone decide."""
    formats = {"md": to_markdown, "csv": to_csv, "tex": to_latex}
    written = {f"tables/{table.name}.{suffix}": write(table) for table in tables for suffix, write in formats.items()}
    return written | {"metrics.json": _json(results.as_dict())}


def _figures(layout: Layout, results: Results) -> dict[str, Path]:
    """Caption -> file, of the figures there is something to show in."""
    runs = [run for run in results.config.tables.reconstruction if run in results.scored]
    modes = dict.fromkeys(mode for run in results.config.tables.animation for mode in results.modes(run))
    measured = [m for m in results.metrics.values() if m.reconstruction and not m.detection]
    wanted = {
        "Reconstruction. Each block: frames of a real test clip, and what each run makes of its first frame and the "
        "motion of all.": figures.reconstruction(layout, results),
        **{
            f"Animation across identities, {mode} mode (the paper's Figure 6). Each block: the source, the driving "
            "frames, and each run's result.": figures.animation(layout, results, mode)
            for mode in modes
        },
        **{
            f"The worst frames by {metric.title}: of each run the worst clips, real beside generated, with the "
            "value.": figures.failures(layout, results, metric)
            for metric in measured
        },
        **{
            f"{results.label(run)} against {results.label(runs[-1])}: a dot a test clip, the worst numbered and named. "
            f"Below the dotted line {results.label(runs[-1])} has the lower value.": figures.scatter(
                layout, results, run, runs[-1]
            )
            for run in runs[:-1]
        },
        **{
            f"Inside {results.label(run)}: its points (one colour a motion), from where pixels have moved, whose "
            "motion they follow (grey: the background's), and in magenta where each occlusion mask hides the warped "
            "source, coarsest mask first.": figures.insides(layout, results, run)
            for run in runs
        },
        "Metrics over the number of keypoints, with 95 % intervals; dotted: the copied source.": figures.k_ablation(
            layout, results
        ),
        "Training loss, smoothed. Methods minimise different sums: compare shapes, not heights.": figures.loss_curves(
            layout, results
        ),
        "What the joint detector sees in real test frames. Dots: found; crosses: visible joints that it misses.": (
            figures.detections(layout, results.config)
        ),
    }
    return {caption: path for caption, path in wanted.items() if path is not None}


def _quality(layout: Layout) -> dict[str, dict[str, Any]]:
    path = layout.evaluators / "quality.json"
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else {}


def _json(content: Mapping[str, Any]) -> str:
    return json.dumps(content, indent=2, sort_keys=True, allow_nan=False) + "\n"
