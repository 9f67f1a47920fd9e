"""`reports/<data set>/`: tables, figures, metrics.json, provenance.json and the README.md that ties them together.

What reports/index.html shows of the data set goes to `pages/<data set>/`.
"""

from __future__ import annotations

import time
from pathlib import Path

from eval.report.readme import readme
from eval.report.report import JSON_STYLE, build_report
from eval.tables.results import read_results
from eval.web.content import write_content
from tpsm.core.files import write_json, write_text
from tpsm.core.layout import Layout


def write_report(layout: Layout) -> Path:
    """Reports on whatever has been scored; what is missing says so in its cell.

    Raises:
        UserError: nothing has been scored, or an input is unreadable.
    """
    from eval.figures import draw_figures  # Here: Matplotlib takes long to load.

    began = time.monotonic()
    results = read_results(layout)
    report = build_report(results, draw_figures(results), began)
    page = readme(report)

    # All of it is known, so what an earlier report left may go.
    kept = {layout.report / name for name in report.numbers} | set(report.figures.values())
    for stale in (*(layout.report / "tables").glob("*.*"), *(layout.report / "figures").glob("*.*")):
        if stale not in kept:
            stale.unlink()

    for name, content in report.numbers.items():
        write_text(layout.report / name, content)
    write_json(layout.report / "provenance.json", report.provenance, **JSON_STYLE)
    write_text(layout.report / "README.md", page)
    write_content(report)
    return layout.report / "README.md"
