"""`pages/<data set>/`: what the page shows of one data set, as a JSON file and the images that it names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from PIL import Image

from eval.report.facts import PROTOCOL
from eval.report.report import Report
from eval.tables.table import Cell, Missing, Table, number, text
from eval.web import FORMAT
from eval.web.cards import write_failures
from eval.web.videos import method_of, write_videos
from tpsm.core.files import atomic, write_json
from tpsm.core.layout import Layout

PLAYED = ("reconstruction", "animation_", "failures_")
"""Names of figures that the page has in another form: as videos and cards."""


def write_content(report: Report) -> Path:
    """Stale files go."""
    results, layout = report.results, report.results.layout
    for old in (*layout.page.glob("*.webp"), *layout.page.glob("*.json")):
        old.unlink()

    # All that the page shows of the set; videos and failures write their images as they are asked.
    methods = {results.label(run): method_of(results, run) for run in results.config.tables.runs()}
    content = {
        "format": FORMAT,
        "dataset": layout.dataset,
        "facts": report.facts,
        "questions": [asdict(question) for question in report.questions],
        "reading": [*report.reading, *PROTOCOL],
        "metrics": [
            {"title": m.title, "unit": m.unit, "better": "lower" if m.lower_is_better else "higher", "source": m.source}
            for m in results.metrics.values()
        ],
        "methods": list(dict.fromkeys(method for method in methods.values() if method)),
        "protocols": results.config.protocols,
        "modes": ["reconstruction", *results.animation_modes],
        "tables": [table_content(table, methods) for table in report.tables],
        "missing": _missing(report.tables),
        "figures": [
            {"caption": caption, "file": _figure(layout, path)}
            for caption, path in report.figures.items()
            if not path.name.startswith(PLAYED)
        ],
        "groups": [asdict(group) for group in write_videos(results)],
        "failures": [asdict(card) for card in write_failures(results)],
        "quality": report.quality,
        "provenance": report.provenance,
    }
    path = layout.page / "content.json"
    write_json(path, content, sort_keys=True, allow_nan=False)
    return path


def table_content(table: Table, methods: Mapping[str, str]) -> dict[str, Any]:
    """A table whose rows the page can filter: by `method` (what `methods` says of the labels among the cells) and by
    `mode`; '' where a row has none."""
    mode = table.columns.index("Mode") if "Mode" in table.columns else None
    rows = []
    for row in table.rows:
        named = dict.fromkeys(method for cell in row if isinstance(cell, str) and (method := methods.get(cell)))
        about = {"method": "|".join(named), "mode": "" if mode is None else text(row[mode])}
        rows.append(about | {"label": text(row[0]), "cells": [_cell(cell) for cell in row[1:]]})
    return {
        "name": table.name,
        "title": table.heading,
        "notes": table.notes,
        "protocol": table.protocol,
        "modes": sorted({row["mode"] for row in rows} - {""}) or ["reconstruction"],
        "columns": table.columns,
        "rows": rows,
    }


def _cell(cell: Cell) -> dict[str, Any]:
    """Words (`text`), a reason why there is no number (`missing`), or a `mean` with its `value` at full precision."""
    if isinstance(cell, Missing):
        return {"missing": cell.reason}
    if isinstance(cell, str):
        return {"text": cell}
    if isinstance(cell, int):
        return {"value": str(cell), "mean": text(cell)}
    estimate = cell.estimate
    mean = number(estimate.mean, cell.decimals, signed=cell.signed)
    return {
        "value": f"{estimate.mean:.6g}",
        "mean": mean,
        "interval": cell.text().removeprefix(mean).lstrip(),
        "sample": f"{estimate.clips} clips, {estimate.frames} frames",
        "best": cell.best,
    }


def _missing(tables: Sequence[Table]) -> list[dict[str, Any]]:
    """Every cell without a number, by its reason."""
    found: dict[tuple[str, str], list[str]] = {}
    for table in tables:
        for row in table.rows:
            for column, cell in zip(table.columns, row, strict=True):
                if isinstance(cell, Missing):
                    found.setdefault((cell.reason, table.heading), []).append(f"{text(row[0])}: {column.strip(' ↓↑')}")
    return [{"reason": reason, "table": title, "cells": cells} for (reason, title), cells in found.items()]


def _figure(layout: Layout, png: Path) -> str:
    """The figure as a WebP image without loss, which takes less than the PNG."""
    with Image.open(png) as picture, atomic(layout.page / f"figure-{png.stem}.webp") as draft:
        picture.convert("RGB").save(draft, "WEBP", lossless=True, method=4, quality=60)  # effort
    return f"figure-{png.stem}.webp"
