"""Which driving frame is nearest to the source, and where relative motion starts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from small_methods import make

from tpsm.core.tensors import to_frames, to_tensor
from tpsm.inference.generate import animate
from tpsm.inference.relative import area_ratio
from tpsm.methods import METHODS
from tpsm.show.best_frame import MethodPose, nearest_frame, pose_distance

POSE = np.array([[0, 0], [0.5, 0.1], [0.2, 0.6], [-0.4, 0.3]])
ALL = np.ones(4, bool)


@given(st.floats(0.1, 3), st.floats(-1, 1), st.floats(-1, 1))
def test_place_and_size_of_a_pose_do_not_count(scale: float, x: float, y: float) -> None:
    assert pose_distance(POSE, ALL, scale * POSE + (x, y), ALL) == pytest.approx(0, abs=1e-9)


def test_distances_in_closed_form() -> None:
    """Turned by half a circle every point is opposite: twice as far from its place as from the middle."""
    assert pose_distance(POSE, ALL, -POSE, ALL) == pytest.approx(4)
    some = np.array([True, True, True, False])
    assert pose_distance(POSE, some, POSE, ALL) == pytest.approx(1 / 4)  # one of four that only one pose has
    assert pose_distance(POSE, some, POSE, ~some) == np.inf
    assert pose_distance(POSE[:1], ALL[:1], POSE[1:2], ALL[:1]) == 0  # one point is anywhere


@dataclass
class Found:
    xy: np.ndarray
    found: np.ndarray


def test_the_nearest_frame_is_found_in_any_piece_of_the_clip() -> None:
    """40 frames are more than go through a detector at once; in frame 0 nothing is seen, and frame 33 fits."""
    poses = np.stack([POSE + 0.5 * np.sin(i + np.arange(8)).reshape(4, 2) for i in range(40)])
    poses[33] = 2 * POSE - 0.3
    seen = np.ones((40, 4), bool)
    seen[0] = False
    frames = [np.full((8, 8, 3), i, np.uint8) for i in range(41)]

    def detector(images: np.ndarray) -> Found:
        which = images[:, 0, 0, 0]
        source = which == 40
        return Found(
            np.where(source[:, None, None], POSE, poses[which.clip(max=39)]),
            source[:, None] | seen[which.clip(max=39)],
        )

    assert nearest_frame(frames[40], frames[:40], detector) == 33
    assert nearest_frame(frames[0], frames[:40], detector) is None  # nothing is found in the source
    assert nearest_frame(frames[40], frames[:1], detector) is None  # nor in the driving clip


@pytest.mark.parametrize("name", METHODS)
def test_where_the_clip_shows_the_reference_the_source_keeps_its_pose(name: str) -> None:
    """Relative motion is s + scale (d - d0): at d = d0 it is s, whatever the frames before."""
    method = make(name).eval()
    rng = np.random.default_rng(0)
    source, *driving = rng.integers(0, 256, (20, 32, 32, 3), dtype=np.uint8)
    code = method.encode(to_tensor(source[None], torch.device("cpu")))
    own = code.keypoints
    for number in (0, 17):
        pose = method.keypoints(to_tensor(driving[number][None], torch.device("cpu")))
        still = type(own)(own.xy, own.affine, pose.covariance)  # the covariance stays the driving one
        expected = to_frames(method.render(code, still).image)[0]
        made = list(animate(method, source, driving, "relative", reference=driving[number]))
        assert len(made) == 19
        assert np.abs(made[number].astype(int) - expected).max() <= 1
    first, same = (
        np.stack(list(animate(method, source, driving, "relative", None, frame))) for frame in (None, driving[0])
    )
    assert np.abs(first.astype(int) - same).max() <= 1


def test_a_black_first_frame_need_not_decide_the_scale() -> None:
    """The motion's scale is that of the hulls of the source and of the reference, not of a first frame without a
    figure."""
    method = make("mraa").eval()
    rng = np.random.default_rng(1)
    source, good = rng.integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    black = np.zeros_like(source)
    a, b, c = (MethodPose(method, frame[None]).xy[0] for frame in (source, black, good))
    ratios = [area_ratio(torch.from_numpy(a), torch.from_numpy(x)) for x in (b, c)]
    assert ratios[0] != pytest.approx(ratios[1], rel=1e-3)
    with_black = list(animate(method, source, [black, good], "relative", reference=good))
    without = list(animate(method, source, [good], "relative"))
    assert np.abs(with_black[1].astype(int) - without[0]).max() <= 1
