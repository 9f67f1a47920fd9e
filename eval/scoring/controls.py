"""Runs that no model makes, which every run is compared with."""

from __future__ import annotations

import numpy as np

from eval.types import Landmarks, ScoredClip

SOURCE_COPY, DRIVING_CLIP = "copy-source", "driving"
"""Modes of animation rows that no model makes, on a run's own pairs: the source repeated, the driving clip itself."""
CONTROLS = {"copy-source": "Copy of the source", "real": "Real frames"}
"""Runs that no model makes: the first frame repeated, and the clip itself."""


def control(run: str, real: ScoredClip, first: ScoredClip) -> ScoredClip:
    """Frames as a control would have them, whose clip begins with the frame `first`: features are the real clip's own,
    motion is none, or the true one."""
    if run == "copy-source":
        copied = repeated(first, len(real.frames))
        height, width = real.size
        still = np.stack(np.meshgrid(np.linspace(-1, 1, width), np.linspace(-1, 1, height)), axis=-1)
        motion = np.broadcast_to(still.astype(np.float32), (len(real.frames), height, width, 2))
        return ScoredClip(copied.frames, copied.landmarks, copied.embedding, motion=motion)
    true = None if real.truth is None else real.truth.dense[0]
    return ScoredClip(real.frames, real.landmarks, real.embedding, motion=true)


def repeated(real: ScoredClip, count: int) -> ScoredClip:
    """The first frame, `count` times, with its features."""

    def again(array: np.ndarray) -> np.ndarray:
        return np.broadcast_to(array[:1], (count, *array.shape[1:]))

    joints = real.landmarks
    return ScoredClip(
        again(real.frames),
        None if joints is None else Landmarks(again(joints.xy), again(joints.found)),
        None if real.embedding is None else again(real.embedding),
    )
