"""A question that a report answers."""

from __future__ import annotations

from dataclasses import dataclass

NOBODY = "none"
"""What stands for the runs that beat the repeated source where none does."""


@dataclass(frozen=True)
class Finding:
    """What one metric says of a question's runs, best first. `best` has one name where the first is clearly better than
    every other by paired interval and corrected test, as bold in the tables, more where it is not.

    `value` is the first's mean with its interval, `rival` the nearest run, `lead` how far the first lies ahead of it,
    with the paired interval, and `p` the corrected test's. `seeds` says between which means training seeds move the
    two, where both have several; `by_seed` is true where those change places. `beats` are the runs that beat the
    repeated source, which scores `copy`.
    """

    metric: str
    unit: str
    best: tuple[str, ...]
    value: str
    rival: str
    lead: str
    p: str
    seeds: str
    beats: str
    copy: str
    by_seed: bool

    @property
    def behind_copy(self) -> bool:
        """Whether there is a best run, and neither it nor any other beats the repeated source."""
        return len(self.best) == 1 and self.beats == NOBODY

    @property
    def verdict(self) -> str:
        """Such as `FOMM`, or `open: MRAA or FOMM`."""
        if len(self.best) == 1:
            return self.best[0]
        return f"open: {', '.join(self.best[:-1])} or {self.best[-1]}"


@dataclass(frozen=True)
class Question:
    """`mode` and `protocol` are what the page filters by; `main` sets the methods' questions apart from ablations'.
    `headline` sums up the findings, which compare all runs by one metric each, or the sentences, which compare two runs
    by all metrics each."""

    title: str
    headline: str
    mode: str
    protocol: str
    main: bool
    findings: tuple[Finding, ...] = ()
    sentences: tuple[str, ...] = ()

    def heads(self) -> tuple[str, ...]:
        """Of a table with a row for each finding; training seeds come last, where any finding knows of them."""
        heads = ("Metric", "Best", "Its mean", "Next", "Ahead by", "p", "Beats a repeated source")
        return (*heads, "Training seeds") if any(finding.seeds for finding in self.findings) else heads
