"""Whether raters agree: Krippendorff's alpha for nominal data, with any number of raters an item."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass

from eval.study.votes import Vote


@dataclass(frozen=True)
class Agreement:
    """`observed` and `expected`: disagreements, 0 to 1, over `values` answers to `items` of two raters or more."""

    observed: float
    expected: float
    values: int
    items: int

    @property
    def alpha(self) -> float | None:
        """1: raters agree; 0: as chance would have it; None where all answers are equal, or none can be paired."""
        return 1 - self.observed / self.expected if self.expected else None

    @property
    def raw(self) -> float | None:
        """The share of pairs of raters that agree, from 0 to 1, chance not taken off."""
        return 1 - self.observed if self.values else None


def nominal(items: Iterable[Sequence[Hashable]]) -> Agreement:
    """Krippendorff (2011), Computing Krippendorff's alpha-reliability. `items`: each item's answers, one a rater.

    Items with one answer are left out, for there is nothing to pair it with.
    """
    paired = [Counter(values) for values in items if len(values) > 1]
    count = sum(item.total() for item in paired)
    if not count:
        return Agreement(0.0, 0.0, 0, 0)
    overall = sum(paired, Counter[Hashable]())
    # Answers to an item of n raters: each is paired with the n - 1 others, and counts once in all.
    observed = sum((_unequal(item) / (item.total() - 1) for item in paired), 0.0) / count
    return Agreement(observed, _unequal(overall) / (count * (count - 1)), count, len(paired))


def of_pair(votes: Iterable[Vote]) -> Agreement:
    """On which of two runs is better: items are the clips, answers the run preferred."""
    by_item: defaultdict[str, list[str]] = defaultdict(list)
    for vote in votes:
        by_item[vote.item].append(vote.winner)
    return nominal(by_item.values())


def together(parts: Sequence[Agreement]) -> Agreement:
    """Over several pairs of runs. Chance is reckoned within each pair, where just two answers are possible: the runs'
    names over all pairs would make agreement by chance seem rarer than it is."""
    count = sum(part.values for part in parts)
    if not count:
        return Agreement(0.0, 0.0, 0, 0)
    observed, expected = (
        sum(getattr(part, name) * part.values for part in parts) / count for name in ("observed", "expected")
    )
    return Agreement(observed, expected, count, sum(part.items for part in parts))


def _unequal(counts: Counter[Hashable]) -> int:
    """Ordered pairs of answers that differ."""
    return counts.total() ** 2 - sum(n * n for n in counts.values())
