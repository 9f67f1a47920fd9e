"""TPSMM's inpainting network: draws the warped source, and anew what no part of it shows."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from tpsm.core.schema import Depth, Width, checked
from tpsm.core.types import Motion
from tpsm.nn.blocks import Conv7x7, ConvBlock, DownBlock, Residual, UpBlock, channels, instance_norm
from tpsm.nn.geometry import resize, resize_grid, warp


@checked
@dataclass(frozen=True)
class InpaintingConfig:
    width: Width = 64
    max_features: Width = 512
    num_down_blocks: Depth = 3


class InpaintingNetwork(nn.Module):
    """Draws the source in its new pose: features warped at every resolution, and what is hidden drawn anew."""

    def __init__(self, config: InpaintingConfig) -> None:
        super().__init__()
        sizes = channels(config.width, config.max_features, config.num_down_blocks)
        levels = range(config.num_down_blocks)
        self.first = ConvBlock(3, sizes[0], instance_norm, kernel=7)
        self.down_blocks = nn.ModuleList(DownBlock(sizes[i], sizes[i + 1], instance_norm) for i in levels)
        # All decoder levels but the coarsest see the upsampled map beside the warped one.
        inputs = [sizes[i + 1] * (1 if i == levels[-1] else 2) for i in levels]
        self.up_blocks = nn.ModuleList(UpBlock(inputs[i], sizes[i], instance_norm) for i in reversed(levels))
        self.resblock = nn.ModuleList(Residual(inputs[i], instance_norm) for i in reversed(levels) for _ in range(2))
        self.final = Conv7x7(sizes[0], 3)

    def encode(self, image: Float[Tensor, "b 3 h w"]) -> tuple[Tensor, ...]:
        """Feature maps, the finest first."""
        features = [self.first(image)]
        for block in self.down_blocks:
            features.append(block(features[-1]))
        return tuple(features)

    def forward(
        self, image: Float[Tensor, "b 3 h w"], features: tuple[Tensor, ...], motion: Motion
    ) -> Float[Tensor, "b 3 h w"]:
        coarse_to_fine = features[::-1]
        grids, masks = motion_at(motion, coarse_to_fine)
        warped = [
            warp(feature, grid, align_corners=True) * mask
            for feature, grid, mask in zip(coarse_to_fine, grids, masks, strict=True)
        ]
        x = warped[0]
        for i, up in enumerate(self.up_blocks):
            x = up(self.resblock[2 * i + 1](self.resblock[2 * i](x)))
            if i < len(self.up_blocks) - 1:
                x = torch.cat([x, warped[i + 1]], dim=1)
        hidden = 1 - masks[-1]
        drawn = torch.sigmoid(self.final(x * hidden + warped[-1]))
        return drawn * hidden + warp(image, grids[-1], align_corners=True) * masks[-1]


def motion_at(motion: Motion, features: tuple[Tensor, ...]) -> tuple[list[Tensor], list[Tensor]]:
    """The flow and a mask at the resolution of each map; a single mask serves all."""
    sizes = [(feature.shape[-2], feature.shape[-1]) for feature in features]
    grids = [resize_grid(motion.grid, size, align_corners=True) for size in sizes]
    if len(motion.occlusion) == len(features):
        return grids, list(motion.occlusion)
    return grids, [resize(motion.occlusion[-1], size, align_corners=True) for size in sizes]
