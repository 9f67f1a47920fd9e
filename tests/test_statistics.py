"""Bootstrap over clips: estimates by hand, intervals against theory."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from eval.statistics import BootstrapConfig, ClipSums, difference, mean

CONFIG = BootstrapConfig(samples=2000, seed=1)


def rows(values: dict[str, list[float]]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {"clip": clip, "identity": clip.split("#")[0], "frame": frame, "value": value}
            for clip, frames in values.items()
            for frame, value in enumerate(frames)
        ]
    )


def test_the_mean_is_over_frames_and_not_over_clips() -> None:
    estimate = mean(ClipSums.of(rows({"a": [1, 1, 1], "b": [5]})), CONFIG)
    assert estimate is not None
    assert (estimate.mean, estimate.clips, estimate.frames) == (2, 2, 4)
    # Both draws the same clip: a quarter of the resamples each, so the bounds are the clips' own means.
    assert (estimate.low, estimate.high) == (1, 5)


def test_frames_that_do_not_count_are_left_out() -> None:
    estimate = mean(ClipSums.of(rows({"a": [1, math.nan], "b": [math.nan], "c": [3, 3]})), CONFIG)
    assert estimate is not None
    assert estimate.mean == pytest.approx(7 / 3)
    assert (estimate.clips, estimate.frames) == (2, 3)
    assert mean(ClipSums.of(rows({"a": [math.nan]})), CONFIG) is None


def test_one_clip_has_no_interval() -> None:
    estimate = mean(ClipSums.of(rows({"a": [1, 2]})), CONFIG)
    assert estimate is not None
    assert math.isnan(estimate.low) and not estimate.excludes_zero


def test_the_interval_is_that_of_the_mean_of_clips() -> None:
    rng = np.random.default_rng(0)
    clips = rng.normal(10, 2, size=200)
    estimate = mean(ClipSums.of(rows({f"c{i}": [value] * 5 for i, value in enumerate(clips)})), CONFIG)
    assert estimate is not None
    reach = 1.96 * clips.std() / math.sqrt(200)  # five equal frames tell no more than one
    assert estimate.high - estimate.low == pytest.approx(2 * reach, rel=0.1)
    assert estimate.low < estimate.mean < estimate.high


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


def test_identities_as_units_widen_the_interval() -> None:
    rng = np.random.default_rng(0)
    values = {f"p{i}#{n}": [value] for i, value in enumerate(rng.normal(size=40)) for n in range(4)}
    by_clip = mean(ClipSums.of(rows(values)), CONFIG)
    by_identity = mean(ClipSums.of(rows(values), "identity"), BootstrapConfig(2000, 1, "identity"))
    assert by_clip is not None and by_identity is not None
    assert by_identity.mean == pytest.approx(by_clip.mean)
    assert (by_identity.high - by_identity.low) / (by_clip.high - by_clip.low) == pytest.approx(2, rel=0.15)
    assert by_identity.clips == by_clip.clips == 160


def test_too_few_samples_are_refused() -> None:
    with pytest.raises(ValueError, match="samples"):
        BootstrapConfig(samples=10)
