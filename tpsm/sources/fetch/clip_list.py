"""Reads the published lists of clips: which frames of which videos, and which part of the image."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from tpsm.core.errors import UserError
from tpsm.core.reading import csv_rows, require_file
from tpsm.data.config import SPLITS
from tpsm.data.limits import FPS_RANGE
from tpsm.sources.fetch.downloaders import Access, Failure, download

_GITHUB = "https://raw.githubusercontent.com/AliaksandrSiarohin"
_ISSUE = "https://github.com/snap-research/articulated-animation/issues/12"


@dataclass(frozen=True)
class Published:
    """A set of the papers: the side of its frames in pixels, and its list of clips, or what to do without one."""

    size: int
    metadata: str | None = None
    otherwise: str = ""


SETS = {
    "vox": Published(256, f"{_GITHUB}/video-preprocessing/master/vox-metadata.csv"),
    "taichi": Published(256, f"{_GITHUB}/first-order-model/master/data/taichi-loading/taichi-metadata.csv"),
    "ted": Published(384, otherwise=f"take ted384-metadata.csv, attached to {_ISSUE}, and give it with --metadata"),
    "mgif": Published(256, otherwise="download it where the README of monkey-net links it, and give it with --archive"),
}

_COLUMNS = ("video_id", "start", "end", "bbox", "fps", "width", "height", "partition")
_ID = re.compile(r"[A-Za-z0-9_-]+")
_FPS = re.compile(r"\d+(\.\d*)?|\d+/\d+")  # without an exponent, which a fraction would write out
_LONGEST = 200
_PERSON = re.compile(r"\w[\w.-]*")


@dataclass(frozen=True, slots=True)
class ClipSpec:
    """A clip: the frames from `start` to before `end` as counted at `fps`, and in them the `box` (left, top, right,
    bottom) in pixels of an image of `width` x `height`.
    """

    video: str
    part: str
    start: int
    end: int
    box: tuple[int, int, int, int]
    fps: Fraction
    width: int
    height: int
    split: str
    person: str | None = None

    @property
    def identity(self) -> str:
        """Who is in the clip: the person where the list says, otherwise the video."""
        return self.person or self.video

    @property
    def name(self) -> str:
        """The name that the released loader gives the file, except for ids with a '#', whose parts it swaps."""
        pieces = [self.person, self.video, self.part, f"{self.start:06d}", f"{self.end:06d}"]
        return "#".join(piece for piece in pieces if piece)


def find_metadata(dataset: str, given: Path | None, cache: Path, access: Access) -> Path:
    """Returns the list of clips: the given one, or the published one, which is downloaded once.

    Raises:
        UserError: the list is out of reach, or published nowhere.
    """
    published = SETS[dataset].metadata
    if given is not None:
        return given
    if published is None:
        raise UserError(f"No list of {dataset}'s clips is published at an address: {SETS[dataset].otherwise}.")
    target = cache / "metadata.csv"
    if not target.is_file():
        try:
            download(published, target, access)
        except Failure as failure:
            raise UserError(
                f"{published} cannot be had ({failure.detail}); check the network, or give the file with --metadata."
            ) from failure
    return target


def read_metadata(path: Path, dataset: str) -> list[ClipSpec]:
    """Returns the rows of a list, in its order.

    Raises:
        UserError: the list is unreadable, without the columns, with a row that makes no sense, or known to be the wrong
        file.
    """
    if dataset == "ted":
        _refuse_first_ted_list(path, _values(path, dataset))
    rows = [_row(path, line, values) for line, values in enumerate(_values(path, dataset), 2)]
    if not rows:
        raise UserError(f"{path} has no rows; download it again.")
    return rows


def _values(path: Path, dataset: str) -> Iterator[dict[str, str]]:
    """Yields the lines of a list, one in memory at a time."""
    if path.exists():
        require_file(path, "list of clips")
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            hint = f"; the list that has all is {SETS[dataset].metadata}" if SETS[dataset].metadata else ""
            yield from csv_rows(file, _COLUMNS, str(path), hint)
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"The list of clips {path} cannot be read ({error}).") from error


def _refuse_first_ted_list(path: Path, rows: Iterable[dict[str, str]]) -> None:
    """Refuses the repository's ted-metadata.csv, which has no frame ranges, no test clips, and no video ids."""
    ranges = test = numbered = any_row = False
    for row in rows:
        any_row = True
        ranges |= row["start"] != row["end"]
        test |= row["partition"] != "train"
        numbered |= bool(re.match(r"\d{6}#", row["video_id"] or ""))
    faults = {
        "no frame ranges": not ranges,
        "no test clips": not test,
        "ids that begin with a frame number": numbered,
    }
    if any_row and (present := [fault for fault, there in faults.items() if there]):
        raise UserError(
            f"{path} has {' and '.join(present)}, as the ted-metadata.csv in articulated-animation's repository: "
            f"{SETS['ted'].otherwise}."
        )


def _row(path: Path, line: int, values: dict[str, str]) -> ClipSpec:
    # The values by their types.
    try:
        if long := next((key for key in _COLUMNS if len(values[key]) > _LONGEST), None):
            raise ValueError(f"{long} has {len(values[long])} characters")
        if not _FPS.fullmatch(values["fps"]):
            raise ValueError(f"fps {values['fps']!r}")
        video, _, part = values["video_id"].partition("#")
        left, top, right, bottom = (int(side) for side in values["bbox"].split("-"))
        row = ClipSpec(
            video=video,
            part=part,
            start=int(values["start"]),
            end=int(values["end"]),
            box=(left, top, right, bottom),
            fps=Fraction(values["fps"]),
            width=int(values["width"]),
            height=int(values["height"]),
            split=values["partition"],
            person=values.get("person_id") or None,
        )
    except (ValueError, TypeError, AttributeError, ZeroDivisionError) as error:
        raise UserError(f"{path}, line {line}: a value is missing or no number ({error}); correct it.") from error

    # What no clip can be.
    checks = {
        f"video_id {values['video_id']!r}": all(_ID.fullmatch(piece) for piece in values["video_id"].split("#")),
        f"person_id {row.person!r}": row.person is None or _PERSON.fullmatch(row.person),
        f"partition {row.split!r}": row.split in SPLITS,
        f"frames {row.start} to {row.end}": 0 <= row.start < row.end,
        f"bbox {values['bbox']!r}": left < right and top < bottom and left < row.width and top < row.height,
        f"fps {values['fps']}": FPS_RANGE[0] <= row.fps <= FPS_RANGE[1],
        f"image of {row.width} x {row.height}": row.width > 0 and row.height > 0,
    }
    for what, fine in checks.items():
        if not fine:
            raise UserError(f"{path}, line {line}: the {what} makes no sense; correct it.")
    return row


def in_both_splits(rows: Iterable[ClipSpec]) -> dict[str, list[str]]:
    """Returns the identities, and the videos, in both train and test: what is learnt of them leaks into the scores."""
    rows = list(rows)
    train, test = ([row for row in rows if row.split == split] for split in SPLITS)
    return {
        "identities": sorted({row.identity for row in train} & {row.identity for row in test}),
        "videos": sorted({row.video for row in train} & {row.video for row in test}),
    }
