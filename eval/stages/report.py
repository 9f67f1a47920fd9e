"""`reports/<data set>/`: tables, figures, metrics.json, provenance.json and the README.md that ties them together.

What reports/index.html shows of the data set goes to `pages/<data set>/`.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from eval.report.numbers import estimates, numbers, to_json
from eval.report.provenance import provenance, section
from eval.report.readme import page
from eval.types import ROLES
from eval.web.content import write_content
from tpsm.core.files import write_text
from tpsm.core.layout import Layout
from tpsm.core.reading import read_json


def write_report(layout: Layout) -> Path:
    """Reports on whatever has been scored; what is missing says so in its cell.

    Raises:
        UserError: nothing has been scored, or an input is unreadable.
    """
    from eval.figures import draw_figures  # Here: Matplotlib takes long to load.

    began = time.monotonic()
    results, tables = estimates(layout)
    drawn = numbers(results, tables)
    pictures = draw_figures(layout, results)  # these may fail, so nothing is taken away before
    kept = {layout.report / name for name in drawn} | set(pictures.values())
    for stale in (*(layout.report / "tables").glob("*.*"), *(layout.report / "figures").glob("*.png")):
        if stale not in kept:
            stale.unlink()
    for name, content in drawn.items():
        write_text(layout.report / name, content)
    quality = _quality(layout)
    made = provenance(layout, results, quality, began)
    write_text(layout.report / "provenance.json", to_json(made))
    readme = layout.report / "README.md"
    measured: dict[str, dict[str, Any]] = {role: quality[role] for role in ROLES if role in quality}
    write_text(readme, page(layout, results, tables, pictures, measured) + section(made))
    write_content(layout, results, tables, pictures, measured, made)
    return readme


def _quality(layout: Layout) -> dict[str, dict[str, Any]]:
    path = layout.evaluators / "quality.json"
    return dict(read_json(path, "record of evaluators")) if path.is_file() else {}
