"""Random changes of training images that leave joints and identity readable."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Generator, Tensor
from torch.nn import functional


def uniform(shape: tuple[int, ...], spread: float, rng: Generator) -> Tensor:
    """Numbers in [-spread, spread], drawn on the CPU so that every device sees the same."""
    return (torch.rand(shape, generator=rng) * 2 - 1) * spread


def jitter(images: Float[Tensor, "b 3 h w"], strength: float, rng: Generator) -> Float[Tensor, "b 3 h w"]:
    """Another contrast, brightness and tint for each image."""
    count = len(images)
    gain = (1 + uniform((count, 3, 1, 1), strength / 2, rng)) * (1 + uniform((count, 1, 1, 1), strength, rng))
    offset = uniform((count, 1, 1, 1), strength / 2, rng)
    middle = images.mean(dim=(2, 3), keepdim=True)
    return ((images - middle) * gain.to(images) + middle + offset.to(images)).clamp(0, 1)


def crops(count: int, shift: float, zoom: float, rng: Generator) -> tuple[Float[Tensor, " b"], Float[Tensor, "b 2"]]:
    """Random scale and offset: a point p of the crop shows the point `scale * p + offset` of the image."""
    return 1 + uniform((count,), zoom, rng), uniform((count, 2), shift, rng)


def crop(
    images: Float[Tensor, "b 3 h w"], scale: Float[Tensor, " b"], offset: Float[Tensor, "b 2"]
) -> Float[Tensor, "b 3 h w"]:
    """Crops of the same size as the images; the edge pixels continue outside."""
    matrix = torch.zeros(len(images), 2, 3)
    matrix[:, 0, 0] = matrix[:, 1, 1] = scale
    matrix[:, :, 2] = offset
    grid = functional.affine_grid(matrix.to(images), list(images.shape), align_corners=True)
    return functional.grid_sample(images, grid, padding_mode="border", align_corners=True)
