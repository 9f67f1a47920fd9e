"""Reads and writes clips. A clip is one file, a ZIP of PNG frames of which each can be decoded alone.

The bytes depend on nothing but the clip, so equal clips have equal hashes.
"""

from __future__ import annotations

import io
import json
import struct
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import IO, Any, TypeVar

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from tpsm.core.clips import Clip, GroundTruth
from tpsm.core.errors import UserError
from tpsm.core.files import atomic
from tpsm.core.layout import file_name
from tpsm.core.reading import parse_json, require_file
from tpsm.data.arrays import UNREADABLE, read_arrays
from tpsm.data.limits import check_fps, check_pixels, max_pixels

_CORRUPT = (*UNREADABLE, TypeError, SyntaxError, OverflowError, RecursionError, struct.error, IndexError)
_ABOUT_BYTES = 1 << 20


T = TypeVar("T")


class ClipWriter:
    """Takes a clip's frames one after another. Its `truth` may be set until the end."""

    def __init__(self, spool: IO[bytes]) -> None:
        self.shape: tuple[int, ...] = ()
        self.sizes: list[int] = []
        self.truth: GroundTruth | None = None
        self._spool = spool

    def __len__(self) -> int:
        return len(self.sizes)

    def add(self, frame: UInt8[np.ndarray, "h w 3"]) -> None:
        """Adds a frame. Raises ValueError unless it has the size of those before."""
        self.shape = self.shape or frame.shape[:2]
        if frame.shape != (*self.shape, 3) or frame.dtype != np.uint8:
            raise ValueError(f"frames must be uint8 of shape {(*self.shape, 3)}, not {frame.dtype} {frame.shape}")
        self.sizes.append(self._spool.write(_png(frame)))


@contextmanager
def clip_writer(folder: Path, name: str, identity: str, fps: float, *, origin: str = "") -> Iterator[ClipWriter]:
    """Writes a clip into `folder`, whole or not at all, as the block adds its frames; one frame is in memory at a time.

    `fps` is in frames per second; `origin` may record what the clip was made from. The archive begins with the number
    of frames, so they wait in a file without a name until it is known.
    """
    path = folder / file_name(name)
    with atomic(path) as draft, tempfile.TemporaryFile(dir=folder) as spool:
        writer = ClipWriter(spool)
        yield writer
        if not len(writer):
            raise ValueError(f"the clip {name} has no frames")
        about = {"name": name, "identity": identity, "fps": float(fps), "frames": len(writer)}
        about |= {"height": writer.shape[0], "width": writer.shape[1], "origin": origin}
        spool.seek(0)
        with zipfile.ZipFile(draft, "w", zipfile.ZIP_STORED) as archive:
            _store(archive, "clip.json", json.dumps(about, sort_keys=True).encode())
            for index, size in enumerate(writer.sizes):
                _store(archive, _frame_name(index), spool.read(size))
            if writer.truth is not None:
                _store(archive, "truth.npz", pack_truth(writer.truth))


def write_clip(folder: Path, clip: Clip) -> Path:
    """Writes `clip` into `folder`, as `clip_writer` does, and returns its file."""
    with clip_writer(folder, clip.name, clip.identity, clip.fps) as writer:
        for frame in clip.frames:
            writer.add(frame)
        writer.truth = clip.truth
    return folder / file_name(clip.name)


def read_clip(path: Path) -> Clip:
    """Reads the whole clip into memory. Raises UserError where the file is missing or corrupt."""
    with ClipFile(path) as clip:
        return Clip(clip.name, clip.identity, clip.frames(), clip.fps, clip.truth())


def read_frames(path: Path, which: Sequence[int]) -> UInt8[np.ndarray, "t h w 3"]:
    """Reads the frames `which` of a clip, counted from 0. Raises UserError where the file is missing or corrupt."""
    with ClipFile(path) as clip:
        return np.stack([clip.frame(index) for index in which])


