"""A clip and its ground truth, as arrays."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float32, UInt8


@dataclass(frozen=True)
class GroundTruth:
    """What is known exactly of a synthetic clip: its joints, the part that each pixel shows, and every part's motion.

    `labels` names the rigid part that each pixel shows (0 is the background); `to_first` maps a point of that part in
    frame `t` to the same point in the clip's frame 0, so labels and matrices together are the dense motion. `first` has
    frame 0's labels where these frames begin later.
    """

    joints: Float32[np.ndarray, "t j 2"]
    visible: Bool[np.ndarray, "t j"]
    labels: UInt8[np.ndarray, "t h w"]
    to_first: Float32[np.ndarray, "t p 2 3"]
    first: UInt8[np.ndarray, "h w"] | None = None

    def part(self, frames: slice) -> GroundTruth:
        """Returns what is known of these frames alone."""
        return GroundTruth(
            self.joints[frames], self.visible[frames], self.labels[frames], self.to_first[frames], self._labels_of_first
        )

    @property
    def _labels_of_first(self) -> UInt8[np.ndarray, "h w"]:
        return self.labels[0] if self.first is None else self.first

    @cached_property
    def dense(self) -> tuple[Float32[np.ndarray, "t h w 2"], Bool[np.ndarray, "t h w"]]:
        """Every frame's `motion`, and which pixels are visible by `is_visible`; computed once."""
        motion = [self.motion(frame) for frame in range(len(self.labels))]
        return np.stack(motion), np.stack([self.is_visible(*one) for one in enumerate(motion)])

    def motion(self, frame: int) -> Float32[np.ndarray, "h w 2"]:
        """Returns, for every pixel of `frame`, where its surface point lay in frame 0: (x, y) in [-1, 1]."""
        labels = self.labels[frame]
        height, width = labels.shape
        x, y = np.linspace(-1, 1, width), np.linspace(-1, 1, height)[:, None]
        # A row of the parts' matrices at a time: four times as fast as a small product for each pixel.
        rows = np.moveaxis(self.to_first[frame].astype(np.float64), 1, 0)
        sides = [row[:, 0][labels] * x + row[:, 1][labels] * y + row[:, 2][labels] for row in rows]
        return np.stack(sides, axis=-1).astype(np.float32)

    def is_visible(self, frame: int, motion: Float32[np.ndarray, "h w 2"]) -> Bool[np.ndarray, "h w"]:
        """Returns which pixels of `frame`, whose motion is given, show a surface point that lies inside the image and
        unoccluded in frame 0."""
        height, width = self.labels.shape[1:]
        x, y = np.moveaxis(motion, -1, 0)
        column = np.rint((x + 1) / 2 * (width - 1)).astype(int)
        row = np.rint((y + 1) / 2 * (height - 1)).astype(int)
        inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
        seen = self._labels_of_first[row.clip(0, height - 1), column.clip(0, width - 1)]
        return inside & (seen == self.labels[frame])


@dataclass(frozen=True)
class Clip:
    """A video in memory, at `fps` frames per second.

    `identity` is what stands before the first `#` of its name, or the whole name.
    """

    name: str
    identity: str
    frames: UInt8[np.ndarray, "t h w 3"]
    fps: float
    truth: GroundTruth | None = None
