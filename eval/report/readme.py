"""README.md of a report: `readme.md`, a template of the `Report`."""

from __future__ import annotations

from markupsafe import Markup

from eval.report.facts import PROTOCOL, overlap
from eval.report.provenance import in_words
from eval.report.question import Question
from eval.report.report import Report
from eval.report.words import listed
from eval.tables.table import Table, pipe_table, to_markdown
from eval.templates import render


def readme(report: Report) -> str:
    return render(
        "eval.report",
        "readme.md",
        report=report,
        joints=report.quality.get("landmarks"),
        identity=report.quality.get("identity"),
        overlap=overlap(report.results),
        protocol=PROTOCOL,
        made_by=in_words(report.provenance),
        markdown=_markdown,
        findings=_findings,
        listed=listed,
        short=_short,
        percent=_percent,
    )


def _markdown(table: Table) -> Markup:
    return Markup(to_markdown(table))  # it has escaped its cells itself


def _findings(question: Question) -> Markup:
    heads = question.heads()
    rows = [
        (f.metric, f.verdict, f.value, f.rival, f.lead, f.p, f"{f.beats} ({f.copy})" if f.beats else "", f.seeds)
        for f in question.findings
    ]
    return Markup(pipe_table(heads, [row[: len(heads)] for row in rows]))  # it has escaped its cells itself


def _short(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.3g}"


def _percent(value: float | None) -> str:
    return "n/a" if value is None else f"{100 * value:.1f} %"
