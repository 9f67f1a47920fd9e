"""Frames as the papers' program read them: from PNGs whose values were truncated, where clips here are rounded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from eval.types import Features, Landmarks, ScoredClip
from tpsm.core.errors import UserError
from tpsm.data.arrays import ArrayReader


class Truncation:
    """Turns rounded frames into truncated ones: one less where rounding went up, which is what truncation stores, to
    the last bit.

    `size` is how many values all frames of the clip have; messages call the file `name`, unless it is damaged.

    Raises:
        UserError: the file that says where rounding went up is missing, damaged or of another length.
    """

    def __init__(self, rounded_up: Path, size: int, name: str) -> None:
        if not rounded_up.is_file():
            raise UserError(f"There is no {name}, which the legacy protocol needs; run the stage reconstruct again.")
        self._name, self._left = name, size
        shape = (-(-size // 8),)
        self._bits = ArrayReader(rounded_up, "bits", shape, "run the stage reconstruct again", most=size)

    def next(self, frames: UInt8[np.ndarray, "t h w 3"]) -> UInt8[np.ndarray, "t h w 3"]:
        """Returns the next frames truncated.

        Raises:
            UserError: the file belongs to other frames, or is damaged.
            ValueError: frames that are not the last have no multiple of eight values, the bits of a byte.
        """
        self._left -= frames.size
        if self._left and frames.size % 8:
            raise ValueError(f"{frames.size} values do not end with a byte")
        bits = self._bits.take(-(-frames.size // 8))
        up = np.unpackbits(bits, count=frames.size).reshape(frames.shape)
        if (up > frames).any():
            raise UserError(f"{self._name} belongs to other frames; run the stage reconstruct again.")
        return frames - up

    def close(self) -> None:
        """Closes the file."""
        self._bits.close()


def with_frames(
    made: ScoredClip,
    frames: UInt8[np.ndarray, "t h w 3"],
    evaluators: Callable[[UInt8[np.ndarray, "t h w 3"]], Features],
) -> ScoredClip:
    """`made` with other frames, and what `evaluators` find in them; a frame that stays the same is not read again."""
    changed = (frames != made.frames).any(axis=(1, 2, 3))
    if not changed.any():
        return made
    seen, landmarks, embedding = evaluators(frames[changed]), made.landmarks, made.embedding
    if seen.landmarks is not None and landmarks is not None:
        xy, found = landmarks.xy.copy(), landmarks.found.copy()
        xy[changed], found[changed] = seen.landmarks.xy, seen.landmarks.found
        landmarks = Landmarks(xy, found)
    if seen.embedding is not None and embedding is not None:
        embedding = embedding.copy()
        embedding[changed] = seen.embedding
    return replace(made, frames=frames, landmarks=landmarks, embedding=embedding)
