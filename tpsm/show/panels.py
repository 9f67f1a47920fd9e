"""Puts frames side by side, each below its name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont

SMALLEST = 192
"""The side of a panel in pixels; smaller frames are enlarged, by a whole number."""
GAP, CAPTION, INK = 4, 24, (40, 40, 40)
TITLES = {"fomm": "FOMM", "mraa": "MRAA", "tps": "TPSMM"}
"""What the papers call the methods that runs of these names train; other runs have their own names above them."""


def side_by_side(
    titles: Sequence[str], columns: Sequence[Iterable[UInt8[np.ndarray, "s s 3"]]], size: int
) -> Iterator[UInt8[np.ndarray, "h w 3"]]:
    """Yields one frame for each of the columns' frames, on white, with the titles above.

    `size` is the side of the largest frames in pixels; others are enlarged to it. It ends with the shortest column.
    """
    side = size * -(-SMALLEST // size)
    sheet = _captions(titles, side)
    for frames in zip(*columns, strict=False):
        for number, frame in enumerate(frames):
            panel = Image.fromarray(frame).resize((side, side), Image.Resampling.BICUBIC)
            sheet[CAPTION:, number * (side + GAP) :][:, :side] = np.asarray(panel)
        yield sheet.copy()


def _captions(titles: Sequence[str], side: int) -> UInt8[np.ndarray, "h w 3"]:
    """A white sheet with room for the panels, and each title in the middle above its own."""
    sheet = Image.new("RGB", (len(titles) * (side + GAP) - GAP, CAPTION + side), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(15)
    for number, title in enumerate(titles):
        while draw.textlength(title, font) > side and len(title) > 1:
            title = title[:-2] + "…"
        draw.text((number * (side + GAP) + side / 2, CAPTION / 2), title, INK, font, anchor="mm")
    return np.array(sheet)
