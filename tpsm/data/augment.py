"""Changes training pairs at random, both frames alike: flip, resize, crop, then colour jitter."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor
from torch.nn import functional

from tpsm.data.config import AugmentConfig


def augment(
    pair: UInt8[np.ndarray, "2 h w 3"], config: AugmentConfig, rng: np.random.Generator
) -> UInt8[Tensor, "2 3 h w"]:
    """Returns source and driving after the same random changes, as 8-bit images, as the released code trains on."""
    images = torch.from_numpy(pair).permute(0, 3, 1, 2)
    # Time first, so that a pair is never flipped in both ways: 1/2 time, 1/4 mirror, 1/4 as it is.
    if config.flip_time and rng.random() < 0.5:
        images = images.flip(0)
    elif config.flip_horizontal and rng.random() < 0.5:
        images = images.flip(3)
    if config.resize:
        images = _resize_and_crop(images, rng.uniform(1 - config.resize, 1 + config.resize), rng)
    if config.jitters:
        images = _jitter(images, config, rng)
    return images.contiguous()


def _resize_and_crop(
    images: UInt8[Tensor, "2 3 h w"], factor: float, rng: np.random.Generator
) -> UInt8[Tensor, "2 3 h w"]:
    height, width = images.shape[2:]
    size = (round(height * factor), round(width * factor))
    scaled = functional.interpolate(images.float(), size=size, mode="nearest-exact")
    lack = [max(0, height - size[0]), max(0, width - size[1])]
    padding = (lack[1] // 2, lack[1] - lack[1] // 2, lack[0] // 2, lack[0] - lack[0] // 2)
    padded = functional.pad(scaled, padding, mode="replicate").to(torch.uint8)
    top = int(rng.integers(padded.shape[2] - height + 1))
    left = int(rng.integers(padded.shape[3] - width + 1))
    return padded[:, :, top : top + height, left : left + width]


def _jitter(
    images: UInt8[Tensor, "2 3 h w"], config: AugmentConfig, rng: np.random.Generator
) -> UInt8[Tensor, "2 3 h w"]:
    # Here, because it takes seconds (it brings torch's compiler), and most commands change no colour.
    from torchvision.transforms.v2 import functional as colour

    changes: list[tuple[Callable[..., Tensor], float]] = []
    for change, strength in (
        (colour.adjust_brightness, config.brightness),
        (colour.adjust_contrast, config.contrast),
        (colour.adjust_saturation, config.saturation),
    ):
        if strength:
            changes.append((change, rng.uniform(1 - strength, 1 + strength)))
    if config.hue:
        changes.append((colour.adjust_hue, rng.uniform(-config.hue, config.hue)))
    for index in rng.permutation(len(changes)):
        change, amount = changes[index]
        images = change(images, amount)
    return images
