"""Bradley-Terry strengths of the runs with intervals."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from eval.stats.config import BootstrapConfig
from eval.stats.intervals import Estimate
from eval.study.bradley_terry import chance_over_others, has_maximum, have_maximum, log_strengths
from eval.study.tally import TAIL, Tally


@dataclass(frozen=True)
class Standing:
    """`strength` is log p, of mean 0 over the runs; `chance` is that of being preferred to another run."""

    rank: int
    strength: Estimate
    chance: Estimate


def ranking(tally: Tally, config: BootstrapConfig) -> dict[str, Standing] | None:
    """Run -> its standing; None where no finite strengths exist: some run won or lost everything.

    Intervals resample raters and clips. There are none with one rater, nor where more than the tails that a 95 %
    interval cuts off have no finite strengths.
    """
    wins = tally.wins
    if not has_maximum(wins):
        return None
    theta = log_strengths(wins[None])

    # Intervals of both, from resamples that have finite strengths.
    bounds = np.full((2, 2, len(tally.runs)), math.nan)  # strength and chance, low and high
    if len(tally.counts) > 1:
        drawn = tally.resampled(config)
        finite = have_maximum(drawn)
        if finite.mean() >= 1 - TAIL:
            resampled = log_strengths(drawn[finite])
            bounds[0], bounds[1] = _interval(resampled), _interval(chance_over_others(resampled))

    # Each run's rank and estimates; equal strengths share a rank.
    clips, votes = tally.counts.shape[1], int(wins.sum())
    points = np.stack([theta[0], chance_over_others(theta)[0]])
    ranks = [1 + int((theta[0] > value + 1e-6).sum()) for value in theta[0]]
    standings = {}
    for i, run in enumerate(tally.runs):
        strength, chance = (
            Estimate(float(points[k, i]), float(bounds[k, 0, i]), float(bounds[k, 1, i]), clips, votes) for k in (0, 1)
        )
        standings[run] = Standing(ranks[i], strength, chance)
    return standings


def _interval(values: Float64[np.ndarray, "n m"]) -> Float64[np.ndarray, "2 m"]:
    return np.quantile(values, [TAIL, 1 - TAIL], axis=0)
