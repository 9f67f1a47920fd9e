"""Everything that a report says, computed once; README.md and reports/index.html show it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from eval.report.facts import Qualities, reading, what_was_run
from eval.report.findings import answer, brief
from eval.report.provenance import provenance
from eval.report.question import Question
from eval.scoring.quality_file import read_quality
from eval.tables.build import build_tables
from eval.tables.results import Results
from eval.tables.table import Table, table_files
from eval.types import ROLES
from tpsm.core.files import to_json

JSON_STYLE: Final[dict[str, Any]] = {"indent": 2, "sort_keys": True, "allow_nan": False}
"""How the report's files are written."""


@dataclass(frozen=True)
class Report:
    """`numbers`: file -> content, of all that scores and configuration alone decide; `brief`: which method is best at
    what, in one sentence; `questions`: in full; `facts` and `reading`: what was run, and how to read it, in sentences;
    `quality`: of each evaluator, by its role; `figures`: caption -> file; `provenance`: what made it."""

    results: Results
    tables: tuple[Table, ...]
    numbers: Mapping[str, str]
    brief: str
    questions: tuple[Question, ...]
    facts: tuple[str, ...]
    reading: tuple[str, ...]
    quality: Qualities
    figures: Mapping[str, Path]
    provenance: Mapping[str, Any]


def build_report(results: Results, figures: Mapping[str, Path], began: float) -> Report:
    """`began` is when the work on it did, by `time.monotonic`."""
    tables = build_tables(results)
    numbers = numbers_of(results, tables)
    measured = read_quality(results.layout)
    quality: dict[str, Mapping[str, Any]] = {role: measured[role] for role in ROLES if role in measured}
    questions = answer(results)
    return Report(
        results,
        tuple(tables),
        numbers,
        brief=brief(results, questions),
        questions=tuple(questions),
        facts=tuple(what_was_run(results, quality)),
        reading=reading(results),
        quality=quality,
        figures=figures,
        provenance=provenance(results, numbers, measured.get("provenance"), began),
    )


def numbers_of(results: Results, tables: list[Table]) -> dict[str, str]:
    """File -> content, of all that scores and configuration alone decide."""
    return table_files(tables) | {"metrics.json": to_json(results.as_dict(), **JSON_STYLE)}
