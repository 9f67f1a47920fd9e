"""PSNR, SSIM, CSIM and LPIPS against closed forms."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity
from torch import nn

from eval import metrics, weights
from eval.metrics import available_metrics
from eval.metrics.csim import csim
from eval.metrics.lpips import load_network, lpips, read_alexnet
from eval.metrics.psnr import psnr
from eval.metrics.ssim import ssim
from eval.types import ScoredClip
from tpsm.core.errors import UserError

GREY = np.full((2, 16, 16, 3), 100, np.uint8)
NOISE = np.random.default_rng(0).integers(0, 256, (2, 24, 24, 3), dtype=np.uint8)


def test_psnr_of_a_constant_error() -> None:
    assert psnr(GREY + np.uint8(51), GREY) == pytest.approx([20 * np.log10(5)] * 2)  # 51 of 255 is a fifth
    assert psnr(GREY, GREY + np.uint8(51)) == pytest.approx([20 * np.log10(5)] * 2)


def test_psnr_of_equal_frames_is_what_rounding_allows() -> None:
    assert psnr(GREY, GREY) == pytest.approx([58.92, 58.92], abs=0.005)
    rounded = np.random.default_rng(0).uniform(20, 230, 10**6)
    assert -10 * np.log10(np.square((rounded - rounded.round()) / 255).mean()) == pytest.approx(58.92, abs=0.02)


def test_ssim_of_flat_pictures_is_that_of_their_means() -> None:
    # Without variance the structure's term is 1, and (2 a b + c) / (a^2 + b^2 + c) is left, c = (.01 * 255)^2.
    c = (0.01 * 255) ** 2
    assert ssim(GREY, GREY + np.uint8(50)) == pytest.approx([(2 * 100 * 150 + c) / (100**2 + 150**2 + c)] * 2)


def test_ssim_of_equal_inverted_and_blurred_pictures() -> None:
    assert ssim(NOISE, NOISE) == pytest.approx([1, 1])
    assert (ssim(255 - NOISE, NOISE) < -0.8).all()
    mixed = ((NOISE.astype(float) + 128) / 2).astype(np.uint8)
    assert ((ssim(mixed, NOISE) > 0.5) & (ssim(mixed, NOISE) < 0.95)).all()


@pytest.mark.parametrize("change", [0, 20, 250])
def test_ssim_is_scikit_images(change: int) -> None:
    rng = np.random.default_rng(change)
    real = rng.integers(0, 256, (3, 40, 53, 3), dtype=np.uint8)
    real[:, :20] = 7  # where both are flat, the constants alone decide
    made = (real.astype(int) + rng.integers(-change, change + 1, real.shape)).clip(0, 255).astype(np.uint8)
    settings = {"sigma": 1.5, "gaussian_weights": True, "use_sample_covariance": False}
    expected = [
        structural_similarity(*pair, channel_axis=-1, data_range=255, **settings)
        for pair in zip(made, real, strict=True)
    ]
    np.testing.assert_allclose(ssim(made, real), expected, rtol=1e-12)


def test_csim_is_the_cosine() -> None:
    mine, source = np.array([[3.0, 0], [1, 1], [0, 2], [np.nan, 1]]), np.array([[1.0, 0], [1, 0], [0, -1], [1, 0]])
    found = csim(mine, source)
    assert found[:3] == pytest.approx([1, np.sqrt(0.5), -1]) and np.isnan(found[3])
    assert np.isnan(csim(np.zeros((1, 2)), source[:1]))[0]


class Difference(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.unit = nn.Parameter(torch.ones(()))

    def forward(self, mine: torch.Tensor, theirs: torch.Tensor) -> torch.Tensor:
        assert mine.min() >= -1 and mine.max() <= 1
        return (mine - theirs).abs().mean(dim=(1, 2, 3), keepdim=True) * self.unit


def test_lpips_sends_pictures_of_minus_one_to_one_and_keeps_their_order() -> None:
    dark, light = np.zeros((40, 8, 8, 3), np.uint8), np.zeros((40, 8, 8, 3), np.uint8)
    light[7:] = 255
    assert lpips(Difference(), dark, light) == pytest.approx([0] * 7 + [2] * 33)


needs_alexnet = pytest.mark.skipif(
    bool(weights.absent(["alexnet"])), reason="python -m eval weights fetch alexnet was not typed"
)


@needs_alexnet
def test_lpips_grows_with_what_is_seen() -> None:
    pytest.importorskip("lpips")
    _, scores = metrics.load("lpips")
    ramp = np.broadcast_to(np.linspace(0, 255, 64).astype(np.uint8)[None, :, None], (1, 64, 64, 3))
    rng = np.random.default_rng(0)
    noisy = [(ramp + rng.normal(0, sd, ramp.shape)).clip(0, 255).astype(np.uint8) for sd in (0, 4, 16, 64)]
    found = [float(scores["strict"](ScoredClip(frames), ScoredClip(ramp))[0]) for frames in noisy]
    assert found[0] == pytest.approx(0, abs=1e-6)
    assert found == sorted(found) and 0 < found[1] < 0.3 < found[3] < 1.5


@needs_alexnet
def test_the_file_holds_the_heads_of_the_package() -> None:
    pytest.importorskip("lpips")
    network = load_network()
    with weights.locate("alexnet").path.open("rb") as file:
        held = pickle.load(file)  # the pinned file, for the test alone
    for i in range(5):
        there = held[f"NetLinLayer_{i}"]["Conv_0"]["kernel"].reshape(-1)
        here = getattr(network, f"lin{i}").model[-1].weight.detach().cpu().numpy().reshape(-1)
        np.testing.assert_allclose(here, there, rtol=1e-5)


class Evil:
    def __reduce__(self) -> tuple:
        return Path.touch, (Path("spoilt"),)


@pytest.mark.parametrize("content", [Evil(), {"AlexNet_0": {}}, [1, 2]])
def test_a_file_that_is_no_alexnet_is_refused_and_runs_nothing(
    content: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_bytes(pickle.dumps(content))
    with pytest.raises(UserError, match="file is no file of AlexNet's weights"):
        read_alexnet(tmp_path / "file")
    assert not (tmp_path / "spoilt").exists()


def test_kernels_are_turned_into_pytorchs_order(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    layers = {f"Conv_{i}": {"kernel": rng.normal(size=(3, 5, 2, 4)), "bias": rng.normal(size=4)} for i in range(5)}
    text = pickle.dumps({"AlexNet_0": layers}, protocol=3).replace(b"numpy._core.", b"numpy.core.")
    (tmp_path / "file").write_bytes(text)
    kernel, bias = read_alexnet(tmp_path / "file")[4]
    assert kernel.shape == (4, 2, 3, 5) and bias.shape == (4,)
    assert kernel[1, 0, 2, 3].item() == pytest.approx(layers["Conv_4"]["kernel"][2, 3, 0, 1], rel=1e-6)


@pytest.mark.parametrize(
    ("installed", "command"), [(True, "python -m eval weights fetch alexnet"), (False, "pip install lpips")]
)
def test_a_metric_without_its_package_or_weights_is_left_out_and_says_what_to_type(
    installed: bool, command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(metrics, "find_spec", lambda _: object() if installed else None)
    assert available_metrics(("l1", "lpips", "psnr")) == ["l1", "psnr"]
    assert command in caplog.text
