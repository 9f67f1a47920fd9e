"""Cuts clips out of a video: the frames of each row, cropped and resized, in a lossless file of its own."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from tpsm.core.errors import UserError
from tpsm.data.container import iter_wanted
from tpsm.data.resize import fit_to_size
from tpsm.data.video import frame_rate, lossless_video
from tpsm.sources.fetch.clip_list import ClipSpec
from tpsm.sources.fetch.ledger import Outcome

SUFFIX = ".mkv"


def clip_path(folder: Path, row: ClipSpec) -> Path:
    """Returns the file of a row's clip."""
    return folder / row.split / (row.name + SUFFIX)


def cut(
    video: Path, rows: Sequence[ClipSpec], folder: Path, size: int, proceed: Callable[[], None]
) -> Iterator[tuple[ClipSpec, Outcome, str]]:
    """Writes the clips of `rows` to `folder/SPLIT/NAME.mkv` in one pass over `video`, and yields the outcome of each.

    Frames become squares of `size` pixels. An outcome comes when its clip is written. `proceed` is called before every
    frame, and may raise to stop the work: half of a clip is never left behind.
    """

    def wanted(index: int) -> bool:
        proceed()
        return any(index in span for span in spans.values())

    # Each row's file is open from its first frame to its last.
    waiting = list(rows)
    writing: dict[ClipSpec, ExitStack] = {}
    try:
        fps = frame_rate(video)
        spans = {row: span(row, fps) for row in rows}
        last = max(spans[row].stop for row in rows) - 1
        adds = {}
        for index, frame in iter_wanted(video, wanted):
            for row in [row for row in waiting if index == spans[row].start]:
                waiting.remove(row)
                writing[row] = ExitStack()
                adds[row] = writing[row].enter_context(lossless_video(clip_path(folder, row), fps))
            for row in list(writing):
                adds[row](fit_to_size(crop(frame, row), size, "stretch"))
                if index == spans[row].stop - 1:
                    writing[row].close()
                    del writing[row]
                    yield row, Outcome.ok, ""
            if index == last:
                return

        # Rows that are left have a reason.
        left, outcome, detail = [*writing, *waiting], Outcome.short, "the video ends before"
    except UserError as error:
        left, outcome, detail = [*writing, *waiting], Outcome.undecodable, str(error)
    finally:
        for stack in writing.values():  # an error, of whatever kind, is what makes a half-written file vanish
            stack.__exit__(InterruptedError, InterruptedError(), None)
    for row in left:
        yield row, outcome, detail


def span(row: ClipSpec, fps: float) -> range:
    """Returns the indices, in a video of `fps`, of the frames that are shown between the row's start and end.

    Lists and containers round rates (23.97, 23.98, 24000/1001). Within one part in 2000 they count as the same rate,
    and the frames are those that the list counts.
    """
    ratio = Fraction(round(100 * fps), 100) / row.fps
    if abs(ratio - 1) < Fraction(1, 2000):
        return range(row.start, row.end)
    return range(math.ceil(row.start * ratio), max(math.ceil(row.end * ratio), math.ceil(row.start * ratio) + 1))


def crop(frame: UInt8[np.ndarray, "h w 3"], row: ClipSpec) -> UInt8[np.ndarray, "_ _ 3"]:
    """Returns the row's box, scaled from the size that the list names to that of the frame, and within it."""
    height, width = frame.shape[:2]
    left, right = (side * width // row.width for side in row.box[::2])
    top, bottom = (side * height // row.height for side in row.box[1::2])
    return frame[top : max(bottom, top + 1), left : max(right, left + 1)]
