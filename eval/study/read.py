"""Vote files -> `reports/<data set>/study/`: tables, study.json and the README.md that shows them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import permutations
from pathlib import Path
from typing import Any

from markupsafe import Markup

from eval.stats.config import BootstrapConfig
from eval.stats.intervals import Estimate
from eval.study.agreement import Agreement, together
from eval.study.key import QUESTIONS, read_key
from eval.study.tables import Findings, build_tables
from eval.study.votes import read_votes
from eval.tables.table import table_files, to_markdown
from eval.templates import render
from tpsm.core.files import write_json, write_text


def read_study(votes: Sequence[Path], key_file: Path, allowed: int, root: Path, out: Path | None) -> Path:
    """Without votes, the tables say so. `out` None: `reports/<data set>/study` under `root`.

    Raises:
        UserError: the key or a vote file is missing, damaged, or of another study.
    """
    key = read_key(key_file)
    findings = Findings(key, read_votes(votes, key, allowed), BootstrapConfig())
    folder = root / "reports" / key.dataset / "study" if out is None else out
    tables = build_tables(findings)
    for name, content in table_files(tables).items():
        write_text(folder / name, content)
    write_json(folder / "study.json", as_dict(findings), indent=2, allow_nan=False)
    readme = folder / "README.md"
    write_text(readme, render("eval.study", "readme.md", key=key, tables=[Markup(to_markdown(t)) for t in tables]))
    return readme


def as_dict(findings: Findings) -> dict[str, Any]:
    """The same, for programs; what could not be estimated is null."""
    ballot = findings.ballot
    return {
        "dataset": findings.key.dataset,
        "mode": findings.key.mode,
        "study": findings.key.study,
        "raters": len(ballot.raters),
        "dropped": len(ballot.dropped),
        "wrong_answers_allowed": ballot.allowed,
        "left_preferred": findings.left,
        "questions": {question: _question(findings, question) for question in QUESTIONS},
    }


def _question(findings: Findings, question: str) -> dict[str, Any]:
    agreements = findings.agreements(question)
    standings = findings.rankings[question] or {}
    return {
        "preference": {
            f"{winner} over {loser}": _estimate(findings.rate(question, winner, loser))
            for winner, loser in permutations(findings.key.runs, 2)
        },
        "ranking": {
            run: {"rank": s.rank, "log_strength": _estimate(s.strength), "chance_over_another": _estimate(s.chance)}
            for run, s in standings.items()
        },
        "agreement": {
            **{f"{first}, {second}": _agreement(part) for (first, second), part in agreements.items()},
            "all": _agreement(together(list(agreements.values()))),
        },
    }


def _estimate(estimate: Estimate | None) -> dict[str, float | int | None] | None:
    if estimate is None:
        return None
    low, high = (None if math.isnan(bound) else bound for bound in (estimate.low, estimate.high))
    return {"mean": estimate.mean, "low": low, "high": high, "clips": estimate.clips, "votes": estimate.frames}


def _agreement(part: Agreement) -> dict[str, float | int | None]:
    return {"alpha": part.alpha, "raw": part.raw, "items": part.items, "answers": part.values}
