"""Frames as evaluators take them."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def resized(images: Float[Tensor, "t 3 h w"], size: int) -> Float[Tensor, "t 3 {size} {size}"]:
    """Images at an evaluator's input size."""
    if images.shape[-2:] == (size, size):
        return images
    return torch.nn.functional.interpolate(images, (size, size), mode="bilinear", antialias=True, align_corners=False)
