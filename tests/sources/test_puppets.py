"""The generator's promise: its ground truth is exact, and its clips are worth animating."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import binary_erosion, map_coordinates
from skimage.color import rgb2gray
from skimage.registration import optical_flow_ilk

from tpsm.core.clips import Clip, GroundTruth
from tpsm.core.errors import UserError
from tpsm.data.clip import unpack_truth
from tpsm.data.still import read_image
from tpsm.sources.puppets.body import DRAW_ORDER, JOINTS, PARTS, carriers
from tpsm.sources.puppets.generate import puppet_clip, synthesize

SIZE = 96


@pytest.fixture(scope="module", params=[0, 3, 8])
def clip(request: pytest.FixtureRequest) -> Clip:
    return puppet_clip(request.param, 1, size=SIZE, frames=12, seed=5)


def truth_of(clip: Clip) -> GroundTruth:
    assert clip.truth is not None
    return clip.truth


def warp_first(clip: Clip, frame: int) -> np.ndarray:
    x, y = np.moveaxis((truth_of(clip).motion(frame).astype(float) + 1) / 2 * (SIZE - 1), -1, 0)
    first = clip.frames[0].astype(float)
    return np.stack([map_coordinates(first[..., c], [y, x], order=1, mode="nearest") for c in range(3)], axis=-1)


def interior(truth: GroundTruth, frame: int) -> np.ndarray:
    """Pixels whose surface is seen in both frames, away from the parts' mixed borders in both."""
    first_inside = np.zeros((SIZE, SIZE), bool)
    for part in range(len(PARTS)):
        first_inside |= binary_erosion(truth.labels[0] == part, np.ones((3, 3)))
    x, y = np.moveaxis(np.rint((truth.motion(frame) + 1) / 2 * (SIZE - 1)).astype(int), -1, 0)
    from_inside = first_inside[y.clip(0, SIZE - 1), x.clip(0, SIZE - 1)]
    own = np.zeros((SIZE, SIZE), bool)
    for part in range(len(PARTS)):
        own |= binary_erosion(truth.labels[frame] == part, np.ones((3, 3)))
    return truth.is_visible(frame, truth.motion(frame)) & from_inside & own


def test_warping_the_first_frame_gives_the_others(clip: Clip) -> None:
    truth = truth_of(clip)
    for frame in (0, 5, 11):
        error = np.abs(warp_first(clip, frame) - clip.frames[frame])
        where = interior(truth, frame)
        assert where.mean() > 0.3
        assert error[where].mean() < 4.5, frame  # of 255; 1 is rounding, the rest is interpolation of texture
        figure = where & (truth.labels[frame] > 0)
        still = np.abs(clip.frames[0].astype(float) - clip.frames[frame])
        if frame:
            assert error[figure].mean() < 0.5 * still[figure].mean()


def test_motion_of_the_first_frame_is_nothing(clip: Clip) -> None:
    truth = truth_of(clip)
    axis = np.linspace(-1, 1, SIZE)
    np.testing.assert_allclose(truth.motion(0), np.stack(np.meshgrid(axis, axis), -1), atol=1e-5)
    assert truth.is_visible(0, truth.motion(0)).all()


def test_joints_move_with_the_parts_that_carry_them(clip: Clip) -> None:
    truth = truth_of(clip)
    for index, joint in enumerate(JOINTS):
        for part in carriers(joint):
            points = np.concatenate([truth.joints[:, index], np.ones((len(clip.frames), 1), np.float32)], axis=1)
            back = np.einsum("tij,tj->ti", truth.to_first[:, part], points)
            np.testing.assert_allclose(back, np.broadcast_to(truth.joints[0, index], back.shape), atol=1e-4)


def test_visible_joints_lie_on_their_parts_and_hidden_ones_do_not(clip: Clip) -> None:
    truth = truth_of(clip)
    assert truth.joints.shape[1] == len(JOINTS)
    for frame, (joints, visible) in enumerate(zip(truth.joints, truth.visible, strict=True)):
        for joint, (x, y), seen in zip(JOINTS, joints, visible, strict=True):
            column, row = np.rint((np.array([x, y]) + 1) / 2 * (SIZE - 1)).astype(int)
            inside = 0 <= column < SIZE and 0 <= row < SIZE
            assert seen == (inside and truth.labels[frame, row, column] in carriers(joint))


