"""Holds what FOMM's and MRAA's released code has in common: heatmaps, dense motion, and the generator's layers."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn

from tpsm.core.schema import Depth, Width, checked
from tpsm.core.types import Motion
from tpsm.nn.blocks import (
    Conv7x7,
    FeatureEncoder,
    Hourglass,
    HourglassConfig,
    Residual,
    UpBlock,
    channels,
    downsample,
)
from tpsm.nn.geometry import assignments, blend, coordinate_grid, resize, resize_grid, warp, warp_by_each
from tpsm.nn.precision import full_precision


def spatial_softmax(logits: Float[Tensor, "b k h w"], temperature: float) -> Float[Tensor, "b k h w"]:
    """Returns heatmaps that sum to 1 over the pixels; a lower `temperature` makes them sharper."""
    return torch.softmax(logits.flatten(2) / temperature, dim=-1).view_as(logits)


def expectation(heatmaps: Float[Tensor, "b k h w"]) -> Float[Tensor, "b k 2"]:
    """Returns the mean position of each heatmap, in [-1, 1], with -1 and 1 at the centres of its outermost pixels.

    This holds also where the heatmap is smaller than the image, as released.
    """
    grid = coordinate_grid(heatmaps.shape[-2], heatmaps.shape[-1], heatmaps)
    return torch.einsum("bkhw,hwd->bkd", heatmaps, grid)


@full_precision
def local_motions(
    matrices: Float[Tensor, "b k 2 2"] | None,
    driving: Float[Tensor, "b k 2"],
    source: Float[Tensor, "b k 2"],
    grid: Float[Tensor, "h w 2"],
) -> Float[Tensor, "b k h w 2"]:
    """Returns p_s + M (z - p_d) at every pixel z, for every point: FOMM's first-order approximation of the motion
    there.

    M is the identity where there are no matrices.
    """
    offset = grid - driving[:, :, None, None, :]
    if matrices is not None:
        offset = torch.einsum("bkij,bkhwj->bkhwi", matrices, offset)
    return offset + source[:, :, None, None, :]


def jacobian_head(inputs: int, maps: int, padding: int = 0) -> nn.Conv2d:
    """Returns a convolution to `maps` maps of 2 x 2 matrices, which are the identity everywhere at first."""
    head = nn.Conv2d(inputs, 4 * maps, 7, padding=padding)
    nn.init.zeros_(head.weight)
    with torch.no_grad():
        assert head.bias is not None
        head.bias.copy_(torch.eye(2, device="cpu").flatten().repeat(maps))
    return head


def mean_jacobians(maps: Float[Tensor, "b c h w"], heatmaps: Float[Tensor, "b k h w"]) -> Float[Tensor, "b k 2 2"]:
    """Returns each point's matrix: the mean of its four maps, or of the four that all share, by its heatmap."""
    each = maps.unflatten(1, (-1, 4)).expand(-1, heatmaps.shape[1], -1, -1, -1)
    return torch.einsum("bkhw,bkchw->bkc", heatmaps, each).unflatten(-1, (2, 2))


class DenseMotion(nn.Module):
    """Predicts which candidate motion each pixel follows, and where the warped source is hidden."""

    def __init__(self, num_points: int, config: HourglassConfig) -> None:
        super().__init__()
        self.hourglass = Hourglass(4 * (num_points + 1), config, nn.BatchNorm2d)
        outputs = self.hourglass.out_channels[-1]
        self.mask = Conv7x7(outputs, num_points + 1)
        self.occlusion = Conv7x7(outputs, 1)
        self.down = downsample(3, config.scale_factor)

    def forward(
        self,
        small: Float[Tensor, "b 3 h w"],
        heatmaps: Float[Tensor, "b k h w"],
        candidates: Float[Tensor, "b k+1 h w 2"],
        align_corners: bool,
    ) -> Motion:
        """Returns the motion at the size of `small`, which is the source after `down`.

        Of the candidates the background's comes first; it has an empty heatmap.
        """
        batch, _, height, width, _ = candidates.shape
        warped = warp_by_each(small, candidates, align_corners=align_corners)
        heatmaps = torch.cat([heatmaps.new_zeros(batch, 1, height, width), heatmaps], dim=1)
        seen = torch.cat([heatmaps[:, :, None], warped], dim=2)
        features = self.hourglass(seen.flatten(1, 2))[-1]
        weights = assignments(self.mask(features))
        flow = blend(weights, candidates)
        return Motion(flow, (torch.sigmoid(self.occlusion(features)),), weights)


@checked
@dataclass(frozen=True)
class GeneratorConfig:
    """`width` channels in the finest map, doubled with each of `num_down_blocks` up to `max_features`."""

    width: Width = 64
    max_features: Width = 512
    num_down_blocks: Depth = 2
    num_bottleneck_blocks: Depth = 6


class Generator(FeatureEncoder):
    """Holds the layers of the generator; each method adds its dense motion, and draws in its own way."""

    def __init__(self, config: GeneratorConfig) -> None:
        sizes = channels(config.width, config.max_features, config.num_down_blocks)
        super().__init__(sizes, nn.BatchNorm2d)
        upwards = pairwise(reversed(sizes))
        self.up_blocks = nn.ModuleList(UpBlock(below, above, nn.BatchNorm2d) for below, above in upwards)
        blocks = range(config.num_bottleneck_blocks)
        self.bottleneck = nn.Sequential(OrderedDict((f"r{i}", Residual(sizes[-1], nn.BatchNorm2d)) for i in blocks))
        self.final = Conv7x7(sizes[0], 3)


def warp_and_mask(image: Tensor, motion: Motion, align_corners: bool) -> tuple[Tensor, Tensor]:
    """Returns `image` moved by the flow, and the occlusion mask at its size.

    Both are resized bilinearly with corners not aligned, as released.
    """
    size = (image.shape[-2], image.shape[-1])
    grid = resize_grid(motion.grid, size, align_corners=False)
    return warp(image, grid, align_corners=align_corners), resize(motion.occlusion[0], size, align_corners=False)
