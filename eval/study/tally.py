"""Votes counted: how often each run was preferred to each, and how that varies with other raters and clips."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from eval.stats.config import BootstrapConfig
from eval.stats.intervals import LEVEL, Estimate
from eval.study.votes import Vote

TAIL = (1 - LEVEL) / 2


@dataclass(frozen=True)
class Tally:
    """Of one question. `counts[r, c, i, j]`: how often rater `r` preferred run `i` to run `j` on clip `c`."""

    runs: tuple[str, ...]
    counts: Float64[np.ndarray, "raters clips m m"]

    @classmethod
    def of(cls, votes: Sequence[Vote], runs: Sequence[str]) -> Tally:
        raters = {name: i for i, name in enumerate(sorted({vote.session for vote in votes}))}
        clips = {name: i for i, name in enumerate(sorted({vote.clip for vote in votes}))}
        index = {name: i for i, name in enumerate(runs)}
        counts = np.zeros((len(raters), len(clips), len(runs), len(runs)))
        for vote in votes:
            counts[raters[vote.session], clips[vote.clip], index[vote.winner], index[vote.loser]] += 1
        return cls(tuple(runs), counts)

    @property
    def wins(self) -> Float64[np.ndarray, "m m"]:
        """How often row was preferred to column."""
        return self.counts.sum(axis=(0, 1))

    def resampled(self, config: BootstrapConfig) -> Float64[np.ndarray, "samples m m"]:
        """`wins` with raters and clips drawn anew, each for itself, to speak of other people and other clips.

        Votes of one rater are alike, and so are votes on one clip; drawing votes one by one would pretend that they
        were not. Drawing both ways errs on the wide side: Owen (2007), The pigeonhole bootstrap.
        """
        rng = np.random.default_rng(config.seed)
        raters, clips = self.counts.shape[:2]
        by_rater, by_clip = (rng.multinomial(n, np.full(n, 1 / n), size=config.samples) for n in (raters, clips))
        rows = self.counts.reshape(raters, -1)
        by_rater_then_clip = (by_rater @ rows).reshape(config.samples, clips, -1)
        wins = np.einsum("sc,scp->sp", by_clip, by_rater_then_clip)
        return wins.reshape(config.samples, len(self.runs), len(self.runs)).astype(np.float64)

    def rate(self, winner: str, loser: str, config: BootstrapConfig) -> Estimate | None:
        """How often `winner` is preferred to `loser`, from 0 to 1; None where they were not compared.

        With one rater there is no interval. Where all votes agree, nothing varies between resamples: the far bound is
        then that of Clopper and Pearson (1934) for as many trials as raters, which the votes' number cannot narrow.
        """
        i, j = self.runs.index(winner), self.runs.index(loser)
        pair = self.counts[:, :, i, j] + self.counts[:, :, j, i]
        won, count = self.wins[i, j], int(pair.sum())
        if not count:
            return None
        raters, clips = (int((pair.sum(axis=axis) > 0).sum()) for axis in (1, 0))
        low, high = math.nan, math.nan
        if raters > 1 and won in (0, count):
            reach = 1 - TAIL ** (1 / raters)
            low, high = (0.0, reach) if won == 0 else (1 - reach, 1.0)
        elif raters > 1:
            drawn = self.resampled(config)
            total = drawn[:, i, j] + drawn[:, j, i]
            low, high = np.quantile(drawn[total > 0, i, j] / total[total > 0], [TAIL, 1 - TAIL])
        return Estimate(float(won / count), float(low), float(high), clips, count)