def test_every_carrier_is_a_part() -> None:
    assert sorted(DRAW_ORDER) == list(range(len(PARTS)))
    assert {part for joint in JOINTS for part in carriers(joint)} == set(range(1, len(PARTS)))
    assert [PARTS[part] for part in carriers("left hip")] == ["left thigh", "torso"]


def test_the_figure_fills_the_picture_and_moves() -> None:
    heights, moves, hidden = [], [], []
    for identity in range(8):
        clip = puppet_clip(identity, 0, size=48, frames=16, seed=0)
        truth = truth_of(clip)
        rows = (truth.labels > 0).any(axis=2)
        heights += [np.ptp(np.flatnonzero(row)) / 47 for row in rows]
        figure = truth.labels > 0
        moves.append(np.abs(clip.frames.astype(float) - clip.frames[0])[figure].mean() / 255)
        hidden.append(1 - truth.visible.mean())
    assert 0.72 < np.median(heights) < 0.92
    assert np.mean(moves) > 0.15  # repeating the first frame is clearly wrong on the figure
    assert 0.02 < np.mean(hidden) < 0.4  # limbs hide one another, but not most of the time


def test_left_limbs_are_darker_than_right_ones() -> None:
    clip = puppet_clip(2, 0, size=64, frames=8, seed=0)
    labels = truth_of(clip).labels

    def shade(part: str) -> float:
        return float(clip.frames[labels == PARTS.index(part)].mean())

    for part in ("upper arm", "forearm", "thigh", "shin"):
        assert shade(f"left {part}") < 0.8 * shade(f"right {part}")


def test_a_seed_is_a_clip() -> None:
    def digest(**change: int) -> str:
        values = {"identity": 1, "number": 0, "size": 32, "frames": 3, "seed": 7} | change
        identity, number = values.pop("identity"), values.pop("number")
        return hashlib.sha256(puppet_clip(identity, number, **values).frames.tobytes()).hexdigest()

    assert digest() == digest()
    assert len({digest(), digest(identity=2), digest(number=1), digest(seed=8)}) == 4


def test_clips_of_a_puppet_share_its_look_and_not_its_stage() -> None:
    one, two = (puppet_clip(4, number, size=64, frames=4, seed=0) for number in (0, 1))
    assert one.identity == two.identity == "puppet004"

    def mean(clip: Clip, part: int) -> np.ndarray:
        return clip.frames[truth_of(clip).labels == part].astype(float).mean(axis=0)

    head, scene = PARTS.index("head"), 0
    assert np.abs(mean(one, head) - mean(two, head)).max() < 10
    assert np.abs(mean(one, scene) - mean(two, scene)).max() > 10


def test_drawing_says_how_far_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    few = {"size": 16, "train_identities": 1, "test_identities": 1, "clips_per_identity": 1, "frames": 2}
    synthesize(tmp_path / "piped", **few)
    assert not capsys.readouterr().err
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    synthesize(tmp_path / "seen", **few)
    assert "synthesize: 100%" in capsys.readouterr().err


def test_strips_are_lossless_and_splits_share_nobody(tmp_path: Path) -> None:
    synthesize(tmp_path, size=32, train_identities=2, test_identities=1, clips_per_identity=2, frames=3, seed=1)
    names = {
        split: sorted(p.name.split("#")[0] for p in (tmp_path / split).glob("*.npz")) for split in ("train", "test")
    }
    assert names == {"train": ["puppet000"] * 2 + ["puppet001"] * 2, "test": ["puppet002"] * 2}
    clip = puppet_clip(2, 1, size=32, frames=3, seed=1)
    (strip,) = (p for p in (tmp_path / "test").glob("puppet002#01.*") if p.suffix != ".npz")
    np.testing.assert_array_equal(read_image(strip), np.concatenate(list(clip.frames), axis=1))
    truth = unpack_truth((tmp_path / "test" / "puppet002#01.npz").read_bytes())
    np.testing.assert_array_equal(truth.to_first, truth_of(clip).to_first)