class ClipFile:
    """Gives access to any frame of a clip on disk. One handle must not be shared by processes or threads.

    Raises:
        UserError: the file is missing or corrupt, when it is opened or when a frame is read.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        if not self.path.exists():
            raise UserError(f"There is no clip {self.path}; prepare the data set first.")
        require_file(self.path, "clip")
        try:
            self._archive = zipfile.ZipFile(self.path)
            about: dict[str, Any] = parse_json(self._read("clip.json", _ABOUT_BYTES).decode("utf-8"))
            self.name, self.identity, self.origin = (_text(about[key]) for key in ("name", "identity", "origin"))
            self.fps = check_fps(float(about["fps"]), str(self.path))
            self.height, self.width, self._count = (_number(about[key]) for key in ("height", "width", "frames"))
            check_pixels(self.path, self.width, self.height)
            if _frame_name(self._count - 1) not in self._archive.NameToInfo:
                raise ValueError(f"it says that it holds {self._count} frames")
        except _CORRUPT as error:
            raise self._corrupt(error) from error

    def __len__(self) -> int:
        return self._count

    def frame(self, index: int) -> UInt8[np.ndarray, "h w 3"]:
        """Reads the frame `index`, counted from 0."""
        if not 0 <= index < self._count:
            raise IndexError(f"frame {index} of a clip of {self._count}")
        try:
            # No PNG of this size takes more bytes than its pixels and a little.
            data = self._read(_frame_name(index), 4 * self.height * self.width + _ABOUT_BYTES)
            with Image.open(io.BytesIO(data), formats=["PNG"]) as picture:
                if picture.size != (self.width, self.height):
                    raise ValueError(f"frame {index} is of {picture.width} x {picture.height} pixels")
                pixels = np.array(picture)
        except _CORRUPT as error:
            raise self._corrupt(error) from error
        if pixels.shape != (self.height, self.width, 3):
            raise self._corrupt(f"frame {index} is of shape {pixels.shape}")
        return pixels

    def frames(self, start: int = 0, stop: int | None = None) -> UInt8[np.ndarray, "t h w 3"]:
        """Reads the frames from `start` to before `stop`."""
        indices = range(*slice(start, stop).indices(self._count))
        pixels = np.empty((len(indices), self.height, self.width, 3), np.uint8)
        for row, index in enumerate(indices):
            pixels[row] = self.frame(index)
        return pixels

    @property
    def has_truth(self) -> bool:
        """Whether the file holds a ground truth."""
        return "truth.npz" in self._archive.namelist()

    def truth(self) -> GroundTruth | None:
        """Reads the ground truth; None where the file holds none."""
        if not self.has_truth:
            return None
        try:
            truth = unpack_truth(self._read("truth.npz", 16 * max_pixels()))
        except _CORRUPT as error:
            raise self._corrupt(error) from error
        if truth.labels.shape != (self._count, self.height, self.width):
            raise self._corrupt(f"its labels are of shape {truth.labels.shape}")
        return truth

    def close(self) -> None:
        """Closes the file."""
        self._archive.close()

    def __enter__(self) -> ClipFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _read(self, name: str, most: int) -> bytes:
        if (size := self._archive.getinfo(name).file_size) > most:
            raise ValueError(f"{name} takes {size:,} bytes, more than {most:,}")
        return self._archive.read(name)

    def _corrupt(self, reason: object) -> UserError:
        return UserError(f"The clip {self.path} is corrupt ({reason}); delete it and prepare the data set again.")


def pack_truth(truth: GroundTruth) -> bytes:
    """Returns the ground truth as the bytes of an .npz file."""
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer, joints=truth.joints, visible=truth.visible, labels=truth.labels, to_first=truth.to_first
    )
    return buffer.getvalue()


def unpack_truth(data: bytes) -> GroundTruth:
    """Returns the ground truth from the bytes of an .npz file.

    Raises:
        ValueError: the arrays are not a clip's ground truth; other errors of `arrays.UNREADABLE` for a damaged file.
    """
    truth = GroundTruth(*read_arrays(data, "joints", "visible", "labels", "to_first"))
    if [truth.joints.dtype, truth.visible.dtype, truth.labels.dtype, truth.to_first.dtype] != ["f4", "?", "u1", "f4"]:
        raise ValueError("the arrays of the ground truth are of other types")
    count, joints = truth.visible.shape
    parts = truth.to_first.shape[1:2]
    if (
        truth.joints.shape != (count, joints, 2)
        or truth.labels.ndim != 3
        or len(truth.labels) != count
        or truth.to_first.shape != (count, *parts, 2, 3)
        or truth.labels.max(initial=0) >= parts[0]
    ):
        raise ValueError("the arrays of the ground truth do not fit together")
    if not (np.isfinite(truth.joints).all() and np.isfinite(truth.to_first).all()):
        raise ValueError("the ground truth holds values that are not finite")
    return truth


def _frame_name(index: int) -> str:
    return f"{index:06d}.png"


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def _number(value: object) -> int:
    if type(value) is not int or not 1 <= value < 1 << 31:
        raise ValueError(f"{str(value)[:40]} is no number of pixels or frames")
    return value


def _png(frame: UInt8[np.ndarray, "h w 3"]) -> bytes:
    buffer = io.BytesIO()
    # Frames are read far more often than written, and small: the lowest level that compresses at all is the fastest.
    Image.fromarray(frame).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def _store(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    info = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
    info.create_system, info.external_attr = 3, 0o644 << 16
    archive.writestr(info, data)


def times(frames: int, count: int) -> list[int]:
    """Returns `count` frame numbers, evenly spread from the first to the last; some repeat in short clips."""
    return [int(i) for i in np.linspace(0, frames - 1, count).round()]


def spread_index(size: int, count: int) -> list[int]:
    """Returns at most `count` different indices below `size`, evenly spread from the first to the last."""
    return sorted({int(i) for i in np.linspace(0, size - 1, min(count, size)).round()}) if size else []


def spread(items: Sequence[T], count: int) -> list[T]:
    """Returns at most `count` of the items, evenly spread."""
    return [items[i] for i in spread_index(len(items), count)]
