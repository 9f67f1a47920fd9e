"""TPSMM computed as the released code computes it: the other side of every comparison of speed.

The model is this package's own, with the same weights and the same results up to rounding. It computes in the released
order and with the released waste: pixels doubled before a convolution, blurred where they are then dropped, the source
encoded anew for every frame, features warped twice, and targets of the warp loss encoded with a gradient that nothing
reads.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from tpsm.core.types import EncodedSource, Motion
from tpsm.methods.inpainting import motion_at
from tpsm.methods.tps import Config, Model
from tpsm.nn.blocks import AntiAlias, Conv7x7, UpBlock
from tpsm.nn.geometry import warp
from tpsm.nn.losses import PerceptualLoss


class ReleasedModel(Model):
    """TPSMM, in the released order of computation. It takes the state dict of a `Model` of the same configuration."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.perceptual = _PerceptualLoss(config.perceptual)
        _release(self)

    @torch.no_grad()
    def reconstruct(self, frames: Float[Tensor, "t 3 h w"]) -> Iterator[Float[Tensor, "1 3 h w"]]:
        """Yields the first frame, driven by each of `frames`, one after the other."""
        source = frames[:1]
        points = self.keypoints(source)
        for driving in frames.split(1):
            pose, background = self.keypoints(driving), self.background(source, driving)
            code = EncodedSource(source, points, self.inpainting_network.encode(source))
            prediction = self.render(code, pose, background)
            _warped(code.features, prediction.motion)  # for the loss of a training that this is not
            yield prediction.image

    def _warp_loss(self, driving: Tensor, features: tuple[Tensor, ...], motion: Motion) -> Tensor:
        network, x = self.inpainting_network, driving
        total = driving.new_zeros(())
        for block, ours in zip([network.first, *network.down_blocks], _warped(features, motion), strict=True):
            x = block(x.detach())
            total = total + (ours.value - (x * ours.mask).detach()).abs().mean()
        return total


@dataclass(frozen=True)
class _Warped:
    """A feature map where the flow moves it, masked, and the mask; no gradient but the flow's passes."""

    value: Tensor
    mask: Tensor


def _warped(features: tuple[Tensor, ...], motion: Motion) -> list[_Warped]:
    """Returns the maps once more, the finest first."""
    grids, masks = motion_at(motion, features[::-1])
    return [
        _Warped(warp(feature.detach(), grid, align_corners=True) * mask.detach(), mask.detach())
        for feature, grid, mask in zip(features, grids[::-1], masks[::-1], strict=True)
    ]


class _UpBlock(nn.Module):
    """An `UpBlock` that doubles pixels, and then applies the 3 x 3 convolution to all four copies of each."""

    def __init__(self, ours: UpBlock) -> None:
        super().__init__()
        self.conv, self.norm = ours.conv, _released(ours.norm)

    def forward(self, x: Float[Tensor, "b i h w"]) -> Float[Tensor, "b o 2*h 2*w"]:
        return F.relu(self.norm(self.conv(F.interpolate(x, scale_factor=2))))


class _AntiAlias(nn.Module):
    """An `AntiAlias` that blurs all pixels, also those that it then drops."""

    weight: Tensor

    def __init__(self, ours: AntiAlias) -> None:
        super().__init__()
        self.stride, self.padding = ours.stride, ours.padding
        self.register_buffer("weight", ours.weight)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c _ _"]:
        x = F.conv2d(F.pad(x, (self.padding,) * 4), self.weight, groups=x.shape[1])
        return F.interpolate(x, scale_factor=1 / self.stride)


class _Conv7x7(nn.Conv2d):
    """A `Conv7x7` that is a convolution for a single channel too."""

    def __init__(self, ours: Conv7x7) -> None:
        super().__init__(ours.in_channels, ours.out_channels, 7, padding=3)
        self.weight, self.bias = ours.weight, ours.bias


class _PerceptualLoss(PerceptualLoss):
    """A perceptual loss whose pyramid is blurred and whose distance is taken as released, with channels first."""

    def use(self, backbone: nn.Module) -> None:
        super().use(backbone)
        assert self._networks is not None
        _release(self._networks[1])

    def _layout(self, image: Tensor) -> torch.memory_format:
        return torch.preserve_format

    def _distance(self, difference: Tensor, dtype: torch.dtype) -> Tensor:
        return difference.abs().mean(dtype=dtype)


def _release(root: nn.Module) -> None:
    """Puts the released form of every module below `root` in its place."""
    for module in list(root.modules()):
        for name, child in module.named_children():
            setattr(module, name, _released(child))


def _released(module: nn.Module) -> nn.Module:
    """Returns the released form of one module, which has the same parameters; itself where there is no other."""
    if isinstance(module, nn.GroupNorm):
        norm = nn.InstanceNorm2d(module.num_channels, affine=True)
        norm.weight, norm.bias = module.weight, module.bias
        return norm
    if isinstance(module, UpBlock):
        return _UpBlock(module)
    if isinstance(module, AntiAlias):
        return _AntiAlias(module)
    if isinstance(module, Conv7x7):
        return _Conv7x7(module)
    return module
