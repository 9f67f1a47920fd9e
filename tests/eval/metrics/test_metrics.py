"""Every metric against values worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from eval import metrics
from eval.metrics.aed import aed, aed_legacy
from eval.metrics.akd import akd, akd_legacy
from eval.metrics.epe import epe
from eval.metrics.l1 import l1
from eval.metrics.mkr import mkr
from eval.metrics.pose import pose
from eval.types import Landmarks, ScoredClip
from tpsm.core.clips import GroundTruth
from tpsm.core.errors import UserError

BOTH = np.array([[True, True]])


def frames(*values: int) -> np.ndarray:
    return np.stack([np.full((2, 2, 3), value, np.uint8) for value in values])


def test_l1_is_a_mean_in_unit_intensity_and_does_not_wrap() -> None:
    generated, real = frames(0, 255, 10), frames(0, 0, 20)
    assert l1(generated, real) == pytest.approx([0, 1, 10 / 255])
    one_pixel = real.copy()
    one_pixel[0, 0, 0] = (12, 0, 0)
    assert l1(one_pixel, real)[0] == pytest.approx(1 / 255)


def test_legacy_l1_is_the_value_taken_on_floats() -> None:
    scores = metrics.load("l1")[1]
    generated = ScoredClip(frames(0, 9), l1=np.array([0.25, 0.5]))
    assert scores["legacy"](generated, ScoredClip(frames(0, 0))) == pytest.approx([0.25, 0.5])
    assert scores["legacy"](replace(generated, l1=None), ScoredClip(frames(0, 0))) == pytest.approx([0, 9 / 255])
    assert scores["strict"](generated, ScoredClip(frames(0, 0))) == pytest.approx([0, 9 / 255])


def test_akd_is_euclidean_and_the_papers_is_not() -> None:
    generated = np.array([[[3.0, 4.0], [0.0, 0.0]]])
    assert akd(generated, np.zeros((1, 2, 2)), BOTH) == pytest.approx([(5 + 0) / 2])
    assert akd_legacy(generated, np.zeros((1, 2, 2)), BOTH) == pytest.approx([(3 + 4 + 0 + 0) / 4])


def test_akd_takes_joints_found_in_both_and_skips_frames_without() -> None:
    scores = metrics.load("akd")[1]
    xy = np.zeros((2, 2, 2), np.float32)
    moved = xy + np.float32(1)
    generated = ScoredClip(np.zeros((2, 5, 9, 3), np.uint8), Landmarks(moved, np.array([[True, False], [True, False]])))
    real = ScoredClip(generated.frames, Landmarks(xy, np.array([[True, True], [False, True]])))
    # One unit is half the picture: (9 - 1) / 2 = 4 px in x and (5 - 1) / 2 = 2 px in y.
    np.testing.assert_allclose(scores["strict"](generated, real), [np.hypot(4, 2), np.nan])
    np.testing.assert_allclose(scores["legacy"](generated, real), [(4 + 2) / 2, np.nan])


def test_akd_to_truth_counts_visible_joints_only() -> None:
    score = metrics.load("akd_truth")[1]["strict"]
    xy = np.zeros((1, 2, 2), np.float32)
    generated = ScoredClip(np.zeros((1, 5, 5, 3), np.uint8), Landmarks(xy, np.array([[True, True]])))
    joints = np.array([[[0.5, 0.0], [1.0, 1.0]]], np.float32)
    truth = still_truth(5, 5, joints, visible=np.array([[True, False]]))
    assert score(generated, ScoredClip(generated.frames, truth=truth)) == pytest.approx(
        [1.0]
    )  # half a unit of 2 px, in x alone


def test_mkr_is_a_share_of_the_joints_of_the_real_frame() -> None:
    real = np.array([[1, 1, 1, 0], [0, 0, 0, 0], [1, 1, 1, 1]], bool)
    generated = np.array([[1, 0, 0, 1], [1, 1, 1, 1], [1, 1, 1, 1]], bool)
    np.testing.assert_allclose(mkr(generated, real), [2 / 3, np.nan, 0])


def test_aed_is_a_distance_and_the_papers_its_square() -> None:
    embeddings = np.array([[0.6, 0.8], [1, 0], [np.nan, np.nan]]), np.array([[1.0, 0.0], [1, 0], [1, 0]])
    np.testing.assert_allclose(aed(*embeddings), [np.sqrt(0.16 + 0.64), 0, np.nan])
    np.testing.assert_allclose(aed_legacy(*embeddings), [0.16 + 0.64, 0, np.nan])


def test_rates_of_detection_by_hand() -> None:
    found = np.array([[True, False], [False, False], [True, True]])
    seen = ScoredClip(
        np.zeros((3, 2, 2, 3), np.uint8),
        Landmarks(np.zeros((3, 2, 2), np.float32), found),
        np.array([[1, 0], [np.nan, np.nan], [0, 1]], np.float32),
    )
    expected = {"landmarks_found": [1, 0, 1], "joints_found": [0.5, 0, 1], "identity_found": [1, 0, 1]}
    for name, shares in expected.items():
        metric, scores = metrics.load(name)
        assert scores["strict"](seen, seen).tolist() == shares and metric.detection and not metric.lower_is_better


def still_truth(height: int, width: int, joints: np.ndarray, visible: np.ndarray) -> GroundTruth:
    count = len(joints)
    identity = np.broadcast_to(np.eye(2, 3, dtype=np.float32), (count, 1, 2, 3)).copy()
    return GroundTruth(joints, visible, np.zeros((count, height, width), np.uint8), identity)


def test_epe_is_in_pixels_and_ignores_what_frame_0_hides() -> None:
    score = metrics.load("epe")[1]["strict"]
    truth = still_truth(5, 9, np.zeros((2, 1, 2), np.float32), np.ones((2, 1), bool))
    labels = truth.labels.copy()
    labels[1, 0, 0] = 1  # a part that frame 0 does not show, and that claims to move wildly
    matrices = np.broadcast_to(np.eye(2, 3, dtype=np.float32), (2, 2, 2, 3)).copy()
    matrices[1, 1, :, 2] = 50
    truth = replace(truth, labels=labels, to_first=matrices)
    still = np.stack(np.meshgrid(np.linspace(-1, 1, 9), np.linspace(-1, 1, 5)), axis=-1).astype(np.float32)
    moved = np.stack([still, still + np.array([0.75, 2.0], np.float32)])
    clip = np.zeros((2, 5, 9, 3), np.uint8)
    # .75 in x is 3 px of (9 - 1) / 2, 2 in y is 4 px of (5 - 1) / 2; the hypotenuse is 5.
    assert score(ScoredClip(clip, motion=moved), ScoredClip(clip, truth=truth)) == pytest.approx([0, 5], abs=1e-5)


def test_epe_of_figure_and_background_count_their_own_pixels() -> None:
    truth = still_truth(5, 9, np.zeros((2, 1, 2), np.float32), np.ones((2, 1), bool))
    labels = truth.labels.copy()
    labels[:, 2:4, 3:6] = 1
    matrices = np.broadcast_to(np.eye(2, 3, dtype=np.float32), (2, 2, 2, 3)).copy()
    truth = replace(truth, labels=labels, to_first=matrices)
    still = np.stack(np.meshgrid(np.linspace(-1, 1, 9), np.linspace(-1, 1, 5)), axis=-1).astype(np.float32)
    moved = np.stack([still, still])
    moved[1, labels[1] == 1, 0] += 0.5  # 2 px of (9 - 1) / 2
    moved[1, labels[1] == 0, 1] += 1.5  # 3 px of (5 - 1) / 2
    clip = np.zeros((2, 5, 9, 3), np.uint8)
    generated, reference = ScoredClip(clip, motion=moved), ScoredClip(clip, truth=truth)
    for part, error in (("figure", 2), ("background", 3)):
        scores = metrics.load(f"epe_{part}")[1]["strict"](generated, reference)
        assert scores == pytest.approx([0, error], abs=1e-5)
    both = metrics.load("epe")[1]["strict"](generated, reference)
    assert both == pytest.approx([0, (6 * 2 + 39 * 3) / 45], abs=1e-5), "EPE is their mean, by pixels"
    nobody = replace(truth, labels=np.zeros_like(labels))
    assert np.isnan(metrics.load("epe_figure")[1]["strict"](generated, ScoredClip(clip, truth=nobody))).all()


def test_epe_of_a_frame_without_pixels_that_count_is_nan() -> None:
    grid = np.zeros((2, 2, 2), np.float32)
    assert np.isnan(epe(grid, grid, np.zeros((2, 2), bool)))


def test_pose_ignores_place_and_size_alone() -> None:
    driving = np.array([[[0, 0], [4, 0], [0, 3]]], float)
    all_three = np.ones((1, 3), bool)
    assert pose(driving * 2.5 + (7, -3), driving, all_three) == pytest.approx([0], abs=1e-12)
    other = driving.copy()
    other[0, 2] = (0, -3)
    assert pose(other, driving, all_three)[0] > 1
    assert np.isnan(pose(driving, driving, np.array([[True, True, False]])))[0]
    assert np.isnan(pose(driving * 0, driving, all_three))[0]


def test_pose_by_hand() -> None:
    # Joints at -1, 0, 1 on the x axis against the same on the y axis: they are sqrt(2), 0 and sqrt(2) apart.
    lying = np.array([[[-1, 0], [0, 0], [1, 0]]], float)
    standing = lying[..., ::-1]
    assert pose(standing, lying, np.ones((1, 3), bool)) == pytest.approx([2 * np.sqrt(2) / 3])


def test_every_file_is_a_complete_metric() -> None:
    assert {"l1", "akd", "akd_truth", "mkr", "aed", "epe", "epe_figure", "epe_background", "pose"} <= set(
        metrics.names()
    )
    for name in metrics.names():
        metric, scores = metrics.load(name)
        assert metric.unit and metric.source and metric.title and metric.version >= 1
        assert tuple(scores) == metric.protocols and all(map(callable, scores.values()))
        assert metric.reconstruction or metric.animation
    papers = {name for name in metrics.names() if "legacy" in metrics.load(name)[0].protocols}
    assert papers == {"l1", "akd", "mkr", "aed"}


def test_an_unknown_metric_is_named() -> None:
    with pytest.raises(UserError, match="no metric 'fid'"):
        metrics.load("fid")
