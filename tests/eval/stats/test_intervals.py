"""What the intervals cover and how often the test errs, on data whose truth is known.

Clips of an identity share what makes it hard; identities have unequal numbers of clips. The sizes are those of the
embedded set (14 identities) and of a larger one (30). `python tests/interval_coverage.py` prints the table of
docs/statistics.md, other intervals beside the chosen one.
"""

from __future__ import annotations

import numpy as np
import pytest
from interval_coverage import HARD, clips_of, simulate

from eval.stats import intervals
from eval.stats.config import BootstrapConfig
from eval.stats.intervals import interval, sign_flip_p

CONFIG = BootstrapConfig(samples=1000)


def covered(kind: str, identities: int, most: int, samples: int) -> float:
    clips = clips_of(identities, most)
    low, high = interval(simulate(kind, clips, samples, seed=11), clips.astype(float), CONFIG)
    truth = HARD[kind][2]
    return float(np.mean((low <= truth) & (truth <= high)))


@pytest.mark.parametrize("identities", [14, 30])
@pytest.mark.parametrize("kind", HARD)
def test_the_interval_covers_what_it_says(kind: str, identities: int) -> None:
    # Of 4000 samples, a true 95 % comes out within .7 of it in 19 of 20 cases.
    assert 0.93 <= covered(kind, identities, most=3, samples=4000) <= 0.97


def test_the_test_errs_as_often_as_it_says() -> None:
    clips = clips_of(14, 3)
    mine, other = (simulate("lognormal", clips, 4000, seed) for seed in (1, 2))
    p = sign_flip_p(mine - other, CONFIG)
    for level in (0.01, 0.05, 0.2):
        assert np.mean(p <= level) == pytest.approx(level, abs=4 * np.sqrt(level * (1 - level) / 4000))


def test_the_test_finds_what_is_there() -> None:
    clips = clips_of(14, 3)
    mine, other = (simulate("gamma", clips, 1000, seed) for seed in (1, 2))
    assert np.mean(sign_flip_p(mine + clips - other, CONFIG) <= 0.05) > 0.9


@pytest.mark.parametrize("units", [9, 40])
def test_blocks_of_resamples_change_nothing(units: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    sums, counts = rng.normal(0.1, 1, (3, units)), rng.integers(1, 4, units).astype(float)
    whole = (*interval(sums, counts, CONFIG), sign_flip_p(sums, CONFIG))
    for cached in (intervals._drawn_units, intervals._signs):
        cached.cache_clear()
    monkeypatch.setattr(intervals, "BLOCK", 7 * units)
    np.testing.assert_allclose((*interval(sums, counts, CONFIG), sign_flip_p(sums, CONFIG)), whole, rtol=1e-12)
