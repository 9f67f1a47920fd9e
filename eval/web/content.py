"""`pages/<data set>/`: what the page shows of one data set, as a JSON file and the pictures that it names."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from PIL import Image

from eval.report.facts import PROTOCOL, reading, what_was_run
from eval.report.findings import answer
from eval.tables.html import to_html
from eval.tables.results import Results
from eval.tables.table import Missing, Table, text
from eval.web import FORMAT
from eval.web.cards import write_failures
from eval.web.videos import method_of, write_videos
from tpsm.core.files import atomic, write_text
from tpsm.core.layout import Layout

PLAYED = ("reconstruction", "animation_", "failures_")
"""Names of figures that the page has in another form: as videos and cards."""


def write_content(
    layout: Layout,
    results: Results,
    tables: Sequence[Table],
    pictures: Mapping[str, Path],
    quality: Mapping[str, Mapping[str, Any]],
    made_by: Mapping[str, Any],
) -> Path:
    """`pictures` are captions and files, `quality` is quality.json, `made_by` provenance.json. Stale files go."""
    for old in (*layout.page.glob("*.webp"), *layout.page.glob("*.json")):
        old.unlink()
    methods = {results.label(run): method_of(results, run) for run in results.config.tables.runs()}
    content = {
        "format": FORMAT,
        "dataset": layout.dataset,
        "facts": what_was_run(layout, results, quality),
        "questions": [asdict(question) for question in answer(results)],
        "reading": [*reading(results), *PROTOCOL],
        "metrics": [
            {"title": m.title, "unit": m.unit, "better": "lower" if m.lower_is_better else "higher", "source": m.source}
            for m in results.metrics.values()
        ],
        "methods": list(dict.fromkeys(method for method in methods.values() if method)),
        "protocols": results.config.protocols,
        "modes": ["reconstruction", *_modes(results)],
        "tables": [_table(table, methods) for table in tables],
        "missing": _missing(tables),
        "figures": [
            {"caption": caption, "file": _figure(layout, path)}
            for caption, path in pictures.items()
            if not path.name.startswith(PLAYED)
        ],
        "groups": [asdict(group) for group in write_videos(layout, results)],
        "failures": [asdict(card) for card in write_failures(layout, results)],
        "quality": quality,
        "provenance": made_by,
    }
    path = layout.page / "content.json"
    write_text(path, json.dumps(content, indent=1, sort_keys=True, allow_nan=False) + "\n")
    return path


def _modes(results: Results) -> list[str]:
    return list(dict.fromkeys(mode for run in results.config.tables.animation for mode in results.modes(run)))


def _table(table: Table, methods: Mapping[str, str]) -> dict[str, Any]:
    modes = {text(row[table.columns.index("Mode")]) for row in table.rows} if "Mode" in table.columns else set()
    return {
        "name": table.name,
        "title": table.heading,
        "notes": table.notes,
        "protocol": table.protocol,
        "modes": sorted(modes) or ["reconstruction"],
        "html": to_html(table, methods),
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
    """The figure as a WebP picture without loss, which takes less than the PNG."""
    with Image.open(png) as picture, atomic(layout.page / f"figure-{png.stem}.webp") as draft:
        picture.convert("RGB").save(draft, "WEBP", lossless=True, method=4, quality=60)  # effort
    return f"figure-{png.stem}.webp"
