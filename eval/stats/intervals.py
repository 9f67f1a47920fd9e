"""Means over clips with intervals over identities, and the test of a paired difference.

Frames of a clip are alike, and so are clips of an identity. What varies freely is the identity (or the clip, where
`unit` says so), with all its clips: intervals and tests speak of new ones from the same source. Why these and not
others, and what they cover when simulated, stands in docs/statistics.md.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

import numpy as np
import pandas as pd
from jaxtyping import Float, Float64, Int8, Shaped, UInt

from eval.stats.config import BootstrapConfig

LEVEL = 0.95
UNITS = {"clip": "clips", "identity": "identities"}
FEWEST = 6
"""Fewer units have too few different resamples to studentise: their interval is Student's alone."""
EXACT = 15
"""Up to so many units, every way of flipping signs is tried (2^14 of them: a way and its opposite are one)."""
BLOCK = 1 << 17
"""How many numbers of resamples are worked on at once."""

Averaging = Literal["clip", "frame"]


@dataclass(frozen=True)
class Estimate:
    """A mean, its 95 % interval, and its standard error over the `units`.

    Bounds and error are NaN where a single unit leaves nothing to compare.
    """

    mean: float
    low: float
    high: float
    clips: int
    frames: int
    error: float = math.nan
    units: int = 0

    def __neg__(self) -> Estimate:
        return replace(self, mean=-self.mean, low=-self.high, high=-self.low)

    @property
    def excludes_zero(self) -> bool:
        """False also where there is no interval."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True)
class ClipSums:
    """Per unit (sorted by name): the sum over its clips, and how much it counts. The mean is sums over counts.

    Weighed by `clip`, a clip adds the mean of its frames, and counts 1; by `frame`, the sum of its frames, and counts
    as many as they are.
    """

    units: tuple[str, ...]
    sums: Float64[np.ndarray, " n"]
    counts: Float64[np.ndarray, " n"]
    clips: int
    frames: int

    @classmethod
    def of(cls, rows: pd.DataFrame, unit: str = "identity", averaging: Averaging = "clip") -> ClipSums:
        """Rows with the columns `clip`, `value`, and `identity` where that is the unit; NaN values do not count."""
        counted = rows[rows["value"].notna()]
        of_clip, clips = pd.factorize(counted["clip"])
        first = np.unique(of_clip, return_index=True)[1]
        of_unit, units = pd.factorize(counted[unit].iloc[first], sort=True)
        frames = np.bincount(of_clip, minlength=len(clips)).astype(np.float64)
        values = np.bincount(of_clip, counted["value"].to_numpy(np.float64), len(clips)).astype(np.float64)
        sums, counts = (values / frames, np.ones(len(clips))) if averaging == "clip" else (values, frames)
        return cls(
            units=tuple(str(name) for name in units),
            sums=np.bincount(of_unit, sums, len(units)).astype(np.float64),  # of nothing, it would count in integers
            counts=np.bincount(of_unit, counts, len(units)).astype(np.float64),
            clips=len(clips),
            frames=int(frames.sum()),
        )


def mean(sums: ClipSums, config: BootstrapConfig) -> Estimate | None:
    """The mean with its interval; None where no frame counts."""
    if not sums.units:
        return None
    value, sample = float(sums.sums.sum() / sums.counts.sum()), sums.sums[None]
    (low,), (high,) = interval(sample, sums.counts, config)
    (error,) = standard_error(sample, sums.counts)
    return Estimate(value, float(low), float(high), sums.clips, sums.frames, float(error), len(sums.units))


def paired(mine: pd.DataFrame, other: pd.DataFrame) -> pd.DataFrame:
    """`mine` less `other`, a row for each clip and frame that both have."""
    keys = ["clip", "identity", "frame"]
    both = mine.merge(other, on=keys, suffixes=("", "_other"), validate="one_to_one")
    return both.assign(value=both["value"] - both["value_other"])


def difference(
    mine: pd.DataFrame, other: pd.DataFrame, config: BootstrapConfig, averaging: Averaging = "clip"
) -> Estimate | None:
    """Mean of `mine` less mean of `other`, on the clips and frames that both have.

    Pairing takes away what makes a clip hard for everyone, so the interval is narrower than the two means suggest.
    None where nothing is common.
    """
    return mean(ClipSums.of(paired(mine, other), config.unit, averaging), config)


def standard_error(sums: Float[np.ndarray, "r n"], counts: Float[np.ndarray, " n"]) -> Float64[np.ndarray, " r"]:
    """Of the mean sums / counts, by leaving out each unit in turn (jackknife); NaN for a single unit.

    The mean without unit j differs by (sums_j - mean counts_j) / (total - counts_j).
    """
    n, total = len(counts), counts.sum()
    if n < 2:
        return np.full(len(sums), math.nan)
    residuals = sums - sums.sum(axis=1, keepdims=True) / total * counts
    return np.sqrt((n - 1) / n * np.square(residuals / (total - counts)).sum(axis=1))


def interval(
    sums: Float[np.ndarray, "r n"], counts: Float[np.ndarray, " n"], config: BootstrapConfig
) -> tuple[Float64[np.ndarray, " r"], Float64[np.ndarray, " r"]]:
    """Bounds of the 95 % interval of sums / counts, for each of r samples of the same units.

    On each side the wider of two: Student's t with n - 1 degrees of freedom, and the bootstrap-t, which draws units
    anew and learns from each draw how (its mean - the mean) / its standard error is spread (Efron and Tibshirani 1993,
    chapter 12). The first is short where few or unequal units are skewed, the second where they are not.
    """
    from scipy import stats  # Here: it takes long to load.

    n = len(counts)
    value, error = sums.sum(axis=1) / counts.sum(), standard_error(sums, counts)
    reach = stats.t.ppf((1 + LEVEL) / 2, max(n - 1, 1))
    below, above = np.full_like(value, reach), np.full_like(value, reach)
    if n >= FEWEST:
        drawn = _studentised(sums, counts, value, error, config)
        lowest, highest = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=1)
        below, above = np.maximum(below, highest), np.maximum(above, -lowest)
    return value - below * error, value + above * error


def sign_flip_p(sums: Float[np.ndarray, "r n"], config: BootstrapConfig) -> Float64[np.ndarray, " r"]:
    """Two-sided p that paired differences, summed by unit, add up to what they do by chance.

    If two methods do equally well, each unit might as well have had their names swapped, which flips the sign of its
    difference. p is the share of the 2^n ways of swapping that move the sum at least as far from 0: exact for any
    number of units, however skewed and unequal. Beyond `EXACT` units, of `samples` ways drawn by chance and this one.
    """
    reached = np.abs(sums.sum(axis=1))
    least, ways = reached[:, None] * (1 - 1e-12), _signs(sums.shape[1], config)
    as_far = sum((np.abs(sums @ signs.T) >= least).sum(axis=1) for signs in _in_blocks(ways))
    drawn = len(ways)
    return as_far / drawn if sums.shape[1] <= EXACT else (as_far + 1) / (drawn + 1)


def holm(p: Float[np.ndarray, " m"]) -> Float64[np.ndarray, " m"]:
    """p-values of a family of tests, corrected so that the chance of any false finding is what one test's would be.

    The k-th smallest of m is multiplied by m - k + 1, and none comes out below a smaller one (Holm 1979).
    """
    order = np.argsort(p, kind="stable")
    corrected = np.empty(len(p))
    corrected[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)), 1)
    return corrected


def _studentised(
    sums: Float[np.ndarray, "r n"],
    counts: Float[np.ndarray, " n"],
    value: Float[np.ndarray, " r"],
    error: Float[np.ndarray, " r"],
    config: BootstrapConfig,
) -> Float64[np.ndarray, "r samples"]:
    """(mean - value) / standard error in each resample; 0 where a resample's units are all alike."""
    residuals, n = sums - value[:, None] * counts, len(counts)
    studentised = []
    for drawn in _in_blocks(_drawn_units(n, config)):
        totals = drawn @ counts
        means = residuals @ drawn.T / totals
        # `standard_error` of every resample, where a unit that is drawn k times stands k times, each left out in turn.
        without_one = totals[:, None] - counts
        weights = drawn * ((n - 1) / n / np.square(np.where(without_one > 0, without_one, np.inf)))
        # Its square multiplied out, so that sums of many samples are matrix products.
        squares = np.square(residuals) @ weights.T - 2 * means * ((residuals * counts) @ weights.T)
        errors = np.sqrt(np.maximum(squares + np.square(means) * (weights @ np.square(counts)), 0))
        varied = errors > 1e-6 * error[:, None]
        studentised.append(np.divide(means, errors, out=np.zeros_like(means), where=varied))
    return np.concatenate(studentised, axis=1)


