"""What passes between evaluators, metrics and scoring."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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

PIECE = 64
"""How many frames of a clip are evaluated and scored at a time: a multiple of the evaluators' batches, and of 8."""


def pieces(count: int, size: int = PIECE) -> Iterator[slice]:
    """Divides so many frames into pieces of `size`; the last one may be shorter."""
    return (slice(start, min(start + size, count)) for start in range(0, count, size))


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
    """All that metrics may look at, for `t` successive frames of a clip. What does not exist is None.

    `l1` is the error of the predicted frames before they were quantised, one value per frame; `motion` is the backward
    motion from each frame to the clip's frame 0, in [-1, 1], at the frames' size.
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
    """What the evaluators read off some frames; None for a role without an evaluator."""

    landmarks: Landmarks | None
    embedding: Float32[np.ndarray, "t d"] | None

    @classmethod
    def joined(cls, parts: Sequence[Features]) -> Features:
        """Those of a clip from those of its pieces."""
        landmarks = [part.landmarks for part in parts if part.landmarks is not None]
        embeddings = [part.embedding for part in parts if part.embedding is not None]
        xy, found = ([getattr(each, name) for each in landmarks] for name in ("xy", "found"))
        return cls(
            Landmarks(np.concatenate(xy), np.concatenate(found)) if landmarks else None,
            np.concatenate(embeddings) if embeddings else None,
        )
