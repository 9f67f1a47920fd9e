"""Do the reported numbers follow from the stored scores? Needs those, configs and the manifest: no model, no frames."""

from __future__ import annotations

from pathlib import Path

from eval.report.report import numbers_of
from eval.tables.build import build_tables
from eval.tables.results import read_results
from eval.tables.table import to_markdown
from tpsm.core.errors import UserError
from tpsm.core.files import sha256_if_there
from tpsm.core.layout import Layout
from tpsm.core.reading import read_json, read_text


def verify(layout: Layout) -> dict[str, bool]:
    """Every file of `reports/<data set>` that scores and configuration decide -> whether it is what they give.

    Of README.md the tables count, and of provenance.json that it holds the hashes of the other files.

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

    # The files that are due, and any table beside them.
    folder = layout.report
    stored = {f"tables/{path.name}" for path in (folder / "tables").glob("*.*")}
    same = {name: _text(folder / name) == content for name, content in drawn.items()}
    same |= dict.fromkeys(sorted(stored - drawn.keys()), False)

    # What speaks of them.
    page = _text(folder / "README.md")
    about = folder / "provenance.json"
    sealed = read_json(about, "provenance of a report") if about.is_file() else None
    hashes = sealed.get("files") if isinstance(sealed, dict) else None
    return same | {
        "README.md": all(to_markdown(table).rstrip() in page for table in tables),
        "provenance.json": hashes == {name: sha256_if_there(folder / name) for name in drawn},
    }


def _text(path: Path) -> str:
    """Empty where there is no file."""
    return read_text(path, "file") if path.is_file() else ""