@lru_cache(maxsize=2)
def _drawn_units(units: int, config: BootstrapConfig) -> UInt[np.ndarray, "samples units"]:
    """Resamples: how often each unit is drawn. The same seed draws the same, whatever the metric."""
    rng, chances, kind = np.random.default_rng(config.seed), np.full(units, 1 / units), np.min_scalar_type(units)
    sizes = [len(rows) for rows in _blocks(config.samples, units)]
    return np.concatenate([rng.multinomial(units, chances, size=size).astype(kind) for size in sizes])


@lru_cache(maxsize=4)
def _signs(units: int, config: BootstrapConfig) -> Int8[np.ndarray, "ways units"]:
    """Ways of flipping signs, the last unit's left as it is: all of them, or as many as there are samples."""
    if units <= EXACT:
        ways = np.arange(2 ** (units - 1))[:, None] >> np.arange(units) & 1  # the last unit's bit is never set
        return (1 - 2 * ways).astype(np.int8)
    rng, sizes = np.random.default_rng(config.seed), [len(rows) for rows in _blocks(config.samples, units)]
    return np.concatenate([rng.choice([-1.0, 1.0], size=(size, units)).astype(np.int8) for size in sizes])


def _in_blocks(ways: Shaped[np.ndarray, "ways units"]) -> Iterator[Float64[np.ndarray, "some units"]]:
    """Small whole numbers as floats, some rows at a time: all of them would take eight times the memory."""
    for rows in _blocks(*ways.shape):
        yield ways[rows.start : rows.stop].astype(np.float64)


def _blocks(ways: int, units: int) -> Iterator[range]:
    """Divides so many rows into ranges of `BLOCK` numbers, which a core's cache holds."""
    some = max(1, BLOCK // units)
    return (range(start, min(start + some, ways)) for start in range(0, ways, some))
