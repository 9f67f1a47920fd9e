"""Videos as a page can hold them: one image each, with all frames in rows."""

from __future__ import annotations

import base64
import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8

from eval.web.strips import webp

BANDS = 6


@dataclass(frozen=True)
class Strip:
    """`image` is a data URI; frame `i` stands in row `i // columns`, column `i % columns`."""

    image: str
    columns: int
    frames: int
    width: int
    height: int


def strip(frames: UInt8[np.ndarray, "t h w 3"], quality: int | None) -> Strip:
    """`quality` from 1 to 100 is WebP's; None loses nothing.

    Raises:
        ValueError: there are more frames than one image can hold.
    """
    count, height, width = frames.shape[:3]
    # About square, so that neither side meets its limit early.
    columns = min(count, max(1, round(math.sqrt(count * height / width))))
    options = {"lossless": True, "quality": 50, "method": 1} if quality is None else {"quality": quality}
    image = "data:image/webp;base64," + base64.b64encode(webp(frames, columns, **options)).decode()
    return Strip(image, columns, count, width, height)


def broken(frames: UInt8[np.ndarray, "t h w 3"], rng: np.random.Generator) -> UInt8[np.ndarray, "t h w 3"]:
    """The clip as nobody could prefer it: its frames out of order, and each torn into shifted bands."""
    out = frames[rng.permutation(len(frames))]
    for frame in out:
        for axis in (0, 1):
            for band in np.array_split(frame.swapaxes(0, axis), BANDS):  # views: what is written there is in `frame`
                band[:] = np.roll(band, rng.integers(1, max(2, band.shape[1])), axis=1)
    return out
