"""Frames as the papers' program read them: from PNGs whose values were truncated, where clips here are rounded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from eval.types import Features, Landmarks, ScoredClip
from tpsm.core.errors import UserError
from tpsm.data.arrays import opened_arrays


def truncated_frames(frames: UInt8[np.ndarray, "t h w 3"], rounded_up: Path, name: str) -> UInt8[np.ndarray, "t h w 3"]:
    """Rounded frames less one where rounding went up, which is what truncation stores, to the last bit.

    Raises:
        UserError: the file that says where is missing or belongs to other frames; the message calls it `name`.
    """
    if not rounded_up.is_file():
        raise UserError(f"There is no {name}, which the legacy protocol needs; run the stage reconstruct again.")
    with opened_arrays(rounded_up, "run the stage reconstruct again", most=frames.size) as arrays:
        bits = arrays["bits"]
    if len(bits) != -(-frames.size // 8):
        raise UserError(f"{name} belongs to a clip of another size or length; run the stage reconstruct again.")
    up = np.unpackbits(bits, count=frames.size).reshape(frames.shape)
    if (up > frames).any():
        raise UserError(f"{name} belongs to other frames; run the stage reconstruct again.")
    return frames - up


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
