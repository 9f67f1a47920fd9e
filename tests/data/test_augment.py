"""Augmentation: both frames alike, each change switchable, probabilities as specified."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance

from tpsm.core.tensors import to_float
from tpsm.data.augment import augment
from tpsm.data.config import AugmentConfig

OFF = AugmentConfig(False, False, 0.0, 0.0, 0.0, 0.0, 0.0)


def pair(size: int = 16) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (2, size, size, 3), dtype=np.uint8)


def apply(config: AugmentConfig, seed: int = 0, images: np.ndarray | None = None) -> np.ndarray:
    given = pair() if images is None else images
    return augment(given, config, np.random.default_rng(seed)).permute(0, 2, 3, 1).numpy()


def test_off_is_off() -> None:
    np.testing.assert_array_equal(apply(OFF), pair())


@pytest.mark.parametrize(
    ("time", "mirror", "shares"),
    [(True, True, (0.25, 0.5, 0.25)), (True, False, (0.5, 0.5, 0)), (False, True, (0.5, 0, 0.5))],
)
def test_flips_exclude_each_other(time: bool, mirror: bool, shares: tuple[float, ...]) -> None:
    config = replace(OFF, flip_time=time, flip_horizontal=mirror)
    kinds = {"none": pair(), "time": pair()[::-1], "mirror": pair()[:, :, ::-1]}
    seen: Counter[str] = Counter()
    rng = np.random.default_rng(1)
    for _ in range(2000):
        got = augment(pair(), config, rng).permute(0, 2, 3, 1).numpy()
        seen[next(name for name, wanted in kinds.items() if np.array_equal(got, wanted))] += 1
    for name, share in zip(("none", "time", "mirror"), shares, strict=True):
        assert seen[name] / 2000 == pytest.approx(share, abs=0.04 if share else 0)


@pytest.mark.parametrize("name", ["brightness", "contrast", "saturation", "hue"])
def test_each_jitter_changes_colours_and_both_frames_alike(name: str) -> None:
    config = replace(OFF, **{name: 0.3})
    twice = np.repeat(pair()[:1], 2, axis=0)
    got = apply(config, images=twice)
    assert not np.array_equal(got, twice)
    np.testing.assert_array_equal(got[0], got[1])


@pytest.mark.parametrize(
    ("name", "enhance"),
    [
        ("brightness", ImageEnhance.Brightness),
        ("contrast", ImageEnhance.Contrast),
        ("saturation", ImageEnhance.Color),
    ],
)
def test_jitter_is_what_pillow_does(name: str, enhance: type) -> None:
    for seed in range(5):
        factor = np.random.default_rng(seed).uniform(0.7, 1.3)
        wanted = np.stack([np.asarray(enhance(Image.fromarray(frame)).enhance(factor)) for frame in pair()])
        got = apply(replace(OFF, **{name: 0.3}), seed)
        assert np.abs(got.astype(int) - wanted).max() <= 2


def test_hue_turns_red_to_its_neighbours_and_leaves_gray() -> None:
    images = np.zeros((2, 4, 4, 3), np.uint8)
    images[0, ..., 0], images[1] = 200, 90
    got = apply(replace(OFF, hue=0.1), images=images)
    np.testing.assert_array_equal(got[1], images[1])
    assert got[0, 0, 0, 0] >= 199 and sorted(got[0, 0, 0])[0] == 0 and 0 < sorted(got[0, 0, 0])[1] < 130


def test_the_order_of_the_jitter_changes() -> None:
    """With one brightness and one contrast, the order alone makes results differ beyond rounding."""
    from tpsm.data import augment as module

    class Fixed(np.random.Generator):
        def uniform(self, low: float = 0.0, high: float = 1.0, size: None = None) -> float:  # type: ignore[override]
            return low

    config = AugmentConfig(False, False, 0.4, 0.4, 0.0, 0.0, 0.0)
    results = {module.augment(pair(), config, Fixed(np.random.PCG64(seed))).numpy().tobytes() for seed in range(12)}
    assert len(results) == 2


def test_resize_zooms_both_frames_and_keeps_the_size() -> None:
    axis = np.linspace(0, 255, 64)
    ramp = np.repeat(np.stack([*np.meshgrid(axis, axis), np.zeros((64, 64))], -1)[None], 2, axis=0).astype(np.uint8)
    slopes = []
    for seed in range(30):
        got = apply(replace(OFF, resize=0.1), seed, ramp)
        assert got.shape == ramp.shape
        np.testing.assert_array_equal(got[0], got[1])
        slopes.append(np.polyfit(np.arange(20, 44), got[0, 32, 20:44, 0].astype(float), 1)[0] / (255 / 63))
    assert min(slopes) < 0.96 and max(slopes) > 1.04
    assert min(slopes) > 0.88 and max(slopes) < 1.13


def test_floats_are_255ths() -> None:
    images = torch.tensor([0, 128, 255], dtype=torch.uint8).reshape(1, 3, 1, 1)
    torch.testing.assert_close(to_float(images).flatten(), torch.tensor([0, 128 / 255, 1.0]))


def test_torchvision_is_loaded_for_jitter_only() -> None:
    """It takes seconds, which every command would pay."""
    script = """
import sys
import numpy as np
import tpsm.data.pairs
from tpsm.data.augment import AugmentConfig, augment
pair = np.arange(2 * 8 * 8 * 3, dtype=np.uint8).reshape(2, 8, 8, 3)
got = augment(pair, AugmentConfig(False, False, 0.0, 0.0, 0.0, 0.0), np.random.default_rng(0))
assert (got.permute(0, 2, 3, 1).numpy() == pair).all()
print("torchvision" in sys.modules)
augment(pair, AugmentConfig(), np.random.default_rng(0))
print("torchvision" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]
