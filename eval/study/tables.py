"""The user study as tables: how often which run is preferred, whether raters agree, and who wins."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import permutations

from eval.stats.config import BootstrapConfig
from eval.stats.intervals import Estimate
from eval.study.agreement import Agreement, of_pair, together
from eval.study.key import QUESTIONS, Key
from eval.study.ranking import Standing, ranking
from eval.study.tally import Tally
from eval.study.votes import Ballot, Vote
from eval.tables.table import Cell, Missing, Table, Value

NO_PAPER = "n/a"
HOW = (
    "No votes yet: give raters the page that `python -m eval study make` writes, and pass the files that it saves to "
    "`python -m eval study read`."
)


@dataclass(frozen=True)
class Findings:
    """All that the votes say."""

    key: Key
    ballot: Ballot
    bootstrap: BootstrapConfig

    @cached_property
    def tallies(self) -> dict[str, Tally]:
        return {question: Tally.of(self.votes(question), list(self.key.runs)) for question in QUESTIONS}

    @cached_property
    def rankings(self) -> dict[str, dict[str, Standing] | None]:
        return {question: ranking(tally, self.bootstrap) for question, tally in self.tallies.items()}

    def votes(self, question: str) -> list[Vote]:
        return [vote for vote in self.ballot.votes if vote.question == question]

    def rate(self, question: str, winner: str, loser: str) -> Estimate | None:
        return self.tallies[question].rate(winner, loser, self.bootstrap)

    def agreements(self, question: str) -> dict[tuple[str, str], Agreement]:
        return {
            (first, second): of_pair(v for v in self.votes(question) if {v.winner, v.loser} == {first, second})
            for first, second in self.key.pairs()
        }

    @property
    def left(self) -> float | None:
        """How often the video on the left was preferred; .5 where sides do not matter."""
        votes = self.ballot.votes
        return sum(vote.winner_left for vote in votes) / len(votes) if votes else None

    @property
    def nothing(self) -> str | None:
        """Why there is nothing to tell, if so."""
        if self.ballot.votes:
            return None
        return "no rater passed the checks" if self.ballot.slips else "no votes yet"


def build_tables(findings: Findings) -> list[Table]:
    return [preference(findings), ranks(findings), agreement(findings)]


def preference(findings: Findings) -> Table:
    """The paper's Table 2, whose values were not found."""
    labels = findings.key.runs
    rows = []
    for winner, loser in permutations(labels, 2):
        estimates = [findings.rate(question, winner, loser) for question in QUESTIONS]
        cells = [
            Missing(findings.nothing or "not compared")
            if estimate is None
            else Value(estimate, 2, best=estimate.low > 0.5)
            for estimate in estimates
        ]
        votes = next((estimate.frames for estimate in estimates if estimate is not None), 0)
        rows.append((f"{labels[winner]} over {labels[loser]}", *cells, votes, NO_PAPER))
    return Table(
        "study_preference",
        f"User study, how often one is preferred, {_where(findings)}",
        ("Preferred", *map(_title, QUESTIONS), "Votes a question", "Paper's Table 2"),
        tuple(rows),
        (
            *_raters(findings),
            "Share of votes [95 % interval, raters and clips resampled; where all votes agree, Clopper-Pearson with a "
            "trial a rater]. Bold: above .5, and the interval excludes it. The paper's values: n/a, not found.",
        ),
    )


def ranks(findings: Findings) -> Table:
    def cells(run: str, question: str) -> tuple[Cell, ...]:
        standings = findings.rankings[question]
        if standings is None:
            return (Missing(findings.nothing or "one wins or loses all"),) * 3
        its = standings[run]
        return its.rank, Value(its.strength, 2, signed=True), Value(its.chance, 2)

    rows = [(label, *(cell for q in QUESTIONS for cell in cells(run, q))) for run, label in findings.key.runs.items()]
    columns = [f"{_title(q)}, {what}" for q in QUESTIONS for what in ("rank", "log strength", "chance over another")]
    return Table(
        "study_ranking",
        f"User study, Bradley-Terry ranking, {_where(findings)}",
        ("Run", *columns),
        tuple(rows),
        (
            *_raters(findings),
            "Log strengths have mean 0: a difference of d is odds of exp(d) to be preferred [95 % interval, raters and "
            "clips resampled; none where too many resamples let one run win or lose everything].",
        ),
    )


def agreement(findings: Findings) -> Table:
    # Of every two runs, and of all of them together, what each question's raters say.
    labels, found = findings.key.runs, [findings.agreements(question) for question in QUESTIONS]
    parts = {f"{labels[one]}, {labels[other]}": [of[one, other] for of in found] for one, other in findings.key.pairs()}
    parts["all"] = [together(list(of.values())) for of in found]

    def cells(part: Agreement) -> tuple[Cell, ...]:
        none = "all answers are equal" if part.values else "no item has two raters"
        return _number(findings, part.alpha, none), _number(findings, part.raw, none), part.items

    rows = [(name, *(cell for part in of for cell in cells(part))) for name, of in parts.items()]
    columns = [f"{_title(q)}, {what}" for q in QUESTIONS for what in ("alpha", "raw", "items")]
    return Table(
        "study_agreement",
        f"User study, agreement between raters, {_where(findings)}",
        ("Compared", *columns),
        tuple(rows),
        (
            *_raters(findings),
            "Krippendorff's alpha for nominal data (1: raters agree; 0: chance), and the share of pairs of raters that "
            "agree, on the items that two raters or more have answered. Over all pairs of runs, chance is reckoned "
            "within each.",
        ),
    )


def _where(findings: Findings) -> str:
    return f"{findings.key.dataset}, {findings.key.mode} mode"


def _title(question: str) -> str:
    return question.capitalize()


def _raters(findings: Findings) -> tuple[str, ...]:
    ballot = findings.ballot
    if not ballot.slips:
        return (HOW,)
    text = f"Raters: {len(ballot.raters)}"
    if ballot.dropped:
        text += (
            f", and {len(ballot.dropped)} left out, with more than {ballot.allowed} wrong answers to attention checks"
        )
    return (f"{text}.",)


def _number(findings: Findings, value: float | None, reason: str) -> Cell:
    if value is None:
        return Missing(findings.nothing or reason)
    return Value(Estimate(value, float("nan"), float("nan"), 0, 0), 2)
