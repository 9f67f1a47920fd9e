"""Defines the convolution blocks, the hourglass and the anti-aliased downsampling that the methods share.

A norm is given by the function that makes it: `instance_norm` for TPSMM, `nn.BatchNorm2d` for FOMM and MRAA. Every
convolution has a bias, also before a norm, because released checkpoints hold one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from tpsm.core.errors import UserError
from tpsm.core.schema import DEEPEST, Depth, Width, checked
from tpsm.nn.winograd import Conv3x3

Norm = Callable[[int], nn.Module]


def instance_norm(channels: int) -> nn.Module:
    """Returns an affine instance norm. One group per channel is the same function, and is faster on a CPU."""
    return nn.GroupNorm(channels, channels)


class ConvBlock(nn.Module):
    """Applies a convolution, a norm and a ReLU at one resolution."""

    def __init__(self, inputs: int, outputs: int, norm: Norm, kernel: int = 3) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2)
        self.norm = norm(outputs)

    def forward(self, x: Float[Tensor, "b i h w"]) -> Float[Tensor, "b o h w"]:
        return F.relu(self.norm(self.conv(x)), inplace=True)


class DownBlock(ConvBlock):
    """Applies a `ConvBlock`, then takes the mean of every 2 x 2 pixels."""

    def forward(self, x: Float[Tensor, "b i h w"]) -> Float[Tensor, "b o h//2 w//2"]:
        return F.avg_pool2d(super().forward(x), 2)


FEW = 2048
"""Kernels per pixel of a map from which on an `UpBlock` does the plain thing."""


class UpBlock(ConvBlock):
    """Doubles each pixel in both directions, then applies a `ConvBlock`, with 4/9 of the multiplications.

    Doubling pixels is a transposed convolution with 2 x 2 ones, so both steps together are one with the 4 x 4 kernel
    that spreads each of the 3 x 3 weights over 2 x 2 places.
    """

    spread: Tensor

    def __init__(self, inputs: int, outputs: int, norm: Norm) -> None:
        super().__init__(inputs, outputs, norm)
        row = torch.tensor([[0.0, 0, 1, 1], [0, 1, 1, 0], [1, 1, 0, 0]], device="cpu")  # Transposed, hence mirrored.
        self.register_buffer("spread", placed(torch.kron(row, row)), persistent=False)

    def forward(self, x: Float[Tensor, "b i h w"]) -> Float[Tensor, "b o 2*h 2*w"]:
        inputs, outputs = self.conv.in_channels, self.conv.out_channels
        if inputs * outputs > FEW * x.shape[0] * x.shape[-2] * x.shape[-1]:
            # A kernel far larger than its map: to spread it takes longer than what it saves.
            return super().forward(F.interpolate(x, scale_factor=2))
        kernel = (self.conv.weight.flatten(2) @ self.spread).unflatten(2, (4, 4)).transpose(0, 1)
        x = F.conv_transpose2d(x, kernel, self.conv.bias, stride=2, padding=1)
        return F.relu(self.norm(x), inplace=True)


class Conv7x7(nn.Conv2d):
    """Applies a 7 x 7 convolution at one resolution, to the few channels of a mask or an image.

    On a CPU, a single channel takes a matrix product and a sum of shifted maps: five times as fast there as the
    convolution, which computes channels by the eight. The maps would fill a GPU's memory for nothing.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 7, padding=3)

    def forward(self, x: Float[Tensor, "b i h w"]) -> Float[Tensor, "b o h w"]:
        if x.device.type != "cpu" or self.out_channels > 1:
            return super().forward(x)
        taps = self.weight[0].flip(1, 2).flatten(1).mT.expand(x.shape[0], -1, -1)
        size = (x.shape[-2], x.shape[-1])
        shifted = F.fold(torch.bmm(taps, x.flatten(2)), size, kernel_size=7, padding=3)
        assert self.bias is not None
        return shifted + self.bias[:, None, None]


class Residual(nn.Module):
    """Computes x + conv(ReLU(norm(conv(ReLU(norm(x))))))."""

    def __init__(self, channels: int, norm: Norm) -> None:
        super().__init__()
        self.conv1 = Conv3x3(channels, channels)
        self.conv2 = Conv3x3(channels, channels)
        self.norm1 = norm(channels)
        self.norm2 = norm(channels)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        change = self.conv1(F.relu(self.norm1(x), inplace=True))
        return self.conv2(F.relu(self.norm2(change), inplace=True)) + x  # in the layout of the convolution's result


class AntiAlias(nn.Module):
    """Blurs by a Gaussian with zero padding (which darkens the border, as released); takes every 1/scale-th pixel."""

    weight: Tensor

    def __init__(self, channels: int, scale: float) -> None:
        super().__init__()
        self.stride = stride(scale)
        sigma = (self.stride - 1) / 2
        self.padding = round(4 * sigma)
        offset = torch.arange(-self.padding, self.padding + 1, dtype=torch.float32, device="cpu")
        row = torch.exp(-offset.square() / (2 * sigma**2))
        kernel = row[:, None] * row[None, :]
        self.register_buffer("weight", placed((kernel / kernel.sum()).expand(channels, 1, -1, -1).contiguous()))

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c _ _"]:
        return F.conv2d(x, self.weight, stride=self.stride, padding=self.padding, groups=x.shape[1])


