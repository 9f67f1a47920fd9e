"""Defines the objects that methods, training and inference exchange.

The conventions everywhere are: coordinates are (x, y) in [-1, 1] with the corner *pixels' centres* at -1 and 1 (so that
pixel `j` of `w` lies at `2j / (w - 1) - 1`); images are float RGB in [0, 1], channel first; stored frames are uint8,
channel last.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class FramePair:
    """Two frames of the same clip; `driving` is what a method must predict from `source`."""

    source: Float[Tensor, "b 3 h w"]
    driving: Float[Tensor, "b 3 h w"]

    def to(self, device: torch.device | str) -> FramePair:
        """Returns the pair on `device`."""
        return FramePair(self.source.to(device), self.driving.to(device))


@dataclass(frozen=True)
class Keypoints:
    """What a method knows of an image's pose: k points, with (x, y) in [-1, 1].

    `affine` is FOMM's local Jacobian or MRAA's principal axes; `covariance` is MRAA's region covariance, kept apart
    from `affine` because relative animation changes one and not the other.
    """

    xy: Float[Tensor, "b k 2"]
    affine: Float[Tensor, "b k 2 2"] | None = None
    covariance: Float[Tensor, "b k 2 2"] | None = None

    def __getitem__(self, batch: slice) -> Keypoints:
        return Keypoints(
            self.xy[batch],
            None if self.affine is None else self.affine[batch],
            None if self.covariance is None else self.covariance[batch],
        )


@dataclass(frozen=True)
class Motion:
    """Backward motion: `grid` holds the source position (x, y) in [-1, 1] that each driving position comes from.

    `weights` are the soft assignments of pixels to the `m` candidate motions (background or identity first);
    `occlusion` runs from the coarsest mask to the finest, 1 where the warped source is to be trusted.
    """

    grid: Float[Tensor, "b h w 2"]
    occlusion: tuple[Float[Tensor, "b 1 _ _"], ...]
    weights: Float[Tensor, "b m h w"]

    def __getitem__(self, batch: slice) -> Motion:
        return Motion(self.grid[batch], tuple(mask[batch] for mask in self.occlusion), self.weights[batch])


@dataclass(frozen=True)
class Prediction:
    """The image that a method draws, RGB in [0, 1], and the motion that it follows."""

    image: Float[Tensor, "b 3 h w"]
    motion: Motion


@dataclass(frozen=True)
class EncodedSource:
    """All that a method computes from the source alone, once per clip; the finest map of `features` comes first."""

    image: Float[Tensor, "b 3 h w"]
    keypoints: Keypoints
    features: tuple[Float[Tensor, "b _ _ _"], ...]

    def expand(self, size: int) -> EncodedSource:
        """Returns the encoding of one source (b = 1) as a batch of `size`, without a copy."""

        def grow(tensor: Tensor) -> Tensor:
            return tensor.expand(size, *tensor.shape[1:])

        points = self.keypoints
        return EncodedSource(
            grow(self.image),
            Keypoints(
                grow(points.xy),
                None if points.affine is None else grow(points.affine),
                None if points.covariance is None else grow(points.covariance),
            ),
            tuple(grow(feature) for feature in self.features),
        )
