"""Computes the losses that the methods share."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from tpsm.core.errors import UserError
from tpsm.core.types import Keypoints
from tpsm.nn.blocks import downsample
from tpsm.nn.geometry import inverse
from tpsm.nn.precision import full_precision
from tpsm.nn.random_tps import RandomTPS
from tpsm.nn.vgg import PerceptualConfig, load_backbone


class PerceptualLoss:
    """Sums the weighted L1 between feature maps of both images over maps and over an anti-aliased pyramid.

    It is the reconstruction loss of all three papers.

    Not an `nn.Module`: its frozen weights belong to no checkpoint and no optimiser. They are read at the first use, so
    that a model that only animates needs no such file, and follow the images from device to device.
    """

    def __init__(self, config: PerceptualConfig) -> None:
        self.config = config
        self._networks: tuple[nn.Module, nn.ModuleList] | None = None

    def use(self, backbone: nn.Module) -> None:
        """Compares the maps of `backbone`, a frozen network, in the place of the one that the configuration names."""
        self._networks = backbone, nn.ModuleList(downsample(3, scale) for scale in self.config.scales)

    def __call__(self, prediction: Float[Tensor, "b 3 h w"], driving: Float[Tensor, "b 3 h w"]) -> Tensor:
        # The network, at the first use, and where the images are.
        self._check(driving)
        if self._networks is None:
            self.use(load_backbone(self.config))
        assert self._networks is not None
        backbone, pyramid = self._networks
        for network in self._networks:
            if any(own.device != driving.device or own.dtype != driving.dtype for own in network.state_dict().values()):
                network.to(driving)
        layout = self._layout(driving)
        if layout == torch.channels_last:
            backbone.to(memory_format=layout)  # type: ignore[call-overload]  # Else every convolution would do it.

        # The distance of all maps; the driving image's have no gradient.
        with torch.no_grad():
            targets = [backbone(level(driving).to(memory_format=layout)) for level in pyramid]
        total = driving.new_zeros(())
        for level, target in zip(pyramid, targets, strict=True):
            maps = backbone(level(prediction).to(memory_format=layout))
            for weight, ours, theirs in zip(self.config.weights, maps, target, strict=True):
                total = total + weight * self._distance(ours - theirs, driving.dtype)
        return total

    def _distance(self, difference: Tensor, dtype: torch.dtype) -> Tensor:
        """Returns the mean size; the backward pass of a sum, unlike that of a mean, makes no map of equal numbers."""
        return difference.abs().sum(dtype=dtype) / difference.numel()

    def _layout(self, image: Tensor) -> torch.memory_format:
        """On a CPU, the network's pools and the backward pass of its convolutions are faster with channels last."""
        return torch.channels_last if image.device.type == "cpu" else torch.preserve_format

    def _check(self, image: Tensor) -> None:
        # Every map after the first halves the sides.
        smallest = 2 ** (len(self.config.weights) - 1) / min(self.config.scales)
        if min(image.shape[-2:]) < smallest:
            raise UserError(
                f"perceptual: an image of {image.shape[-1]} x {image.shape[-2]} is too small for scales "
                f"{self.config.scales} and {len(self.config.weights)} feature maps, which need {smallest:.0f}; "
                "leave out a scale or a weight."
            )


def equivariance(driving: Keypoints, transformed: Keypoints, transform: RandomTPS) -> Tensor:
    """Returns mean |p_d - T(p')|, the equivariance loss of all three papers.

    It is 0 where the keypoints of the transformed image, taken back by T, are the image's own.
    """
    return (driving.xy - transform.points(transformed.xy)).abs().mean()


def affine_agreement(driving: Keypoints, transformed: Keypoints, transform: RandomTPS) -> Float[Tensor, "b k 2 2"]:
    """Returns A_d^-1 (dT/dz at p') A', which is the identity where the affine parts are equivariant (FOMM's
    equivariance constraint on Jacobians; MRAA puts it on regions' affine maps).
    """
    if driving.affine is None or transformed.affine is None:
        raise ValueError("these keypoints have no affine part")
    return _between(driving.affine, transform.jacobian(transformed.xy), transformed.affine)


@full_precision
def _between(left: Tensor, middle: Tensor, right: Tensor) -> Tensor:
    return inverse(left) @ middle @ right


def distance_to_identity(matrices: Float[Tensor, "*n d d"]) -> Tensor:
    """Returns the mean over all entries of |I - M|: how far matrices are from the identity that they should be."""
    identity = torch.eye(matrices.shape[-1], dtype=matrices.dtype, device=matrices.device)
    return (identity - matrices).abs().mean()
