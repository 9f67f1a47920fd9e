"""Brings frames and their ground truth to the benchmark's size."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from tpsm.core.clips import GroundTruth
from tpsm.core.errors import UserError
from tpsm.data.arrays import UNREADABLE
from tpsm.data.clip import ClipWriter, unpack_truth
from tpsm.data.config import DataConfig

log = logging.getLogger(__name__)


def fit_all(
    source: Path, frames: Iterator[UInt8[np.ndarray, "_ _ 3"]], config: DataConfig, writer: ClipWriter
) -> tuple[int, ...]:
    """Writes the fitted frames, one at a time, and returns the height and width that they had before.

    Raises:
        UserError: the frames are not all of one size.
    """
    shape: tuple[int, ...] = ()
    for frame in frames:
        if shape and frame.shape[:2] != shape:
            raise UserError(f"The frames of {source} are not all of one size.")
        shape = frame.shape[:2]
        writer.add(fit_to_size(frame, config.size, config.fit))
    return shape


def fit_to_size(
    frame: UInt8[np.ndarray, "h w 3"], size: int, fit: Literal["crop", "stretch"] = "crop"
) -> UInt8[np.ndarray, "s s 3"]:
    """Returns the largest centred square ("crop") or the whole image ("stretch") at `size` pixels, anti-aliased."""
    height, width = frame.shape[:2]
    if fit == "crop":
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        frame = frame[top : top + side, left : left + side]
    if frame.shape[:2] == (size, size):
        return frame
    # Pillow widens the filter by the reduction, which is what keeps fine patterns from aliasing.
    return np.asarray(Image.fromarray(frame).resize((size, size), Image.Resampling.BICUBIC))


def fit_truth(
    truth: GroundTruth, count: int, shape: tuple[int, ...], config: DataConfig, source: Path
) -> GroundTruth | None:
    """Returns the ground truth of the first `count` frames at the new size, or None where it no longer applies.

    `shape` is the height and width that the frames had before.
    """
    if truth.labels.shape[1:] != shape or len(truth.labels) < count:
        log.warning("the ground truth of %s is of another size or length: it is dropped", source)
        return None
    if config.fit == "crop" and shape[0] != shape[1]:
        log.warning("%s is cropped: its ground truth is dropped", source)
        return None
    rows, columns = (np.floor((np.arange(config.size) + 0.5) * side / config.size).astype(int) for side in shape)
    # Resizing keeps the image's border where it is, and [-1, 1] ends at the centres of the outermost pixels.
    scale = np.array([(side - 1) / side * config.size / (config.size - 1) for side in shape[::-1]])
    change = np.concatenate([scale[:, None] / scale, scale[:, None]], axis=1)
    return GroundTruth(
        (truth.joints[:count] * scale).astype(np.float32),
        truth.visible[:count],
        truth.labels[:count][:, rows[:, None], columns],
        (truth.to_first[:count] * change).astype(np.float32),
    )


def read_truth(path: Path) -> GroundTruth:
    """Reads the ground truth beside a raw clip. Raises UserError where it is damaged."""
    try:
        return unpack_truth(path.read_bytes())
    except UNREADABLE as error:
        raise UserError(f"The ground truth {path} cannot be read ({error}); make it again or remove it.") from error
