"""Pairs of runs compared: the paired difference, its interval, and what chance alone would do."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import combinations
from typing import TypeVar

import numpy as np
import pandas as pd

from eval.stats.config import BootstrapConfig
from eval.stats.intervals import LEVEL, Averaging, ClipSums, Estimate, holm, mean, paired, sign_flip_p

K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True)
class Comparison:
    """`difference` is the first of the pair less the second; `p` is the sign-flip test's, and `corrected` what Holm
    makes of it over all pairs that were compared together."""

    difference: Estimate
    p: float
    corrected: float

    @property
    def decided(self) -> bool:
        """Interval and corrected test agree that there is a difference."""
        return self.difference.excludes_zero and self.corrected <= 1 - LEVEL

    def reversed(self) -> Comparison:
        """The second less the first."""
        return replace(self, difference=-self.difference)


def compare(
    rows: Mapping[K, pd.DataFrame], config: BootstrapConfig, averaging: Averaging
) -> dict[tuple[K, K], Comparison]:
    """Every two keys both ways, from rows as `ClipSums.of` takes them; pairs that share no frame are left out."""
    found = compare_pairs(combinations(rows, 2), rows, config, averaging)
    return found | {(other, one): comparison.reversed() for (one, other), comparison in found.items()}


def compare_pairs(
    pairs: Iterable[tuple[K, K]], rows: Mapping[K, pd.DataFrame], config: BootstrapConfig, averaging: Averaging
) -> dict[tuple[K, K], Comparison]:
    """Each of `pairs`, the first less the second, with p corrected for all of them; those without rows of both, or
    without a frame in common, are left out."""
    compared, differences, p = [], [], []
    for one, other in pairs:
        if one in rows and other in rows:
            sums = ClipSums.of(paired(rows[one], rows[other]), config.unit, averaging)
            if (difference := mean(sums, config)) is not None:
                compared.append((one, other))
                differences.append(difference)
                p.append(float(sign_flip_p(sums.sums[None], config)[0]))
    corrected = holm(np.array(p, np.float64)).tolist()
    return {pair: Comparison(*numbers) for pair, *numbers in zip(compared, differences, p, corrected, strict=True)}
