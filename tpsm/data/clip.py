"""One clip, one file: a ZIP of PNG frames, any of which can be decoded alone, and the manifest of a folder of clips.

The bytes depend on nothing but the clip, so equal clips have equal hashes.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from tpsm.core.clips import Clip, GroundTruth
from tpsm.core.errors import UserError
from tpsm.core.files import atomic
from tpsm.core.layout import file_name

_CORRUPT = (OSError, zipfile.BadZipFile, EOFError, KeyError, TypeError, ValueError, SyntaxError)


T = TypeVar("T")


def write_clip(folder: Path, clip: Clip, *, origin: str = "") -> Path:
    """Write `clip` into `folder`, whole or not at all. `origin` may record what the clip was made from."""
    if clip.frames.ndim != 4 or clip.frames.shape[-1] != 3 or clip.frames.dtype != np.uint8 or not len(clip.frames):
        raise ValueError(f"frames must be uint8 (t >= 1, h, w, 3), not {clip.frames.dtype} {clip.frames.shape}")
    count, height, width = clip.frames.shape[:3]
    about = {
        "name": clip.name,
        "identity": clip.identity,
        "fps": float(clip.fps),
        "frames": count,
        "height": height,
        "width": width,
        "origin": origin,
    }
    path = folder / file_name(clip.name)
    with atomic(path) as draft, zipfile.ZipFile(draft, "w", zipfile.ZIP_STORED) as archive:
        _store(archive, "clip.json", json.dumps(about, sort_keys=True).encode())
        for index, frame in enumerate(clip.frames):
            _store(archive, _frame_name(index), _png(frame))
        if clip.truth is not None:
            _store(archive, "truth.npz", pack_truth(clip.truth))
    return path


def read_clip(path: Path) -> Clip:
    """The whole clip, in memory.

    Raises:
        UserError: the file is missing or corrupt.
    """
    with ClipFile(path) as clip:
        return clip.read()


class ClipFile:
    """Random access to a clip on disk. One handle must not be shared by processes or threads."""

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        if not self.path.is_file():
            raise UserError(f"There is no clip {self.path}; prepare the data set first.")
        try:
            self._archive = zipfile.ZipFile(self.path)
            about: dict[str, Any] = json.loads(self._archive.read("clip.json"))
            self.name = str(about["name"])
            self.identity = str(about["identity"])
            self.fps = float(about["fps"])
            self.height, self.width = int(about["height"]), int(about["width"])
            self.origin = str(about["origin"])
            self._count = int(about["frames"])
        except _CORRUPT as error:
            raise self._corrupt(error) from error

    def __len__(self) -> int:
        return self._count

    def frame(self, index: int) -> UInt8[np.ndarray, "h w 3"]:
        if not 0 <= index < self._count:
            raise IndexError(f"frame {index} of a clip of {self._count}")
        try:
            with Image.open(io.BytesIO(self._archive.read(_frame_name(index)))) as picture:
                pixels = np.array(picture)
        except _CORRUPT as error:
            raise self._corrupt(error) from error
        if pixels.shape != (self.height, self.width, 3):
            raise self._corrupt(f"frame {index} is of shape {pixels.shape}")
        return pixels

    def frames(self, start: int = 0, stop: int | None = None) -> UInt8[np.ndarray, "t h w 3"]:
        indices = range(*slice(start, stop).indices(self._count))
        pixels = np.empty((len(indices), self.height, self.width, 3), np.uint8)
        for row, index in enumerate(indices):
            pixels[row] = self.frame(index)
        return pixels

    @property
    def has_truth(self) -> bool:
        return "truth.npz" in self._archive.namelist()

    def truth(self) -> GroundTruth | None:
        if not self.has_truth:
            return None
        try:
            truth = unpack_truth(self._archive.read("truth.npz"))
        except _CORRUPT as error:
            raise self._corrupt(error) from error
        if truth.labels.shape != (self._count, self.height, self.width):
            raise self._corrupt(f"its labels are of shape {truth.labels.shape}")
        return truth

    def read(self) -> Clip:
        return Clip(self.name, self.identity, self.frames(), self.fps, self.truth())

    def close(self) -> None:
        self._archive.close()

    def __enter__(self) -> ClipFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _corrupt(self, reason: object) -> UserError:
        return UserError(f"The clip {self.path} is corrupt ({reason}); delete it and prepare the data set again.")


def pack_truth(truth: GroundTruth) -> bytes:
    """The arrays as an .npz file."""
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer, joints=truth.joints, visible=truth.visible, labels=truth.labels, to_first=truth.to_first
    )
    return buffer.getvalue()


def unpack_truth(data: bytes) -> GroundTruth:
    """The arrays of an .npz file; ValueError or KeyError where they are not a clip's ground truth."""
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        truth = GroundTruth(arrays["joints"], arrays["visible"], arrays["labels"], arrays["to_first"])
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
    return truth


def _frame_name(index: int) -> str:
    return f"{index:06d}.png"


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
    return [int(i) for i in np.linspace(0, frames - 1, count).round()]


def spread_index(size: int, count: int) -> list[int]:
    return sorted({int(i) for i in np.linspace(0, size - 1, min(count, size)).round()}) if size else []


def spread(items: Sequence[T], count: int) -> list[T]:
    """At most `count` of the items, evenly spread."""
    return [items[i] for i in spread_index(len(items), count)]
