"""Frames as one picture side by side, small enough to be part of a page."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from eval.config import VideosConfig
from tpsm.core.files import atomic
from tpsm.data.clip import ClipFile


def chosen_frames(length: int, config: VideosConfig) -> list[int]:
    """Every frame, or every second, third, ... from the first on, so that the video keeps its speed."""
    return list(range(0, length, -(-length // config.frames)))


def write_strip(path: Path, frames: UInt8[np.ndarray, "t h w 3"], config: VideosConfig) -> tuple[int, int]:
    """Frames from left to right in one WebP picture, each shrunk to `config.size` if larger; (width, height) of one."""
    height, width = frames.shape[1:3]
    shrink = min(config.size / max(height, width), 1)
    size = (max(round(width * shrink), 1), max(round(height * shrink), 1))
    strip = Image.new("RGB", (size[0] * len(frames), size[1]))
    for index, frame in enumerate(frames):
        picture = Image.fromarray(frame)
        strip.paste(
            picture if picture.size == size else picture.resize(size, Image.Resampling.BOX), (index * size[0], 0)
        )
    with atomic(path) as draft:
        strip.save(draft, "WEBP", quality=config.quality, method=6)
    return size


def read_frames(path: Path, which: list[int]) -> UInt8[np.ndarray, "t h w 3"]:
    with ClipFile(path) as clip:
        return np.stack([clip.frame(index) for index in which])
