"""Sets limits to input from elsewhere: the pixels of a frame, and the frame rate."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Annotated

from annotated_types import Ge, Le

from tpsm.core.errors import UserError

PIXELS = 64_000_000
"""The most pixels of an image or a video frame, unless the environment variable TPSM_MAX_PIXELS says another number."""
FPS_RANGE = (0.01, 1000.0)
"""The lowest and the highest frame rate, in frames per second."""
Fps = Annotated[float, Ge(FPS_RANGE[0]), Le(FPS_RANGE[1])]


def max_pixels() -> int:
    """Returns the most pixels that a frame may have. Raises UserError where TPSM_MAX_PIXELS is no number of pixels."""
    text = os.environ.get("TPSM_MAX_PIXELS", "") or str(PIXELS)
    if not (text.isascii() and text.isdecimal() and 1 <= len(text) <= 12):
        raise UserError(f"TPSM_MAX_PIXELS is {text[:40]!r}; give a number of pixels, such as {PIXELS}.")
    return int(text)


def check_pixels(path: Path, width: int, height: int) -> None:
    """Raises UserError where a frame of the file is too large to be decoded. `width` and `height` are in pixels."""
    if width * height > (most := max_pixels()):
        raise UserError(
            f"{path} has a frame of {width} x {height} pixels, more than the {most:,} that are read; make it smaller, "
            "or set the environment variable TPSM_MAX_PIXELS."
        )


def check_fps(fps: float, where: str) -> float:
    """Returns the rate, in frames per second. Raises UserError where it is not within `FPS_RANGE`."""
    low, high = FPS_RANGE
    if not (math.isfinite(fps) and low <= fps <= high):
        raise UserError(f"{where} says {fps:g} frames per second; it must be between {low:g} and {high:g}.")
    return float(fps)
