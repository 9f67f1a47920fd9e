"""Defines FOMM's discriminator, and the least-squares losses between it and the generator (LSGAN)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F
from torch.nn.utils import spectral_norm

from tpsm.core.schema import Depth, Width, checked
from tpsm.nn.blocks import channels, instance_norm
from tpsm.nn.geometry import gaussians


@checked
@dataclass(frozen=True)
class DiscriminatorConfig:
    """The defaults are the released vox-256 model's. `use_keypoints`: it also sees where the driving keypoints are."""

    width: Width = 32
    max_features: Width = 512
    num_blocks: Depth = 4
    spectral_norm: bool = True
    use_keypoints: bool = False

    @property
    def smallest(self) -> int:
        """The least side of an image in pixels: a convolution takes 3, a pool half of them, and 2 x 2 must be left."""
        return 2 ** (self.num_blocks + 2) - 3


class Block(nn.Module):
    """Applies a 4 x 4 convolution without padding, a norm and a leaky ReLU, then takes the mean of 2 x 2 pixels."""

    def __init__(self, inputs: int, outputs: int, *, norm: bool, pool: bool, spectral: bool) -> None:
        super().__init__()
        self.conv = _convolution(inputs, outputs, 4, spectral)
        self.norm = instance_norm(outputs) if norm else None
        self.pool = pool

    def forward(self, x: Float[Tensor, "b i _ _"]) -> Float[Tensor, "b o _ _"]:
        x = self.conv(x)
        x = F.leaky_relu(x if self.norm is None else self.norm(x), 0.2)
        return F.avg_pool2d(x, 2) if self.pool else x


class PatchDiscriminator(nn.Module):
    """Says which places of an image look real (near 1), and returns its feature maps too, the finest first."""

    def __init__(self, inputs: int, config: DiscriminatorConfig) -> None:
        super().__init__()
        count, spectral = config.num_blocks, config.spectral_norm
        sizes = [inputs, *channels(config.width, config.max_features, count)[1:]]
        self.down_blocks = nn.ModuleList(
            Block(sizes[i], sizes[i + 1], norm=i > 0, pool=i < count - 1, spectral=spectral) for i in range(count)
        )
        self.conv = _convolution(sizes[-1], 1, 1, spectral)

    def forward(self, x: Float[Tensor, "b i _ _"]) -> tuple[list[Tensor], Float[Tensor, "b 1 _ _"]]:
        maps = []
        for block in self.down_blocks:
            x = block(x)
            maps.append(x)
        return maps, self.conv(x)


class Discriminator(nn.Module):
    """Judges images, and where `use_keypoints` is set the heatmaps of the driving keypoints with them.

    The released code has a `PatchDiscriminator` for each of several scales; its models have scale 1 alone.
    """

    def __init__(self, config: DiscriminatorConfig, num_keypoints: int) -> None:
        super().__init__()
        self.use_keypoints = config.use_keypoints
        inputs = 3 + (num_keypoints if config.use_keypoints else 0)
        self.discs = nn.ModuleDict({"1": PatchDiscriminator(inputs, config)})

    def forward(
        self, image: Float[Tensor, "b 3 h w"], points: Float[Tensor, "b k 2"]
    ) -> tuple[list[Tensor], Float[Tensor, "b 1 _ _"]]:
        if self.use_keypoints:
            image = torch.cat([image, gaussians(points, image.shape[-2], image.shape[-1])], dim=1)
        return self.discs["1"](image)


def adversarial_losses(
    discriminator: Discriminator,
    generated: Float[Tensor, "b 3 h w"],
    real: Float[Tensor, "b 3 h w"],
    points: Float[Tensor, "b k 2"],
    gan: float,
    feature_matching: float,
) -> dict[str, Tensor]:
    """Returns the losses of both sides, for one backward pass of their sum and one step of one Adam.

    The generator's two reach `generated` alone, and the discriminator's its own weights alone. The released code takes
    two backward passes and steps two optimisers in turn, the generator's first. That is the same: Adam treats every
    parameter by itself, and the discriminator's loss is of the image drawn before the generator's step.
    """
    # The generator's: (1 - D(G))^2, and the distance of feature maps.
    points = points.detach()
    # Every pass in training moves spectral norm's estimates on, so the order of all four is the released one.
    frozen = {name: parameter.detach() for name, parameter in discriminator.named_parameters()}
    maps, verdict = functional_call(discriminator, frozen, (generated, points))
    with torch.no_grad():  # frozen here too: autocast would keep its casts of trained weights, cut off from them
        real_maps, _ = functional_call(discriminator, frozen, (real, points))
    losses = {"generator_gan": gan * (1 - verdict).square().mean()}
    if feature_matching:
        distances = [(ours - theirs).abs().mean() for ours, theirs in zip(maps, real_maps, strict=True)]
        losses["feature_matching"] = feature_matching * torch.stack(distances).sum()

    # The discriminator's: (1 - D(real))^2 + D(G)^2.
    _, of_generated = discriminator(generated.detach(), points)
    _, of_real = discriminator(real, points)
    losses["discriminator_gan"] = ((1 - of_real).square() + of_generated.square()).mean()
    return losses


def _convolution(inputs: int, outputs: int, kernel: int, spectral: bool) -> nn.Module:
    convolution = nn.Conv2d(inputs, outputs, kernel)
    return spectral_norm(convolution) if spectral else convolution