def placed(kernel: Tensor) -> Tensor:
    """Moves `kernel` from the CPU to the device of new tensors.

    To compute it on the meta device would load PyTorch's compiler, which takes seconds.
    """
    return kernel.to(torch.get_default_device())


def downsample(channels: int, scale: float) -> nn.Module:
    """Returns an `AntiAlias`, or the identity at scale 1, of which released checkpoints hold no kernel of use."""
    return nn.Identity() if scale == 1 else AntiAlias(channels, scale)


def stride(scale: float) -> int:
    """Returns 1 / scale. Raises ValueError unless it is a whole number from 1 to `DEEPEST`."""
    whole = round(1 / scale) if 1e-9 < scale <= 1 else 0
    if not 1 <= whole <= DEEPEST or abs(whole * scale - 1) > 1e-6:
        raise ValueError(f"scale_factor: must be 1 divided by a whole number, {DEEPEST} at most")
    return whole


class FeatureEncoder(nn.Module):
    """Encodes an image as feature maps, the first at its own resolution and each other at half of the one before.

    `sizes` has the channels of each map, from fine to coarse.
    """

    def __init__(self, sizes: list[int], norm: Norm) -> None:
        super().__init__()
        self.first = ConvBlock(3, sizes[0], norm, kernel=7)
        self.down_blocks = nn.ModuleList(DownBlock(above, below, norm) for above, below in pairwise(sizes))

    def encode(self, image: Float[Tensor, "b 3 h w"]) -> tuple[Tensor, ...]:
        """Returns the feature maps, the finest first."""
        features = [self.first(image)]
        for block in self.down_blocks:
            features.append(block(features[-1]))
        return tuple(features)


@checked
@dataclass(frozen=True)
class HourglassConfig:
    """`width` doubles with every block up to `max_features`; the hourglass sees the image at `scale_factor`."""

    width: Width = 64
    max_features: Width = 1024
    num_blocks: Depth = 5
    scale_factor: float = 0.25

    def __post_init__(self) -> None:
        stride(self.scale_factor)

    @property
    def divisor(self) -> int:
        """The number of pixels that an image's sides must be multiples of."""
        return stride(self.scale_factor) * 2**self.num_blocks

    @property
    def smallest(self) -> int:
        """The least side of an image in pixels: it leaves 2 x 2 at the bottom, because a norm needs more than one."""
        return 2 * self.divisor


class Encoder(nn.Module):
    """Halves the resolution with every block; the last map has min(width * 2^blocks, max_features) channels."""

    def __init__(self, inputs: int, config: HourglassConfig, norm: Norm) -> None:
        super().__init__()
        sizes = [inputs, *channels(config.width, config.max_features, config.num_blocks)[1:]]
        self.down_blocks = nn.ModuleList(DownBlock(above, below, norm) for above, below in pairwise(sizes))

    def forward(self, x: Float[Tensor, "b i h w"]) -> list[Tensor]:
        """Returns the input, then every block's output, from fine to coarse."""
        outputs = [x]
        for block in self.down_blocks:
            outputs.append(block(outputs[-1]))
        return outputs


class Decoder(nn.Module):
    """Doubles the resolution with every block, and joins the encoder's map of that resolution."""

    def __init__(self, inputs: int, config: HourglassConfig, norm: Norm) -> None:
        super().__init__()
        sizes = channels(config.width, config.max_features, config.num_blocks)
        skips = [inputs, *sizes[1:-1]]
        above = sizes[-1]
        self.out_channels = []
        blocks = []
        for i in reversed(range(config.num_blocks)):
            blocks.append(UpBlock(above, sizes[i], norm))
            above = sizes[i] + skips[i]
            self.out_channels.append(above)
        self.up_blocks = nn.ModuleList(blocks)

    def forward(self, skips: list[Tensor]) -> list[Tensor]:
        """Returns every block's output with the skip that joins it, from coarse to fine."""
        outputs = [skips[-1]]
        for block, skip in zip(self.up_blocks, reversed(skips[:-1]), strict=True):
            outputs.append(torch.cat([block(outputs[-1]), skip], dim=1))
        return outputs[1:]


class Hourglass(nn.Module):
    """A U-Net. Its last output has `config.width` + `inputs` channels at the input's resolution."""

    def __init__(self, inputs: int, config: HourglassConfig, norm: Norm) -> None:
        super().__init__()
        self.encoder = Encoder(inputs, config, norm)
        self.decoder = Decoder(inputs, config, norm)
        self.out_channels = tuple(self.decoder.out_channels)

    def forward(self, x: Float[Tensor, "b i h w"]) -> list[Tensor]:
        """Returns the outputs of all decoder blocks, from coarse to fine."""
        return self.decoder(self.encoder(x))


def channels(width: int, max_features: int, blocks: int) -> list[int]:
    """Returns the channels of the maps from the finest to the coarsest: `width`, doubled up to `max_features`."""
    return [min(max_features, width * 2**i) for i in range(blocks + 1)]


def check_sides(image: Float[Tensor, "b c h w"], divisor: int, smallest: int, why: str) -> None:
    """Raises UserError unless both sides are multiples of `divisor` and at least `smallest`."""
    height, width = image.shape[-2:]
    if height % divisor or width % divisor or min(height, width) < smallest:
        raise UserError(
            f"An image of {width} x {height} does not fit: {why} need sides that are multiples of {divisor}, "
            f"{smallest} at least; change the image's size, or num_blocks and scale_factor of the model."
        )
