"""The data objects that cross a module boundary.

Conventions, everywhere: coordinates are (x, y) in [-1, 1] with the corner *pixels' centres* at -1 and 1 (so that pixel
`j` of `w` lies at `2j / (w - 1) - 1`); images are float RGB in [0, 1], channel first; stored frames are uint8, channel
last.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, UInt8
from torch import Tensor

Fit = Literal["crop", "stretch"]
"""How a frame becomes a square: its largest centred square, or all of it."""


@dataclass(frozen=True)
class GroundTruth:
    """What a synthetic clip knows about itself.

    `labels` names the rigid part that each pixel shows (0 is the background); `to_first` maps a point of that part in
    frame `t` to the same point in frame 0, so labels and matrices together are the dense motion.
    """

    joints: Float32[np.ndarray, "t j 2"]
    visible: Bool[np.ndarray, "t j"]
    labels: UInt8[np.ndarray, "t h w"]
    to_first: Float32[np.ndarray, "t p 2 3"]

    def motion(self, frame: int) -> Float32[np.ndarray, "h w 2"]:
        """For every pixel of `frame`, where its surface point lay in frame 0."""
        labels = self.labels[frame]
        height, width = labels.shape
        x, y = np.meshgrid(np.linspace(-1, 1, width), np.linspace(-1, 1, height))
        points = np.stack([x, y, np.ones_like(x)], axis=-1)
        return np.einsum("hwij,hwj->hwi", self.to_first[frame][labels], points).astype(np.float32)

    def motion_is_visible(self, frame: int) -> Bool[np.ndarray, "h w"]:
        """Pixels of `frame` whose surface point is inside the picture and unoccluded in frame 0."""
        height, width = self.labels.shape[1:]
        x, y = np.moveaxis(self.motion(frame), -1, 0)
        column = np.rint((x + 1) / 2 * (width - 1)).astype(int)
        row = np.rint((y + 1) / 2 * (height - 1)).astype(int)
        inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
        seen = self.labels[0][row.clip(0, height - 1), column.clip(0, width - 1)]
        return inside & (seen == self.labels[frame])


@dataclass(frozen=True)
class Clip:
    """A video in memory. `identity` is what stands before the first `#` of its name, or the whole name."""

    name: str
    identity: str
    frames: UInt8[np.ndarray, "t h w 3"]
    fps: float
    truth: GroundTruth | None = None


@dataclass(frozen=True)
class FramePair:
    """Two frames of the same clip; `driving` is what a method must predict from `source`."""

    source: Float[Tensor, "b 3 h w"]
    driving: Float[Tensor, "b 3 h w"]

    def to(self, device: torch.device | str) -> FramePair:
        return FramePair(self.source.to(device), self.driving.to(device))


@dataclass(frozen=True)
class Keypoints:
    """What a method knows of an image's pose.

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
    """Backward motion: `grid` says where in the source each driving position comes from.

    `weights` are the soft assignments of pixels to the `m` candidate motions (background or identity first);
    `occlusion` runs from the coarsest mask to the finest, 1 where the warped source is to be trusted.
    """

    grid: Float[Tensor, "b h w 2"]
    occlusion: tuple[Float[Tensor, "b 1 _ _"], ...]
    weights: Float[Tensor, "b m h w"]


@dataclass(frozen=True)
class Prediction:
    image: Float[Tensor, "b 3 h w"]
    motion: Motion


@dataclass(frozen=True)
class SourceCode:
    """All that a method computes from the source alone, once a clip; the finest map of `features` comes first."""

    image: Float[Tensor, "b 3 h w"]
    keypoints: Keypoints
    features: tuple[Float[Tensor, "b _ _ _"], ...]

    def expand(self, size: int) -> SourceCode:
        """The code of one source (b = 1), seen as a batch of `size` without a copy."""

        def grow(tensor: Tensor) -> Tensor:
            return tensor.expand(size, *tensor.shape[1:])

        points = self.keypoints
        return SourceCode(
            grow(self.image),
            Keypoints(
                grow(points.xy),
                None if points.affine is None else grow(points.affine),
                None if points.covariance is None else grow(points.covariance),
            ),
            tuple(grow(feature) for feature in self.features),
        )
