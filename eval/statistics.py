"""Means over frames with bootstrap intervals over clips.

The estimate is the papers': the mean over all frames that count. Frames of a clip are alike, so what is resampled is
the clip (or the identity), with all its frames: the interval then speaks of new clips from the same source.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
import pandas as pd
from jaxtyping import Float, Float64

LEVEL = 0.95
UNITS = {"clip": "clips", "identity": "identities"}


@dataclass(frozen=True)
class BootstrapConfig:
    """`unit` is what is drawn anew: `clip`, or `identity` with all its clips, wider where identities repeat."""

    samples: int = 10_000
    seed: int = 0
    unit: Literal["clip", "identity"] = "clip"

    def __post_init__(self) -> None:
        if self.samples < 100:
            raise ValueError("samples: must be at least 100 for a percentile interval")


@dataclass(frozen=True)
class Estimate:
    """A mean and its 95 % percentile interval; the bounds are NaN where a single unit leaves nothing to resample."""

    mean: float
    low: float
    high: float
    clips: int
    frames: int

    @property
    def excludes_zero(self) -> bool:
        """False also where there is no interval."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True)
class ClipSums:
    """Per unit (sorted by name): the sum over its clips' frames that count, and how many they are."""

    units: tuple[str, ...]
    sums: Float64[np.ndarray, " n"]
    counts: Float64[np.ndarray, " n"]
    clips: int

    @classmethod
    def of(cls, rows: pd.DataFrame, unit: str = "clip") -> ClipSums:
        """Rows with the columns `clip`, `value`, and `identity` where that is the unit; NaN values do not count."""
        counted = rows[rows["value"].notna()]
        grouped = counted.groupby(unit, observed=True, sort=True)["value"].agg(["sum", "count"])
        return cls(
            units=tuple(str(name) for name in grouped.index),
            sums=grouped["sum"].to_numpy(np.float64),
            counts=grouped["count"].to_numpy(np.float64),
            clips=int(counted["clip"].nunique()),
        )


def mean(sums: ClipSums, config: BootstrapConfig) -> Estimate | None:
    """Mean over frames; None where no frame counts."""
    if not len(sums.units):
        return None
    weights = _resamples(len(sums.units), config)
    return _estimate(sums.sums.sum() / sums.counts.sum(), (weights @ sums.sums) / (weights @ sums.counts), sums)


def difference(mine: pd.DataFrame, other: pd.DataFrame, config: BootstrapConfig) -> Estimate | None:
    """Mean of `mine` less mean of `other`, on the clips and frames that both have, resampled together.

    Pairing takes away what makes a clip hard for everyone, so the interval is narrower than the two means suggest.
    None where nothing is common.
    """
    keys = ["clip", "identity", "frame"]
    both = mine.merge(other, on=keys, suffixes=("", "_other"), validate="one_to_one")
    both = both.assign(value=both["value"] - both["value_other"])
    return mean(ClipSums.of(both, config.unit), config)


@lru_cache(maxsize=4)
def _resamples(units: int, config: BootstrapConfig) -> Float64[np.ndarray, "samples units"]:
    """How often each unit is drawn in each resample. The same seed draws the same, whatever the metric."""
    rng = np.random.default_rng(config.seed)
    return rng.multinomial(units, np.full(units, 1 / units), size=config.samples).astype(np.float64)


def _estimate(value: float, resampled: Float[np.ndarray, " samples"], sums: ClipSums) -> Estimate:
    low, high = math.nan, math.nan
    if len(sums.units) > 1:
        low, high = np.quantile(resampled, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Estimate(float(value), float(low), float(high), sums.clips, int(sums.counts.sum()))
