"""What FOMM's and MRAA's released code has in common: heatmaps, dense motion, and the generator's layers."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from tpsm.core.schema import Depth, Width, checked
from tpsm.core.types import Motion
from tpsm.nn.blocks import (
    Conv7x7,
    ConvBlock,
    DownBlock,
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
    return torch.softmax(logits.flatten(2) / temperature, dim=-1).view_as(logits)


def expectation(heatmaps: Float[Tensor, "b k h w"]) -> Float[Tensor, "b k 2"]:
    """Mean position, on a grid whose corners are those of the heatmap (also where it is smaller than the image)."""
    grid = coordinate_grid(heatmaps.shape[-2], heatmaps.shape[-1], heatmaps)
    return torch.einsum("bkhw,hwd->bkd", heatmaps, grid)


@full_precision
def local_motions(
    matrices: Float[Tensor, "b k 2 2"] | None,
    driving: Float[Tensor, "b k 2"],
    source: Float[Tensor, "b k 2"],
    grid: Float[Tensor, "h w 2"],
) -> Float[Tensor, "b k h w 2"]:
    """M (z - p_d) + p_s around every point (FOMM eq. 4); M is the identity where there are no matrices."""
    offset = grid - driving[:, :, None, None, :]
    if matrices is not None:
        offset = torch.einsum("bkij,bkhwj->bkhwi", matrices, offset)
    return offset + source[:, :, None, None, :]


def jacobian_head(inputs: int, maps: int, padding: int = 0) -> nn.Conv2d:
    """A convolution to `maps` maps of 2 x 2 matrices, the identity everywhere at first."""
    head = nn.Conv2d(inputs, 4 * maps, 7, padding=padding)
    nn.init.zeros_(head.weight)
    with torch.no_grad():
        assert head.bias is not None
        head.bias.copy_(torch.eye(2, device="cpu").flatten().repeat(maps))
    return head


def mean_jacobians(maps: Float[Tensor, "b c h w"], heatmaps: Float[Tensor, "b k h w"]) -> Float[Tensor, "b k 2 2"]:
    """Each point's matrix: the mean of its four maps, or of the four that all share, weighed by its heatmap."""
    each = maps.unflatten(1, (-1, 4)).expand(-1, heatmaps.shape[1], -1, -1, -1)
    return torch.einsum("bkhw,bkchw->bkc", heatmaps, each).unflatten(-1, (2, 2))


class DenseMotion(nn.Module):
    """Which candidate motion each pixel follows, and where the warped source is hidden."""

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
        """`small` is the source after `down`; the background's motion comes first and has an empty heatmap."""
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
    width: Width = 64
    max_features: Width = 512
    num_down_blocks: Depth = 2
    num_bottleneck_blocks: Depth = 6


class Generator(nn.Module):
    """The layers of the generator; each method adds its dense motion, and draws in its own way."""

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        sizes = channels(config.width, config.max_features, config.num_down_blocks)
        levels = range(config.num_down_blocks)
        self.first = ConvBlock(3, sizes[0], nn.BatchNorm2d, kernel=7)
        self.down_blocks = nn.ModuleList(DownBlock(sizes[i], sizes[i + 1], nn.BatchNorm2d) for i in levels)
        self.up_blocks = nn.ModuleList(UpBlock(sizes[i + 1], sizes[i], nn.BatchNorm2d) for i in reversed(levels))
        blocks = range(config.num_bottleneck_blocks)
        self.bottleneck = nn.Sequential(OrderedDict((f"r{i}", Residual(sizes[-1], nn.BatchNorm2d)) for i in blocks))
        self.final = Conv7x7(sizes[0], 3)

    def encode(self, image: Float[Tensor, "b 3 h w"]) -> tuple[Tensor, ...]:
        """Feature maps, the finest first."""
        features = [self.first(image)]
        for block in self.down_blocks:
            features.append(block(features[-1]))
        return tuple(features)


def warp_and_mask(image: Tensor, motion: Motion, align_corners: bool) -> tuple[Tensor, Tensor]:
    """`image` moved by the flow and its mask, both brought to its size (bilinear, corners not aligned, as released)."""
    size = (image.shape[-2], image.shape[-1])
    grid = resize_grid(motion.grid, size, align_corners=False)
    return warp(image, grid, align_corners=align_corners), resize(motion.occlusion[0], size, align_corners=False)
