"""Defines TPSMM's inpainting network, which draws the warped source, and anew what no part of it shows."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from tpsm.core.schema import Depth, Width, checked
from tpsm.core.types import Motion
from tpsm.nn.blocks import Conv7x7, FeatureEncoder, Residual, UpBlock, channels, instance_norm
from tpsm.nn.geometry import resize, resize_grid, warp
from tpsm.nn.pieces import by_pieces


@checked
@dataclass(frozen=True)
class InpaintingConfig:
    """`width` channels in the finest map, doubled with each of `num_down_blocks` up to `max_features`."""

    width: Width = 64
    max_features: Width = 512
    num_down_blocks: Depth = 3


class InpaintingNetwork(FeatureEncoder):
    """Draws the source in its new pose, with multi-resolution occlusion masks (the paper's section of that name).

    Features are warped at every resolution, and what the masks hide is drawn anew.
    """

    def __init__(self, config: InpaintingConfig) -> None:
        sizes = channels(config.width, config.max_features, config.num_down_blocks)
        super().__init__(sizes, instance_norm)
        levels = range(config.num_down_blocks)
        # All decoder levels but the coarsest see the upsampled map beside the warped one.
        inputs = [sizes[i + 1] * (1 if i == levels[-1] else 2) for i in levels]
        self.up_blocks = nn.ModuleList(UpBlock(inputs[i], sizes[i], instance_norm) for i in reversed(levels))
        self.resblock = nn.ModuleList(Residual(inputs[i], instance_norm) for i in reversed(levels) for _ in range(2))
        self.final = Conv7x7(sizes[0], 3)

    def forward(
        self, image: Float[Tensor, "b 3 h w"], features: tuple[Tensor, ...], motion: Motion
    ) -> Float[Tensor, "b 3 h w"]:

        def draw(piece: slice) -> Tensor:
            return self._draw(image[piece], tuple(feature[piece] for feature in features), motion[piece])

        drawn = by_pieces(draw, image.shape[0], image, features[0][0].numel())
        return drawn[0] if len(drawn) == 1 else torch.cat(drawn)

    def _draw(
        self, image: Float[Tensor, "b 3 h w"], features: tuple[Tensor, ...], motion: Motion
    ) -> Float[Tensor, "b 3 h w"]:
        # The features of the source where the flow moves them, with what is hidden masked out.
        coarse_to_fine = features[::-1]
        grids, masks = motion_at(motion, coarse_to_fine)
        warped = [
            warp(feature, grid, align_corners=True) * mask
            for feature, grid, mask in zip(coarse_to_fine, grids, masks, strict=True)
        ]

        # Decoded from coarse to fine.
        x = warped[0]
        for i, up in enumerate(self.up_blocks):
            x = up(self.resblock[2 * i + 1](self.resblock[2 * i](x)))
            if i < len(self.up_blocks) - 1:
                x = torch.cat([x, warped[i + 1]], dim=1)

        # The finest mask joins twice, as released: in the features, and in the image.
        hidden = 1 - masks[-1]
        drawn = torch.sigmoid(self.final(x * hidden + warped[-1]))
        return drawn * hidden + warp(image, grids[-1], align_corners=True) * masks[-1]


def motion_at(motion: Motion, features: tuple[Tensor, ...]) -> tuple[list[Tensor], list[Tensor]]:
    """Returns the flow and an occlusion mask at the resolution of each map; a single mask serves all."""
    sizes = [(feature.shape[-2], feature.shape[-1]) for feature in features]
    grids = [resize_grid(motion.grid, size, align_corners=True) for size in sizes]
    if len(motion.occlusion) == len(features):
        return grids, list(motion.occlusion)
    return grids, [resize(motion.occlusion[-1], size, align_corners=True) for size in sizes]
