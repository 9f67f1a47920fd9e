"""Takes the frames of a test clip or of an animated pair from a folder, in the place of a method."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from tpsm.core.errors import UserError
from tpsm.core.files import atomic
from tpsm.core.layout import SUFFIX, array_file, file_name, identity_of
from tpsm.data.clip import ClipFile, clip_writer
from tpsm.data.manifest import Entry
from tpsm.data.video import is_clip, read_video
from tpsm.inference.tasks import L1, OUTPUT, Pair
from tpsm.jobs.resume import ResumeCache


def find_frames(folder: Path, names: Sequence[str]) -> dict[str, Path]:
    """Returns the file or folder of frames of each clip in `names`; it is called as the clip, whatever its format.

    Raises:
        UserError: there is no such folder, a clip's frames are missing, or two files have one clip's name.
    """
    if not folder.is_dir():
        raise UserError(f"There is no folder {folder}; put the frames there, as {folder}/{names[0]}/000.png, 001.png.")
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if is_clip(path) or path.suffix == SUFFIX:
            name = path.name if path.is_dir() else path.stem
            if (twin := found.setdefault(name, path)) != path:
                raise UserError(f"{twin} and {path} both claim to be the clip {name}; remove one.")
    places = {name: found.get(name, found.get(Path(file_name(name)).stem)) for name in names}
    if missing := [name for name, path in places.items() if path is None]:
        raise UserError(
            f"{folder} lacks {len(missing)} of {len(names)} clips, the first being {missing[0]}; add "
            f"{folder}/{missing[0]}, a folder of frames or a video."
        )
    return {name: path for name, path in places.items() if path is not None}


def read_frames(path: Path, frames: int, size: int) -> UInt8[np.ndarray, "t h w 3"]:
    """Returns the frames in `path`. Raises UserError unless they are so many, and squares of `size` pixels."""
    if path.suffix == SUFFIX:  # one of this project's own
        with ClipFile(path) as clip:
            found = clip.frames()
    else:
        found = read_video(path)[0]
    if len(found) != frames:
        raise UserError(f"{path} has {len(found)} frames where the clip has {frames}; make one for each of the clip's.")
    if found.shape[1:3] != (size, size):
        height, width = found.shape[1:3]
        raise UserError(
            f"{path} is of {width} x {height} px, and the data set of {size} x {size}; make it of that size."
        )
    return found


@dataclass(frozen=True)
class TakeClip:
    """Takes a test clip's reconstruction from `files`, and returns a folder of what `ReconstructClip` would write.

    There is no motion. L1 is of 8-bit frames, for there are no others, and so nothing is known to have been rounded up.
    """

    clips: Path
    files: dict[str, Path]
    size: int
    cache: ResumeCache

    def __call__(self, entry: Entry) -> Path:
        return self.cache.make(partial(self._write, entry), entry.sha256)

    def _write(self, entry: Entry, folder: Path) -> None:
        made = read_frames(self.files[entry.name], entry.frames, self.size)
        with ClipFile(self.clips / entry.file) as clip:
            write_frames(folder / OUTPUT, entry.name, made, clip.fps)
            difference = np.abs(made.astype(np.int16) - clip.frames())
        np.save(folder / L1, (difference.mean(axis=(1, 2, 3), dtype=np.float64) / 255).astype(np.float32))
        with atomic(folder / OUTPUT / "rounded_up" / array_file(entry.name)) as draft:
            np.savez_compressed(draft, bits=np.zeros(-(-made.size // 8), np.uint8))


@dataclass(frozen=True)
class TakePair:
    """Takes a pair's animation from `files`, and returns a folder of what `AnimatePair` would write."""

    files: dict[str, Path]
    size: int
    cache: ResumeCache

    def __call__(self, pair: Pair) -> Path:
        return self.cache.make(partial(self._write, pair), pair.source.sha256, pair.driving.sha256)

    def _write(self, pair: Pair, folder: Path) -> None:
        made = read_frames(self.files[pair.name], pair.driving.frames, self.size)
        write_frames(folder, pair.name, made, pair.driving.fps)


def write_frames(folder: Path, name: str, frames: UInt8[np.ndarray, "t h w 3"], fps: float) -> None:
    """Writes a clip of these frames."""
    with clip_writer(folder, name, identity_of(name), fps) as writer:
        for frame in frames:
            writer.add(frame)
