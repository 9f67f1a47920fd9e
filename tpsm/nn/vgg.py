"""Computes what the perceptual loss compares: VGG-19's feature maps, or the image itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import torch
from annotated_types import MinLen
from jaxtyping import Float
from torch import Tensor, nn

from tpsm.core.errors import UserError
from tpsm.core.files import sha256_of
from tpsm.core.schema import NotNegative, checked
from tpsm.core.tensors import read_state_dict
from tpsm.nn.state_dict import load_strictly

_HINT = "is it VGG-19's? perceptual.file names it."
# Convolutions' widths, in the five stages that a maximum pool parts.
_STAGES = ((64, 64), (128, 128), (256,) * 4, (512,) * 4, (512,) * 4)
# Where the 16 convolutions stand in torchvision's `vgg19().features`, and in a file that pads by separate layers.
_TORCHVISION = (0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34)
_PADDED = (2, 5, 9, 12, 16, 19, 22, 25, 29, 32, 35, 38, 42, 45, 48, 51)


@checked
@dataclass(frozen=True)
class PerceptualConfig:
    """`weights` has a factor for each feature map, finest first; with fewer than 5 the rest of VGG-19 is never run.

    `file` holds VGG-19's weights: torchvision's state dict, or the one that `tpsm weights` gets; `sha256` is what
    `tpsm configure` found it to be. No weights at all means no perceptual loss.
    """

    backbone: Literal["vgg19", "pixels"] = "vgg19"
    file: str | None = None
    sha256: str | None = None
    weights: tuple[NotNegative, ...] = (10.0, 10.0, 10.0, 10.0, 10.0)
    scales: Annotated[tuple[float, ...], MinLen(1)] = (1.0, 0.5, 0.25, 0.125)

    def __post_init__(self) -> None:
        most = 5 if self.backbone == "vgg19" else 1
        if len(self.weights) > most:
            raise ValueError(f"weights: {self.backbone} gives {most} feature maps, not {len(self.weights)}")
        if any(s < 1 / 64 or s > 1 or abs(1 / s - round(1 / s)) > 1e-6 for s in self.scales):
            raise ValueError("scales: each must be 1 divided by a whole number, 64 at most")


class Pixels(nn.Module):
    """Takes the image as its own only feature map."""

    def forward(self, image: Float[Tensor, "b 3 h w"]) -> tuple[Tensor, ...]:
        return (image,)


class VGG19(nn.Module):
    """Returns relu1_1, relu2_1, ... relu`depth`_1 of images in [0, 1]; a 1 x 1 convolution normalises colours first."""

    def __init__(self, depth: int) -> None:
        super().__init__()
        self.colours = nn.Conv2d(3, 3, 1)
        parts: list[nn.Module] = []
        layers: list[nn.Module] = []
        inputs = 3
        for stage in _STAGES[:depth]:
            layers += [nn.MaxPool2d(2)] if parts else []
            for i, outputs in enumerate(stage):
                layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU(inplace=bool(i))]
                inputs = outputs
                if i == 0:
                    parts.append(nn.Sequential(*layers))
                    layers = []
        self.parts = nn.ModuleList(parts)

    def forward(self, image: Float[Tensor, "b 3 h w"]) -> tuple[Tensor, ...]:
        x = self.colours(image)
        maps = []
        for part in self.parts:
            x = part(x)
            maps.append(x)
        return tuple(maps)

    def load(self, state: Mapping[str, Tensor], file: Path) -> None:
        """Takes the weights of `state`, which was read from `file`.

        Raises:
            UserError: an entry of a layer that was built is missing or does not fit.
        """
        # Which convolution each entry is of, by the numbering of the file.
        torchvision = "features.0.weight" in state
        names = [f"features.{i}" for i in _TORCHVISION] if torchvision else [str(i) for i in _PADDED]
        modules = [module for module in self.parts.modules() if isinstance(module, nn.Conv2d)]
        targets = list(zip(names, modules, strict=False))
        if torchvision:
            mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
            load_strictly(
                self.colours, {"weight": torch.diag(1 / std)[:, :, None, None], "bias": -mean / std}, file, hint=_HINT
            )
        else:
            targets.append(("0", self.colours))

        # Every entry, if it is there and fits.
        for name, module in targets:
            leaves = [leaf for leaf in ("weight", "bias") if f"{name}.{leaf}" in state]
            load_strictly(module, {leaf: state[f"{name}.{leaf}"] for leaf in leaves}, file, name, hint=_HINT)


def load_backbone(config: PerceptualConfig) -> nn.Module:
    """Returns a frozen network from images to a tuple of feature maps, one for each weight.

    Raises:
        UserError: VGG-19's weights are not named, not there, not those that `tpsm configure` saw, or not VGG-19's.
    """
    if config.backbone == "pixels":
        return Pixels()
    file = weights_file(config)
    if config.sha256 is not None and sha256_of(file) != config.sha256:
        raise UserError(f"perceptual.file: {file} has changed since `tpsm configure`; run that again.")
    network = VGG19(len(config.weights))
    network.load(read_state_dict(file), file)
    return network.eval().requires_grad_(False)


def weights_file(config: PerceptualConfig) -> Path:
    """Returns the file of VGG-19's weights. Raises UserError where it is not named, or not there."""
    if config.file is None:
        raise UserError(
            "The perceptual loss needs VGG-19's weights: name their file in perceptual.file, "
            "or take the loss on pixels (perceptual.backbone: pixels)."
        )
    file = Path(config.file)
    if not file.is_file():
        raise UserError(
            f"perceptual.file: there is no file {file}; `tpsm weights vgg19-torchvision` fetches "
            ".work/weights/vgg19.pth, and `tpsm weights vgg19` fetches .work/weights/vgg19_normalised.pth."
        )
    return file


def untrained_backbone(config: PerceptualConfig) -> nn.Module:
    """Returns `load_backbone`'s network with random weights: to count or to time what it does takes no file."""
    network = Pixels() if config.backbone == "pixels" else VGG19(len(config.weights))
    return network.eval().requires_grad_(False)
