"""The joint detector and the identity encoder, on dots that any detector must find."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from small_pipeline import EVALUATION, SIZE, configure, dots, make_data

from eval.__main__ import main
from eval.evaluators import heatmap, osnet
from eval.evaluators.augment import crop, crops
from eval.evaluators.heatmap import find_peaks, paint
from eval.scoring.quality import identity_quality, landmark_quality
from eval.types import to_pixels
from tpsm.core.errors import UserError
from tpsm.data.clip import write_clip

DETECTOR = heatmap.Config(size=SIZE, width=8, steps=150, batch=8, threshold=0.3)
ENCODER = osnet.Config(steps=4, batch=8)


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """These networks are too small to share between threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("clips")
    return [write_clip(folder, dots(f"{'abc'[i % 3]}#{i}", i, frames=16)) for i in range(9)]


def test_a_painted_peak_is_found_between_cells() -> None:
    joints = torch.tensor([[[0.1234, -0.4567], [-1.0, 1.0], [0.3, 0.3]]])
    maps = paint(joints, torch.tensor([[True, True, False]]), 32, 1.2)
    xy, height = find_peaks(maps)
    torch.testing.assert_close(xy[0, :2], joints[0, :2], atol=1e-4, rtol=0)
    assert height[0, 0] > 0.8 and height[0, 2] == 0


def test_a_crop_shows_what_its_numbers_say() -> None:
    rng = torch.Generator().manual_seed(0)
    scale, offset = crops(4, 0.2, 0.2, rng)
    point = torch.tensor([0.25, -0.1])
    picture = paint(point.expand(4, 3, 2), torch.ones(4, 3, dtype=torch.bool), 65, 3.0)
    found, _ = find_peaks(crop(picture, scale, offset))
    expected = (point - offset) / scale[:, None]
    torch.testing.assert_close(found[:, 0], expected, atol=0.01, rtol=0)


def test_the_detector_learns_joints_and_absence(clips: list[Path], tmp_path: Path) -> None:
    detector = heatmap.train(DETECTOR, clips[:-2], "key")
    quality = landmark_quality(detector, clips[-2:])
    assert quality["median_error_px"] is not None and quality["median_error_px"] < 1
    assert quality["visible_found"] is not None and quality["visible_found"] > 0.9
    assert quality["hidden_found"] is not None and quality["hidden_found"] < 0.2
    assert quality["shift_akd"] is not None and 0 <= quality["shift_akd"] < 1

    frames = dots("f", 99).frames
    seen = detector(frames)
    detector.save(tmp_path / "d.pt")
    again = heatmap.load(DETECTOR, tmp_path / "d.pt")(frames)
    np.testing.assert_array_equal(seen.xy, again.xy)
    # Coordinates are relative to the picture: twice the size, the same places.
    large = detector(frames.repeat(2, axis=1).repeat(2, axis=2))
    found = seen.found & large.found
    error = np.abs(to_pixels(seen.xy, SIZE, SIZE) - to_pixels(large.xy, SIZE, SIZE))[found]
    assert found.mean() > 0.7 and error.mean() < 1


def test_training_repeats_itself(clips: list[Path]) -> None:
    frames = dots("f", 99).frames
    config = heatmap.Config(size=SIZE, width=8, steps=3, batch=4)
    first, second = (heatmap.train(config, clips[:2], "key")(frames) for _ in range(2))
    np.testing.assert_array_equal(first.xy, second.xy)
    one, two = (osnet.train(ENCODER, clips[:2], "key")(frames) for _ in range(2))
    np.testing.assert_allclose(one, two, atol=1e-5)


def test_embeddings_are_unit_vectors_and_survive_the_disk(clips: list[Path], tmp_path: Path) -> None:
    encoder = osnet.train(ENCODER, clips[:3], "key")
    embedding = encoder(dots("f", 99).frames)
    np.testing.assert_allclose(np.linalg.norm(embedding, axis=1), 1, rtol=1e-5)
    encoder.save(tmp_path / "e.pt")
    np.testing.assert_array_equal(osnet.load(ENCODER, tmp_path / "e.pt")(dots("f", 99).frames), embedding)


def test_identity_quality_by_hand(clips: list[Path]) -> None:
    class GreyOfTheGround:
        """It decides on one of two axes: b has its own, a and c share the other."""

        def __call__(self, frames: np.ndarray) -> np.ndarray:
            axis = int(frames[0, 0, 0, 0] == 105)
            return np.eye(2, dtype=np.float32)[[axis] * len(frames)]

        def save(self, path: Path) -> None:
            raise NotImplementedError

    quality = identity_quality(GreyOfTheGround(), clips[:5])  # a b c a b
    assert quality["same_identity_distance"] == 0 and quality["same_clip_aed"] == 0
    # Of 16 ordered pairs of clips of two identities, 12 involve b and lie sqrt(2) apart, 4 are of a and c and lie at 0.
    assert quality["other_identity_distance"] == pytest.approx(12 * 2**0.5 / 16, abs=1e-5)
    assert quality["auc"] == pytest.approx((12 + 4 / 2) / 16), "ties count half"
    assert quality["rank_1_by_chance"] == pytest.approx(1 / 4)


def test_osnet_is_loaded_without_the_rest_of_torchreid() -> None:
    code = "import sys; from eval.evaluators.torchreid_osnet import osnet_module; osnet_module(); "
    code += "print('torchreid' in sys.modules)"
    root = Path(__file__).parents[3]
    run = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"


@pytest.mark.parametrize(
    ("values", "field"),
    [({"size": 30}, "size"), ({"threshold": 1.0}, "threshold"), ({"steps": 0}, "steps"), ({"jitter": 1.0}, "jitter")],
)
def test_bad_detector_settings_are_refused(values: dict, field: str) -> None:
    with pytest.raises(ValueError, match=f"^{field}: "):
        heatmap.Config(**values)


def test_what_cannot_be_trained_names_its_key(tmp_path: Path) -> None:
    bare = [write_clip(tmp_path, dots("a#0", 0, has_truth=False))]
    with pytest.raises(
        UserError, match=r"a#0\.zip has no ground-truth joints.*set evaluation\.d\.evaluators\.landmarks to"
    ):
        heatmap.train(DETECTOR, bare, "evaluation.d.evaluators.landmarks")
    with pytest.raises(UserError, match=r"evaluation\.d\.evaluators\.identity tells identities apart and needs two"):
        osnet.train(ENCODER, bare, "evaluation.d.evaluators.identity")
    with pytest.raises(UserError, match="no training clips"):
        heatmap.train(DETECTOR, [], "key")


def test_the_command_says_in_one_sentence_what_to_mend(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    layout = make_data(tmp_path, has_truth=False)
    arguments = ["--dataset", "dots", "--root", str(tmp_path)]
    assert main(["evaluators", *arguments]) == 2
    assert "evaluation.dots.evaluators.landmarks" in capsys.readouterr().err
    configure(layout, EVALUATION | {"evaluators": {"landmarks": {"kind": "openpose"}}})
    assert main(["evaluators", *arguments]) == 2
    assert "evaluators.landmarks.kind is 'openpose'; choose one of heatmap" in capsys.readouterr().err
    configure(layout, {"evaluators": {"landmarks": None}, "metrics": ["l1", "fid"]})
    assert main(["features", *arguments]) == 2
    assert "there is no 'fid'" in capsys.readouterr().err
    configure(layout, {})
    assert main(["evaluators", *arguments]) == 0
    assert json.loads((layout.evaluators / "quality.json").read_text()).keys() == {"provenance"}
