"""The picture that README.md begins with: source, driving clip and every method's result, moving side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from matplotlib import font_manager
from PIL import Image, ImageDraw, ImageFont

from eval.figures.drawing import short
from eval.report.difficulty import comparison
from eval.tables.results import Results
from tpsm.core.files import atomic
from tpsm.data.clip import ClipFile, read_frames

TILE, GAP, HEAD = 190, 10, 26
"""Pixels of a frame, about, between frames, and for the words above them."""
LONGEST = 48
"""Frames of a long clip that are shown, evenly spread over it at its own speed."""
LARGEST, QUALITIES = 1_000_000, (80, 60, 40, 20, 5)
"""Bytes, and the qualities that are tried, as WebP counts them, until the picture takes no more."""
GREY = (118, 128, 138, 255)
"""Of the words: read on white and on black, as the picture has no background of its own."""


def moving_comparison(results: Results) -> Path | None:
    """Writes `comparison.webp`, animated; None where no frames are there."""
    shown = comparison(results)
    if shown is None:
        return None

    # Every clip at the same frames; the source stands still.
    with ClipFile(shown.driving) as clip:
        step = -(-len(clip) // LONGEST)
        which, fps = range(0, len(clip), step), clip.fps / step
    still = read_frames(shown.source, [0])
    columns = {"source": still.repeat(len(which), axis=0), "driving clip": read_frames(shown.driving, which)}
    columns |= {short(label): read_frames(path, which) for label, path in shown.made.items()}

    # One sheet for each moment.
    font = ImageFont.truetype(font_manager.findfont("DejaVu Sans"), 15)
    sheets = [_sheet([frames[i] for frames in columns.values()], list(columns), font) for i in range(len(which))]
    path = results.layout.report / "figures" / "comparison.webp"
    about = {"save_all": True, "append_images": sheets[1:], "duration": round(1000 / fps), "loop": 0, "method": 4}
    with atomic(path) as draft:
        for quality in QUALITIES:
            sheets[0].save(draft, "WEBP", quality=quality, **about)
            if draft.stat().st_size <= LARGEST:
                break
    return path


def _sheet(
    tiles: Sequence[UInt8[np.ndarray, "h w 3"]], labels: Sequence[str], font: ImageFont.FreeTypeFont
) -> Image.Image:
    """Frames side by side, small ones enlarged by a whole number and large ones shrunk, on nothing."""
    height, width = tiles[0].shape[:2]
    factor = max(round(TILE / width), 1) if width <= TILE else TILE / width
    height, width = round(height * factor), round(width * factor)
    resample = Image.Resampling.NEAREST if factor >= 1 else Image.Resampling.BOX
    sheet = Image.new("RGBA", (len(tiles) * (width + GAP) - GAP, HEAD + height), (0, 0, 0, 0))
    draw = ImageDraw.Draw(sheet)
    for column, (tile, label) in enumerate(zip(tiles, labels, strict=True)):
        left = column * (width + GAP)
        draw.text((left + width // 2, HEAD // 2 - 2), label, GREY, font, anchor="mm")
        sheet.paste(Image.fromarray(tile).resize((width, height), resample), (left, HEAD))
    return sheet
