"""Frames as one WebP image, small enough to be part of a page."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from eval.config import WEBP_SIDE, VideosConfig
from tpsm.core.files import write_bytes


def webp(frames: UInt8[np.ndarray, "t h w 3"], columns: int, **options: Any) -> bytes:
    """Frames in rows of `columns`, encoded with Pillow's `options`; the last row ends in black.

    Raises:
        ValueError: there are more frames than one image can hold.
    """
    count, height, width = frames.shape[:3]
    rows = -(-count // columns)
    if max(columns * width, rows * height) > WEBP_SIDE:
        raise ValueError(f"{count} frames of {width} x {height} px do not fit into one image")
    sheet = np.zeros((rows * columns, height, width, 3), np.uint8)
    sheet[:count] = frames
    sheet = sheet.reshape(rows, columns, height, width, 3).swapaxes(1, 2).reshape(rows * height, columns * width, 3)
    buffer = io.BytesIO()
    Image.fromarray(sheet).save(buffer, "WEBP", **options)
    return buffer.getvalue()


def chosen_frames(length: int, config: VideosConfig) -> list[int]:
    """Every frame, or every second, third, ... from the first on, so that the video keeps its speed."""
    return list(range(0, length, -(-length // config.frames)))


def write_strip(path: Path, frames: UInt8[np.ndarray, "t h w 3"], config: VideosConfig) -> tuple[int, int]:
    """Frames from left to right, each shrunk to `config.size` if larger; (width, height) of one."""
    height, width = frames.shape[1:3]
    shrink = min(config.size / max(height, width), 1)
    size = (max(round(width * shrink), 1), max(round(height * shrink), 1))
    if shrink < 1:
        frames = np.stack([np.asarray(Image.fromarray(frame).resize(size, Image.Resampling.BOX)) for frame in frames])
    write_bytes(path, webp(frames, len(frames), quality=config.quality, method=6))
    return size
