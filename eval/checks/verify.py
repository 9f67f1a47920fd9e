"""Do the reported numbers follow from the stored scores? Needs those, configs and the manifest: no model, no frames."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from eval.report.report import numbers_of
from eval.tables.build import build_tables
from eval.tables.results import read_results
from eval.tables.table import Table, to_markdown
from tpsm.core.errors import UserError
from tpsm.core.files import sha256_of
from tpsm.core.layout import Layout
from tpsm.core.reading import read_json, read_text


@dataclass(frozen=True)
class Finding:
    """`differs` quotes the first line that is not what the scores give; empty where the file is theirs."""

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
    if missing := [layout.relative(path) for path in (manifest, layout.all_scores) if not path.exists()]:
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
    """The first line in which the file is not `due`."""
    if not path.is_file():
        return "the file is missing"
    stored = read_text(path, "file")
    if stored == due:
        return ""
    lines = zip_longest(stored.splitlines(), due.splitlines(), fillvalue="nothing")
    for number, (reported, scored) in enumerate(lines, 1):
        if reported != scored:
            return f"line {number} is `{reported.strip()}`, and the scores give `{scored.strip()}`"
    return "its lines are the same, and their ends are not"


def _in_page(layout: Layout, tables: list[Table]) -> str:
    """Every table must stand in the page as the scores give it."""
    path = layout.report / "README.md"
    page = read_text(path, "file") if path.is_file() else ""
    if not page:
        return "the file is missing"
    return next((f"{t.heading}: not as the scores give it" for t in tables if to_markdown(t).rstrip() not in page), "")


def _sealed(layout: Layout) -> str:
    """provenance.json holds the hashes of the files that it speaks of."""
    path = layout.report / "provenance.json"
    if not path.is_file():
        return "the file is missing"
    content = read_json(path, "provenance of a report")
    files = content.get("files") if isinstance(content, dict) else None
    if not isinstance(files, dict) or not files:
        return "it speaks of no file"
    for name, sha256 in files.items():
        file = layout.report / name
        if not file.is_file() or sha256_of(file) != sha256:
            return f"it speaks of another {name}"
    return ""
