"""Animation via disentanglement (AVD; MRAA, and TPSMM after it): one subject's pose in the shape of another."""

from __future__ import annotations

from itertools import pairwise
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from tpsm.core.rng import BatchRng
from tpsm.core.types import FramePair, Keypoints
from tpsm.methods.avd_config import AvdConfig
from tpsm.methods.base import Method
from tpsm.nn.geometry import inverse


class AVD(nn.Module):
    """Encodes the source's keypoints as an identity and the driving ones as a pose, and decodes both as keypoints.

    It takes keypoints of any method, flattened: the shift and, where there is one, the affine part of each point.
    """

    def __init__(self, config: AvdConfig, num_points: int, affine: bool) -> None:
        super().__init__()
        numbers = num_points * (6 if affine else 2)
        widths = list(config.widths)
        self.id_encoder = _layers([numbers, *widths, config.id_bottle])
        self.pose_encoder = _layers([numbers, *widths, config.pose_bottle])
        self.decoder = _layers([config.pose_bottle + config.id_bottle, *reversed(widths), numbers])

    @staticmethod
    def like(keypoints: Keypoints, config: AvdConfig) -> AVD:
        """Returns an AVD for as many keypoints as these, with an affine part if these have one."""
        return AVD(config, keypoints.xy.shape[1], keypoints.affine is not None)

    def forward(self, identity: Keypoints, pose: Keypoints) -> Keypoints:
        """Returns the pose `pose` as `identity` would strike it. Both must have the same batch size."""
        # Principal axes have an arbitrary sign; the identity's follow the pose's. Jacobians (no covariance) have none.
        signed = identity
        if identity.affine is not None and pose.affine is not None and identity.covariance is not None:
            sign = torch.sign((identity.affine @ inverse(pose.affine))[..., :1, :1])
            signed = Keypoints(identity.xy, identity.affine * sign)
        codes = [self.pose_encoder(_flatten(pose)), self.id_encoder(_flatten(signed))]
        points = self.decoder(torch.cat(codes, dim=1)).unflatten(1, (identity.xy.shape[1], -1))
        if identity.affine is None:
            return Keypoints(points)
        affine = points[..., 2:].unflatten(-1, (2, 2))
        return Keypoints(points[..., :2], affine, None if identity.covariance is None else affine @ affine.mT)


class AvdTraining(nn.Module):
    """Computes what the trainer minimises to train an AVD on a trained method's keypoints.

    The method is kept out of the parameters and the state dict, and always in eval mode. (The released code leaves the
    keypoint detector in train mode, so that its batch norms drift, and saves the drifted detector: we do not.)
    """

    clip_grad_modules: ClassVar[tuple[str, ...]] = ()
    sync_batch_norm: ClassVar[bool] = True  # The released code trains it on one device.

    def __init__(self, method: Method, avd: AVD, config: AvdConfig) -> None:
        super().__init__()
        self.config = config
        self.avd = avd
        self._method = (method.eval(),)  # A tuple hides it from nn.Module.

    def losses(self, pair: FramePair, epoch: int, draws: BatchRng) -> dict[str, Tensor]:
        """Returns the L1 of the driving keypoints and those predicted from the source and the stretched pose."""
        method = self._method[0].to(pair.source.device)
        with torch.no_grad():
            source, driving = method.keypoints(pair.source), method.keypoints(pair.driving)
            factors = 1 + self.config.scale * (2 * draws.uniform(driving.xy.shape[0], 2) - 1)
            pose = stretch(driving, factors.to(driving.xy))
        predicted = self.avd(source, pose)
        losses = {"keypoints": self.config.weight * (predicted.xy - driving.xy).abs().mean()}
        if predicted.affine is not None and driving.affine is not None:
            losses["affine"] = self.config.weight * (predicted.affine - driving.affine).abs().mean()
        return losses

    def phase(self, epoch: int) -> None:
        """Returns what of the epoch decides the losses, as `Method.phase` does: nothing."""

    def forward(
        self, source: Float[Tensor, "b 3 h w"], driving: Float[Tensor, "b 3 h w"], epoch: int, draws: BatchRng
    ) -> dict[str, Tensor]:
        return self.losses(FramePair(source, driving), epoch, draws)


def stretch(keypoints: Keypoints, factors: Float[Tensor, "b 2"]) -> Keypoints:
    """Returns every pose scaled along x and y about the centre of the image."""
    affine, covariance = keypoints.affine, keypoints.covariance
    rows = factors[:, None, :, None]
    return Keypoints(
        keypoints.xy * factors[:, None, :],
        None if affine is None else rows * affine,
        None if covariance is None else rows * covariance * rows.mT,
    )


def _layers(widths: list[int]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(widths[:-1]):
        layers += [nn.Linear(inputs, outputs), nn.BatchNorm1d(outputs), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers, nn.Linear(widths[-2], widths[-1]))


def _flatten(keypoints: Keypoints) -> Float[Tensor, "b n"]:
    if keypoints.affine is None:
        return keypoints.xy.flatten(1)
    return torch.cat([keypoints.xy, keypoints.affine.flatten(-2)], dim=-1).flatten(1)
