"""Draws the random thin-plate deformations of the equivariance losses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from annotated_types import Ge, Le
from jaxtyping import Float
from torch import Tensor

from tpsm.core.rng import BatchRng
from tpsm.core.schema import NotNegative, checked
from tpsm.nn.geometry import coordinate_grid, warp
from tpsm.nn.precision import full_precision

Radial = Literal["squared_l2", "l1"]


@checked
@dataclass(frozen=True)
class TransformConfig:
    """`sigma_*` are standard deviations in coordinates of [-1, 1]; `points` is the side of the control grid."""

    sigma_affine: NotNegative = 0.05
    sigma_tps: NotNegative = 0.005
    points: Annotated[int, Ge(2), Le(64)] = 5


@dataclass(frozen=True)
class RandomTPS:
    """The transform T(z) = theta [z, 1] + (s, s), with s the weighted sum of a radial function about each control
    point.

    One scalar moves x and y alike, as in the released code. TPSMM's radial function is r^2 ln(r^2 + 1e-9) of the
    distance r ("squared_l2"); FOMM's and MRAA's is r^2 ln(r + 1e-6) of r = |dx| + |dy| ("l1").
    """

    theta: Float[Tensor, "b 2 3"]
    weights: Float[Tensor, "b m"]
    radial: Radial

    @staticmethod
    def sample(batch: int, config: TransformConfig, radial: Radial, draws: BatchRng) -> RandomTPS:
        """Draws a transform for each of `batch` images, on the CPU; `to` moves it."""
        noise = config.sigma_affine * draws.normal(batch, 2, 3)
        weights = config.sigma_tps * draws.normal(batch, config.points**2)
        return RandomTPS(torch.eye(2, 3, dtype=noise.dtype, device=noise.device) + noise, weights, radial)

    def to(self, like: Tensor) -> RandomTPS:
        """Returns the transform on the device and in the type of `like`."""
        return RandomTPS(self.theta.to(like), self.weights.to(like), self.radial)

    @full_precision
    def points(self, points: Float[Tensor, "_ n 2"]) -> Float[Tensor, "b n 2"]:
        """Returns where points of the transformed image come from in the original, in [-1, 1]; one set serves all."""
        affine = points @ self.theta[:, :, :2].mT + self.theta[:, None, :, 2]
        difference = self._difference(points)
        if self.radial == "l1":
            r = difference.abs().sum(-1)
            value = r.square() * torch.log(r + 1e-6)
        else:
            squared = difference.square().sum(-1)
            value = squared * torch.log(squared + 1e-9)
        return affine + value @ self.weights[..., None]

    @full_precision
    def jacobian(self, points: Float[Tensor, "b n 2"]) -> Float[Tensor, "b n 2 2"]:
        """Returns dT/dz at the points, itself differentiable in them."""
        difference = self._difference(points)
        if self.radial == "l1":
            r = difference.abs().sum(-1)
            slope = 2 * r * torch.log(r + 1e-6) + r.square() / (r + 1e-6)
            direction = difference.sign()
        else:
            squared = difference.square().sum(-1)
            slope = torch.log(squared + 1e-9) + squared / (squared + 1e-9)
            direction = 2 * difference
        bend = torch.einsum("bnm,bnmd,bm->bnd", slope, direction, self.weights)
        return self.theta[:, None, :, :2] + bend[:, :, None, :]

    def image(self, image: Float[Tensor, "b c h w"], *, align_corners: bool) -> Float[Tensor, "b c h w"]:
        """Returns the transformed image, mirrored at its borders."""
        height, width = image.shape[-2:]
        grid = coordinate_grid(height, width, image).reshape(1, -1, 2)
        grid = self.points(grid).unflatten(1, (height, width))
        return warp(image, grid, align_corners=align_corners, padding="reflection")

    def _difference(self, points: Float[Tensor, "c n 2"]) -> Float[Tensor, "c n m 2"]:
        side = round(self.weights.shape[1] ** 0.5)
        return points[:, :, None, :] - coordinate_grid(side, side, points).reshape(-1, 2)
