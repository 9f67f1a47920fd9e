"""Estimates, intervals and tests against closed forms. What intervals cover is simulated in test_intervals.py."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from eval.stats.config import BootstrapConfig
from eval.stats.intervals import ClipSums, difference, holm, interval, mean, sign_flip_p, standard_error

CONFIG = BootstrapConfig(samples=2000, seed=1)


def rows(values: dict[str, list[float]]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {"clip": clip, "identity": clip.split("#")[0], "frame": frame, "value": value}
            for clip, frames in values.items()
            for frame, value in enumerate(frames)
        ]
    )


def p_of(sums: np.ndarray, config: BootstrapConfig = CONFIG) -> float:
    return float(sign_flip_p(sums[None], config)[0])


def test_a_clip_counts_once_or_as_often_as_it_has_frames() -> None:
    of = rows({"a": [1, 1, 1], "b": [5]})
    by_clip, by_frame = mean(ClipSums.of(of), CONFIG), mean(ClipSums.of(of, averaging="frame"), CONFIG)
    assert by_clip is not None and by_frame is not None
    assert (by_clip.mean, by_clip.clips, by_clip.frames, by_clip.units) == (3, 2, 4, 2)
    assert (by_frame.mean, by_frame.clips, by_frame.frames) == (2, 2, 4)


def test_frames_that_do_not_count_are_left_out() -> None:
    of = rows({"a": [1, math.nan], "b": [math.nan], "c": [3, 3]})
    for averaging, expected in (("clip", 2), ("frame", 7 / 3)):
        estimate = mean(ClipSums.of(of, averaging=averaging), CONFIG)  # type: ignore[arg-type]
        assert estimate is not None
        assert estimate.mean == pytest.approx(expected)
        assert (estimate.clips, estimate.frames) == (2, 3)
    assert mean(ClipSums.of(rows({"a": [math.nan]})), CONFIG) is None


def test_one_unit_has_no_interval() -> None:
    estimate = mean(ClipSums.of(rows({"a#0": [1, 2], "a#1": [3]})), CONFIG)
    assert estimate is not None
    assert math.isnan(estimate.low) and math.isnan(estimate.error) and not estimate.excludes_zero
    by_clip = mean(ClipSums.of(rows({"a#0": [1, 2], "a#1": [3]}), "clip"), CONFIG)
    assert by_clip is not None and by_clip.low < 2.25 < by_clip.high


def test_a_few_units_have_students_interval() -> None:
    values = np.array([1.0, 2.0, 4.0, 9.0])
    (low,), (high,) = interval(values[None], np.ones(4), CONFIG)
    expected = stats.t.interval(0.95, 3, values.mean(), stats.sem(values))
    assert (low, high) == pytest.approx(expected)


def test_the_standard_error_is_the_jackknifes() -> None:
    rng = np.random.default_rng(0)
    sums, counts = rng.normal(size=9), rng.integers(1, 5, size=9).astype(float)
    left_out = np.array([np.delete(sums, j).sum() / np.delete(counts, j).sum() for j in range(9)])
    about = np.square(left_out - sums.sum() / counts.sum()).sum()
    assert standard_error(sums[None], counts)[0] == pytest.approx(math.sqrt(8 / 9 * about))
    assert standard_error(sums[None], np.ones(9))[0] == pytest.approx(stats.sem(sums))


def test_many_units_have_the_interval_of_theory() -> None:
    rng = np.random.default_rng(0)
    clips = rng.normal(10, 2, size=200)
    estimate = mean(ClipSums.of(rows({f"c{i}": [value] * 5 for i, value in enumerate(clips)})), CONFIG)
    assert estimate is not None
    reach = 1.96 * clips.std() / math.sqrt(200)  # five equal frames tell no more than one
    assert estimate.high - estimate.low == pytest.approx(2 * reach, rel=0.1)
    assert estimate.low < estimate.mean < estimate.high


def test_a_long_tail_reaches_further_on_its_side() -> None:
    sums = np.random.default_rng(0).exponential(size=14)
    (low,), (high,) = interval(sums[None], np.ones(14), CONFIG)
    assert high - sums.mean() > 1.2 * (sums.mean() - low)


def test_many_samples_at_once_are_as_one_by_one() -> None:
    rng = np.random.default_rng(0)
    sums, counts = 100 + rng.normal(size=(3, 8)), rng.integers(1, 4, size=8).astype(float)
    for together, alone in zip(np.transpose(interval(sums, counts, CONFIG)), sums, strict=True):
        np.testing.assert_allclose(together, np.ravel(interval(alone[None], counts, CONFIG)), rtol=1e-9)
    np.testing.assert_allclose(sign_flip_p(sums, CONFIG), [p_of(one) for one in sums])


def test_moving_and_scaling_values_does_the_same_to_the_interval() -> None:
    rng = np.random.default_rng(0)
    sums, counts = rng.exponential(size=(1, 10)), rng.integers(1, 4, size=10).astype(float)
    expected = 1e4 + 3 * np.array(interval(sums, counts, CONFIG))
    np.testing.assert_allclose(interval(1e4 * counts + 3 * sums, counts, CONFIG), expected, rtol=1e-9)


def test_the_same_seed_gives_the_same_interval() -> None:
    sums = ClipSums.of(rows({f"c{i}": [float(i % 7)] for i in range(20)}))
    assert mean(sums, CONFIG) == mean(sums, CONFIG)
    assert mean(sums, CONFIG) != mean(sums, BootstrapConfig(samples=2000, seed=2))


def test_pairing_removes_what_clips_share() -> None:
    rng = np.random.default_rng(0)
    hard = rng.normal(0, 10, size=60)
    mine = rows({f"c{i}": [value, value] for i, value in enumerate(hard)})
    other = rows({f"c{i}": [value + 1 + 0.1 * (i % 2)] * 2 for i, value in enumerate(hard)})
    found = difference(mine, other, CONFIG)
    assert found is not None
    assert found.mean == pytest.approx(-1.05)
    assert -1.1 < found.low < found.high < -1 and found.excludes_zero


def test_a_difference_is_taken_on_common_clips_and_frames() -> None:
    mine, other = rows({"a": [1, 2, 3], "b": [9]}), rows({"a": [0, 0], "c": [100]})
    found = difference(mine, other, CONFIG)
    assert found is not None
    assert (found.mean, found.clips, found.frames) == (1.5, 1, 2)
    assert difference(rows({"a": [1]}), rows({"b": [1]}), CONFIG) is None


def test_equal_runs_differ_by_nothing() -> None:
    same = rows({f"c{i}": [float(i)] for i in range(10)})
    found = difference(same, same, CONFIG)
    assert found is not None
    assert (found.mean, found.low, found.high) == (0, 0, 0) and not found.excludes_zero
    assert p_of(np.zeros(10)) == 1


def test_identities_as_units_widen_the_interval() -> None:
    rng = np.random.default_rng(0)
    values = {f"p{i}#{n}": [value] for i, value in enumerate(rng.normal(size=40)) for n in range(4)}
    by_clip = mean(ClipSums.of(rows(values), "clip"), CONFIG)
    by_identity = mean(ClipSums.of(rows(values)), CONFIG)
    assert by_clip is not None and by_identity is not None
    assert by_identity.mean == pytest.approx(by_clip.mean)
    assert (by_identity.high - by_identity.low) / (by_clip.high - by_clip.low) == pytest.approx(2, rel=0.15)
    assert by_identity.clips == by_clip.clips == 160
    assert (by_identity.units, by_clip.units) == (40, 160)


@given(st.lists(st.integers(-100, 100), min_size=1, max_size=8))
@settings(max_examples=30)
def test_sign_flips_are_counted_in_full(sums: list[int]) -> None:
    ways = np.array([signs @ np.array(sums) for signs in itertools.product([-1, 1], repeat=len(sums))])
    assert p_of(np.array(sums, float)) == np.mean(np.abs(ways) >= abs(sum(sums)))


def test_the_smallest_p_is_two_ways_in_all() -> None:
    assert p_of(np.arange(1.0, 11)) == 2 / 2**10
    assert p_of(np.arange(1.0, 41)) == 1 / 2001  # drawn: none as far, and the way that was found


def test_drawn_flips_agree_with_theory() -> None:
    sums = np.random.default_rng(3).normal(0.3, 1, size=60)
    theory = stats.ttest_1samp(sums, 0).pvalue
    assert p_of(sums, BootstrapConfig(samples=20_000)) == pytest.approx(theory, abs=0.01)


def test_holm_by_hand() -> None:
    np.testing.assert_allclose(holm(np.array([0.01, 0.04, 0.03, 0.005])), [0.03, 0.06, 0.06, 0.02])
    np.testing.assert_allclose(holm(np.array([0.5, 0.9])), [1, 1])
    assert holm(np.array([])).size == 0


def test_too_few_samples_are_refused() -> None:
    with pytest.raises(ValueError, match="samples"):
        BootstrapConfig(samples=10)
