"""What passes between evaluators, metrics and scoring."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64, UInt8

from tpsm.core.clips import GroundTruth

Role = Literal["landmarks", "identity"]
ROLES: tuple[Role, ...] = ("landmarks", "identity")
Need = Literal["landmarks", "identity", "motion", "truth"]
Protocol = Literal["strict", "legacy"]
PROTOCOLS: tuple[Protocol, ...] = ("strict", "legacy")
"""How frames become a number: as it should be, and as the papers' program (pose-evaluation) has it. In the legacy one
metrics see truncated 8-bit frames, and reconstruction counts frame 0, which repeats the source."""


@dataclass(frozen=True)
class Landmarks:
    """Detected joints: xy in [-1, 1] as `tpsm.core.types` defines, and which of them were found."""

    xy: Float32[np.ndarray, "t j 2"]
    found: Bool[np.ndarray, "t j"]

    def pixels(self, height: int, width: int) -> Float64[np.ndarray, "t j 2"]:
        """The joints in pixels; the centre of the first pixel is 0."""
        return to_pixels(self.xy, height, width)


@dataclass(frozen=True)
class ScoredClip:
    """All that metrics may look at, for one clip of `t` frames. What does not exist is None.

    `l1` is the error of the predicted frames before they were quantised, one value per frame; `motion` is the backward
    motion from each frame to frame 0, in [-1, 1], at the frames' size.
    """

    frames: UInt8[np.ndarray, "t h w 3"]
    landmarks: Landmarks | None = None
    embedding: Float32[np.ndarray, "t d"] | None = None
    truth: GroundTruth | None = None
    motion: Float32[np.ndarray, "t h w 2"] | None = None
    l1: Float64[np.ndarray, " t"] | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Height and width, in pixels."""
        return self.frames.shape[1], self.frames.shape[2]

    def has(self, need: Need) -> bool:
        held = {"landmarks": self.landmarks, "identity": self.embedding, "motion": self.motion, "truth": self.truth}
        return held[need] is not None


def to_pixels(xy: Float[np.ndarray, "*n 2"], height: int, width: int) -> Float64[np.ndarray, "*n 2"]:
    """[-1, 1] to pixels, the corner pixels' centres at -1 and 1."""
    return (np.asarray(xy, np.float64) + 1) / 2 * (width - 1, height - 1)


@dataclass(frozen=True)
class Features:
    """What the evaluators read off one clip; None for a role without an evaluator."""

    landmarks: Landmarks | None
    embedding: Float32[np.ndarray, "t d"] | None