@pytest.mark.parametrize(("split", "identity", "number"), [("train", 0, 0), ("test", 57, 1)])
def test_the_embedded_set_is_what_the_generator_makes(split: str, identity: int, number: int) -> None:
    folder = Path(__file__).parents[2] / "samples" / "puppets" / split
    assert len(list(folder.glob("*.npz"))) == {"train": 88, "test": 28}[split]
    clip = puppet_clip(identity, number, size=64, frames=20, seed=0)
    (strip,) = (path for path in folder.glob(f"{clip.name}.*") if path.suffix != ".npz")
    # Mathematical libraries differ in their last bits, which may tip a rounding here and there.
    difference = read_image(strip).astype(float) - np.concatenate(list(clip.frames), axis=1)
    assert np.abs(difference).mean() < 0.01
    truth = unpack_truth((folder / f"{clip.name}.npz").read_bytes())
    np.testing.assert_allclose(truth.joints, truth_of(clip).joints, atol=1e-5)
    assert (truth.labels == truth_of(clip).labels).mean() > 0.999


def test_clips_are_not_mixed_with_older_ones(tmp_path: Path) -> None:
    old = tmp_path / "test" / "puppet000#00.png"
    old.parent.mkdir()
    old.touch()
    for folder in (tmp_path, old):
        with pytest.raises(UserError, match="no empty folder"):
            synthesize(folder, size=16, train_identities=1, test_identities=1, clips_per_identity=1, frames=2)
    assert list(tmp_path.rglob("*.*")) == [old]


def test_plain_image_registration_sees_the_camera_move() -> None:
    """A background whose motion cannot be seen could not be learnt by anyone, nor its motion's error mean anything."""
    errors, movements = [], []
    for identity in range(0, 40, 5):
        clip = puppet_clip(identity, identity % 2, size=64, frames=14, seed=0)
        grey = [rgb2gray(frame) for frame in clip.frames]
        for frame in (1, 7, 13):
            true = camera_motion(truth_of(clip), frame)
            flow = np.stack(optical_flow_ilk(grey[frame], grey[frame - 1], radius=5, num_warp=20)[::-1], axis=-1)
            found = affine_fit(flow, truth_of(clip).labels[frame] == 0)
            errors.append(np.median(np.linalg.norm(found - true, axis=-1)))
            movements.append(np.median(np.linalg.norm(true, axis=-1)))
    assert np.median(movements) > 0.7
    assert np.median(errors) < 0.25  # pixels of 64


def camera_motion(truth: GroundTruth, frame: int) -> np.ndarray:
    """How far, in pixels, the background at each pixel of `frame` has come since the frame before."""
    now, before = (np.vstack([truth.to_first[t][0], [0, 0, 1]]) for t in (frame, frame - 1))
    size = truth.labels.shape[-1]
    x, y = np.meshgrid(*[np.linspace(-1, 1, size)] * 2)
    here = np.stack([x, y, np.ones_like(x)], axis=-1)
    there = here @ (np.linalg.inv(before) @ now).T
    return (there - here)[..., :2] * (size - 1) / 2


def affine_fit(flow: np.ndarray, where: np.ndarray) -> np.ndarray:
    """The affine motion that most of the pixels of `where` follow: least squares, then again on the better half."""
    size = flow.shape[0]
    x, y = np.meshgrid(*[np.linspace(-1, 1, size)] * 2)
    points = np.stack([x, y, np.ones_like(x)], axis=-1)
    kept = where
    for _ in range(6):
        affine = np.linalg.lstsq(points[kept], flow[kept], rcond=None)[0]
        rest = np.linalg.norm(points @ affine - flow, axis=-1)
        kept = where & (rest <= 1.5 * np.median(rest[kept]))
    return points @ affine
