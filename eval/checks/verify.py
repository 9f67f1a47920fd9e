"""Do the reported numbers follow from the stored scores? Needs those, configs and the manifest: no model, no frames."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

from eval.report.report import numbers_of
from eval.tables.build import build_tables
from eval.tables.results import read_results
from eval.tables.table import Table, to_markdown
from tpsm.core.errors import UserError
from tpsm.core.files import sha256_of
from tpsm.core.layout import Layout


@dataclass(frozen=True)
class Finding:
    """`differs` names the first cell that is not what the scores give; empty where the file is theirs."""

    file: str
    differs: str = ""

    def __str__(self) -> str:
        return f"differs  {self.file}: {self.differs}" if self.differs else f"matches  {self.file}"


def verify(layout: Layout) -> list[Finding]:
    """Every file of `reports/<data set>` that scores and configuration decide, drawn again and compared.

    Raises:
        UserError: scores, configs or the manifest are missing or unreadable.
    """
    manifest = layout.clips / "manifest.json"
    if missing := [layout.relative(path) for path in (manifest, layout.scores("").parent) if not path.exists()]:
        raise UserError(
            f"There is no {' and no '.join(missing)}; type `dvc pull {layout.relative(manifest)} score score-control` "
            "where a remote has them, or make them with `dvc repro`."
        )
    results = read_results(layout)
    tables = build_tables(results)
    drawn = numbers_of(results, tables)
    found = [Finding(name, _difference(layout.report / name, content)) for name, content in drawn.items()]
    stored = {f"tables/{path.name}" for path in (layout.report / "tables").glob("*.*")}
    found += [Finding(name, "no table of this name is due") for name in sorted(stored - drawn.keys())]
    return [*found, Finding("README.md", _in_page(layout, tables)), Finding("provenance.json", _sealed(layout))]


def _difference(path: Path, due: str) -> str:
    if not path.is_file():
        return "the file is missing"
    stored = path.read_text(encoding="utf-8")
    if stored == due:
        return ""
    cells = _CELLS[path.suffix]
    try:
        for (where, reported), (place, scored) in zip_longest(
            cells(stored), cells(due), fillvalue=("the end", "nothing")
        ):
            if (where, reported) != (place, scored):
                return f"{place if scored != 'nothing' else where} is {reported}, and the scores give {scored}"
    except ValueError as error:
        return f"it cannot be read ({error})"
    return "its cells are the same, and its form is not"


def _csv_cells(text: str) -> Iterator[tuple[str, str]]:
    rows = list(csv.reader(io.StringIO(text)))
    for row in rows[1:]:
        for head, cell in zip_longest(rows[0], row, fillvalue=""):
            yield f"{row[0] if row else ''} / {head}", cell or "empty"
    yield "the head", ", ".join(rows[0]) if rows else ""


def _json_cells(text: str) -> Iterator[tuple[str, str]]:
    def leaves(value: Any, path: tuple[str, ...]) -> Iterator[tuple[str, str]]:
        if isinstance(value, dict):
            for key, below in value.items():
                yield from leaves(below, (*path, key))
        else:
            yield " / ".join(path), json.dumps(value)

    return leaves(json.loads(text), ())


def _ruled_cells(text: str, rule: str) -> Iterator[tuple[str, str]]:
    """Lines of a Markdown or LaTeX table; a cell is named by its row's first cell and its column's head."""
    heads: list[str] = []
    for number, line in enumerate(text.splitlines(), 1):
        cells = [cell.strip() for cell in re.split(rf"(?<!\\){re.escape(rule)}", line.strip("|").removesuffix(r"\\"))]
        if len(cells) == 1:
            heads = heads if line else []
            yield f"line {number}", line
        else:
            heads = heads or cells
            for head, cell in zip_longest(heads, cells, fillvalue=""):
                yield f"{cells[0]} / {head}", cell or "empty"


_CELLS = {
    ".csv": _csv_cells,
    ".json": _json_cells,
    ".md": lambda text: _ruled_cells(text, "|"),
    ".tex": lambda text: _ruled_cells(text, "&"),
}


def _in_page(layout: Layout, tables: list[Table]) -> str:
    """Every table must stand in the page as the scores give it."""
    path = layout.report / "README.md"
    page = path.read_text(encoding="utf-8") if path.is_file() else ""
    if not page:
        return "the file is missing"
    for table in tables:
        title, due = f"**{table.heading}**\n", to_markdown(table).rstrip()
        if due in page:
            continue
        if title not in page:
            return f"{table.heading}: the page lacks it"
        shown = page[page.index(title) :][: len(due)]
        for (_, reported), (place, scored) in zip(_ruled_cells(shown, "|"), _ruled_cells(due, "|"), strict=False):
            if reported != scored:
                return f"{table.heading}: {place} is {reported}, and the scores give {scored}"
        return f"{table.heading}: not as the scores give it"
    return ""


def _sealed(layout: Layout) -> str:
    """provenance.json holds the hashes of the files that it speaks of."""
    path = layout.report / "provenance.json"
    if not path.is_file():
        return "the file is missing"
    for name, sha256 in json.loads(path.read_text(encoding="utf-8")).get("files", {"metrics.json": ""}).items():
        file = layout.report / name
        if not file.is_file() or sha256_of(file) != sha256:
            return f"it speaks of another {name}"
    return ""
