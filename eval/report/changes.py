"""What changes from one run to another, metric by metric: paired differences, beside what training seeds change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from eval.metrics import Metric
from eval.report.seed_ranges import seed_means
from eval.report.words import listed
from eval.stats.pairwise import Comparison
from eval.tables.results import Results, Series
from eval.tables.table import Value, number
from eval.types import Protocol

Pair = tuple[str, str]
"""The run before, and the run after."""
LEGEND = (
    "In brackets: the paired difference with its 95 % interval, then how far apart the means of a method's training "
    "seeds lie."
)


@dataclass(frozen=True)
class Change:
    """`comparison` is the run after less the run before. `seeds` is how far apart the means of training seeds lie, of
    that method of the two whose means lie further apart; None where neither was trained from several seeds."""

    metric: Metric
    comparison: Comparison
    seeds: float | None

    @property
    def significant(self) -> bool:
        return self.comparison.decided

    @property
    def better(self) -> bool:
        """Whether the run after has the better mean, significantly or not."""
        return self.metric.is_better(self.comparison.difference.mean)

    @property
    def by_seed(self) -> bool:
        """Whether the difference is no larger than one between seeds."""
        return self.seeds is not None and abs(self.comparison.difference.mean) <= self.seeds

    def amount(self) -> str:
        """Such as `by .0278 [.0269, .0287], seeds .0011`; positive towards what `better` says."""
        its = self.comparison.difference
        its = -its if its.mean < 0 else its
        seeds = "" if self.seeds is None else f", seeds {number(self.seeds, self.metric.decimals)}"
        return f"by {Value(its, self.metric.decimals).text()}{seeds}"


def changes(results: Results, pairs: Sequence[Pair], protocol: Protocol) -> dict[Pair, list[Change]]:
    """Of each pair, the change in every metric of reconstruction that both have; p is corrected for all its pairs."""
    found: dict[Pair, list[Change]] = {pair: [] for pair in pairs}
    repeated = {run: _repeated(results, run) for pair in pairs for run in pair}
    series = {
        (before, after): (Series(after, protocol=protocol), Series(before, protocol=protocol))
        for before, after in pairs
    }
    for metric in results.measured:
        compared = results.compared(list(series.values()), metric.name)
        for pair, key in series.items():
            if key in compared:
                originals = {original for run in pair if (original := repeated[run])}
                means = [seed_means(results, metric, Series(run, protocol=protocol)) for run in originals]
                seeds = max((max(values) - min(values) for values in means if values), default=None)
                found[pair].append(Change(metric, compared[key], seeds))
    return found


def _repeated(results: Results, run: str) -> str | None:
    """The run itself or another of its method, whichever was trained from several seeds."""
    if run in results.seeds:
        return run
    method = results.summary(run).get("method")
    same = (original for original in results.seeds if results.summary(original).get("method") == method)
    return next(same, None) if method else None


def counted(found: Sequence[Change]) -> str:
    """In how many metrics the run after differs, such as `significantly better in 2 of 9 metrics`."""
    better, worse = ([c for c in found if c.significant and c.better == side] for side in (True, False))
    parts = [f"{word} in {len(group)}" for word, group in (("better", better), ("worse", worse)) if group]
    if not parts:
        return f"significantly different in none of {len(found)} metrics"
    return f"significantly {' and '.join(parts)} of {len(found)} metrics"


def described(found: Sequence[Change], *, in_full: bool = False) -> str:
    """Which metrics change significantly and by how much, and which do not (`in_full`: by how much, too)."""
    sure, unsure = ([change for change in found if change.significant == side] for side in (True, False))
    parts = []
    for word, side in (("better", True), ("worse", False)):
        if group := [f"{change.metric.title} ({change.amount()})" for change in sure if change.better == side]:
            parts.append(f"significantly {word} in {listed(group)}")
    if unsure:
        names = [change.metric.title for change in unsure]
        if in_full:
            names = [f"{c.metric.title} ({'better' if c.better else 'worse'} {c.amount()})" for c in unsure]
        parts.append(f"no significant difference in {listed(names)}")
    sentence = f"{'; '.join(parts)}."
    if small := [change.metric.title for change in sure if change.by_seed]:
        sentence += f" In {listed(small)} that is no more than training seeds differ by."
    return sentence
