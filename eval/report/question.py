"""A question that a report answers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """What one metric says of a question's runs, best first. `best` has one name where the first is clearly better than
    every other by paired interval and corrected test, as bold in the tables, more where it is not; `sentence` says it
    all. `beside` says how far training seeds move the two runs that the sentence compares, where both have several, and
    who beats the repeated source; `by_seed` is true where those seeds change places."""

    metric: str
    unit: str
    best: tuple[str, ...]
    sentence: str
    beside: tuple[str, ...]
    by_seed: bool


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
