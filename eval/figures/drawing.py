"""What figures share: sheets of frames whose pixels stay whole, and how a figure is saved."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from jaxtyping import UInt8
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from eval.tables.results import Results
from tpsm.core.files import atomic

# Labels and names of clips are text: a `$` in one begins no formula.
plt.rcParams |= {"font.size": 8, "axes.titlesize": 8, "svg.hashsalt": "0", "text.parse_math": False}
# One dot of the figure is one pixel of the file, so that nearest-neighbour enlargement stays exact.
DPI = 100
MARGIN, CAPTION = 4, 16
LONGEST = 40
"""Characters of a label."""


def short(label: str) -> str:
    """A label, metric or method as figures have room for it: one line that is not too long, and that legends show."""
    line = " ".join(label.split())
    line = f" {line}" if line.startswith("_") else line  # Matplotlib's legends leave out what begins so
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…"


COLUMNS = 3
"""Panels side by side: more are too small to read where a page shows a figure."""


def panels(count: int, width: float, height: float) -> tuple[Figure, list[Axes]]:
    """A figure of `count` panels, `width` by `height` inches each, in rows of three."""
    columns = min(count, COLUMNS)
    rows = -(-count // columns)
    figure, axes = plt.subplots(
        rows, columns, figsize=(width * columns, height * rows), squeeze=False, layout="constrained"
    )
    for axis in axes.flat[count:]:
        axis.axis("off")
    return figure, list(axes.flat[:count])


def sheet(
    rows: Sequence[Sequence[UInt8[np.ndarray, "h w 3"]]],
    labels: Sequence[str],
    headings: Sequence[str],
    enlarge_to: int,
    every: int,
    captions: Sequence[Sequence[str]] = (),
) -> Figure:
    """Frames side by side, whole multiples of their size, a little apart; a wider gap after each `every` rows.

    `captions` are words below every frame.
    """
    labels = list(map(short, labels))

    # All frames on one canvas.
    factor = max(round(enlarge_to / rows[0][0].shape[0]), 1)
    tiles = [[frame.repeat(factor, axis=0).repeat(factor, axis=1) for frame in row] for row in rows]
    height, width = tiles[0][0].shape[:2]
    below = CAPTION if captions else 0
    tops = [i * (height + below + MARGIN) + i // every * 4 * MARGIN for i in range(len(rows))]
    canvas = np.full((tops[-1] + height + below, len(headings) * (width + MARGIN) - MARGIN, 3), 255, np.uint8)
    for top, row in zip(tops, tiles, strict=True):
        for column, tile in enumerate(row):
            left = column * (width + MARGIN)
            canvas[top : top + height, left : left + width] = tile

    # Margins in pixels, for the words; the image itself is drawn dot for dot.
    left_margin, top_margin = max(110, 16 + 8 * max(map(len, labels))), 22
    total = (canvas.shape[1] + left_margin + MARGIN, canvas.shape[0] + top_margin)
    figure = plt.figure(figsize=(total[0] / DPI, total[1] / DPI))
    figure.figimage(canvas, xo=left_margin, yo=0)

    # Labels on the left, words below frames, headings on top.
    for top, label in zip(tops, labels, strict=True):
        y = 1 - (top_margin + top + height / 2) / total[1]
        figure.text((left_margin - 6) / total[0], y, label, ha="right", va="center", fontsize=9)
    for top, texts in zip(tops, captions, strict=False):
        for column, text in enumerate(texts):
            x = (left_margin + column * (width + MARGIN) + width / 2) / total[0]
            y = 1 - (top_margin + top + height + below / 2) / total[1]
            figure.text(x, y, text, ha="center", va="center", fontsize=7)
    for column, heading in enumerate(headings):
        x = (left_margin + column * (width + MARGIN) + width / 2) / total[0]
        figure.text(x, 1 - 11 / total[1], heading, ha="center", va="center", fontsize=9)
    return figure


def save(figure: Figure, results: Results, name: str) -> Path:
    path = results.layout.report / "figures" / f"{name}.png"
    with atomic(path) as draft, warnings.catch_warnings():
        # A character that the font lacks is a box; the tables have the name.
        warnings.filterwarnings("ignore", r"Glyph .* missing from")
        # No software version inside: the same image is the same file.
        figure.savefig(draft, dpi=DPI, metadata={"Software": None})
    plt.close(figure)
    return path
