"""Lists and intervals as sentences have them."""

from __future__ import annotations

from collections.abc import Sequence

from eval.stats.intervals import Estimate
from eval.tables.table import number


def listed(names: Sequence[str]) -> str:
    """Such as `a, b and c`; one name and more."""
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def with_interval(estimate: Estimate, decimals: int) -> str:
    """Such as `.0278 [.0269, .0287]`; the mean alone where a single clip or identity leaves no interval."""
    mean = number(estimate.mean, decimals)
    if estimate.low != estimate.low:  # NaN
        return mean
    return f"{mean} [{number(estimate.low, decimals)}, {number(estimate.high, decimals)}]"
