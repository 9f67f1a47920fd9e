"""`pages/<data set>/`: what the page shows of one data set, as a JSON file and the images that it names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
from PIL import Image

from eval.report.facts import PROTOCOL
from eval.report.report import Report
from eval.tables.table import Cell as TableCell
from eval.tables.table import Missing, Table, number, text
from eval.web.cards import write_failures
from eval.web.shown import Cell, Content, MetricInWords, MissingCells, Row, ShownFigure, ShownTable
from eval.web.strips import webp
from eval.web.videos import method_of, write_videos
from tpsm.core.files import write_bytes, write_json
from tpsm.core.layout import Layout

PLAYED = ("comparison", "reconstruction", "animation_", "failures_")
"""Names of figures that the page has in another form: as videos and cards."""


def write_content(report: Report) -> Path:
    """Stale files go."""
    results, layout = report.results, report.results.layout
    for old in (*layout.page.glob("*.webp"), *layout.page.glob("*.json")):
        old.unlink()

    # All that the page shows of the set; videos and failures write their images as they are asked.
    methods = {results.label(run): method_of(results, run) for run in results.config.tables.runs()}
    content = Content(
        dataset=layout.dataset,
        brief=report.brief,
        facts=report.facts,
        questions=report.questions,
        reading=(*report.reading, *PROTOCOL),
        metrics=tuple(
            MetricInWords(m.title, m.unit, "lower" if m.lower_is_better else "higher", m.source)
            for m in results.metrics.values()
        ),
        methods=tuple(dict.fromkeys(method for method in methods.values() if method)),
        protocols=tuple(results.config.protocols),
        modes=("reconstruction", *results.animation_modes),
        tables=tuple(table_content(table, methods) for table in report.tables),
        missing=_missing(report.tables),
        figures=tuple(
            ShownFigure(caption, _figure(layout, path))
            for caption, path in report.figures.items()
            if not path.name.startswith(PLAYED)
        ),
        groups=tuple(write_videos(results)),
        failures=tuple(write_failures(results)),
        quality=dict(report.quality),
        provenance=dict(report.provenance),
    )
    path = layout.page / "content.json"
    write_json(path, asdict(content), sort_keys=True, allow_nan=False)
    return path


def table_content(table: Table, methods: Mapping[str, str]) -> ShownTable:
    """A table whose rows the page can filter: by what `methods` says of the labels among the cells, and by mode."""
    mode = table.columns.index("Mode") if "Mode" in table.columns else None
    rows = []
    for row in table.rows:
        named = dict.fromkeys(method for cell in row if isinstance(cell, str) and (method := methods.get(cell)))
        shown = "" if mode is None else text(row[mode])
        rows.append(Row("|".join(named), shown, text(row[0]), tuple(_cell(cell) for cell in row[1:])))
    modes = tuple(sorted({row.mode for row in rows} - {""})) or ("reconstruction",)
    columns, notes = tuple(table.columns), tuple(table.notes)
    return ShownTable(table.name, table.heading, notes, table.protocol, modes, columns, tuple(rows))


def _cell(cell: TableCell) -> Cell:
    if isinstance(cell, Missing):
        return {"missing": cell.reason}
    if isinstance(cell, str):
        return {"text": cell}
    if isinstance(cell, int):
        return {"value": str(cell), "mean": text(cell)}
    estimate = cell.estimate
    mean = number(estimate.mean, cell.decimals, signed=cell.signed)
    shown: Cell = {
        "value": f"{estimate.mean:.6g}",
        "mean": mean,
        "sample": f"{estimate.clips} clips, {estimate.frames} frames",
        "best": cell.best,
    }
    if interval := cell.text().removeprefix(mean).lstrip():
        shown |= {"interval": interval, "low": f"{estimate.low:.6g}", "high": f"{estimate.high:.6g}"}
    return shown


def _missing(tables: Sequence[Table]) -> tuple[MissingCells, ...]:
    """Every cell without a number, by its reason."""
    found: dict[tuple[str, str], list[str]] = {}
    for table in tables:
        for row in table.rows:
            for column, cell in zip(table.columns, row, strict=True):
                if isinstance(cell, Missing):
                    found.setdefault((cell.reason, table.heading), []).append(f"{text(row[0])}: {column.strip(' ↓↑')}")
    return tuple(MissingCells(reason, title, tuple(cells)) for (reason, title), cells in found.items())


def _figure(layout: Layout, png: Path) -> str:
    """The figure as a WebP image, without loss where that takes less."""
    name = f"figure-{png.stem}.webp"
    with Image.open(png) as picture:
        drawn = np.asarray(picture.convert("RGB"))[None]
    ways = ({"lossless": True, "method": 4, "quality": 60}, {"method": 4, "quality": 90})
    write_bytes(layout.page / name, min((webp(drawn, 1, **way) for way in ways), key=len))
    return name
