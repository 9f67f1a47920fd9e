"""Pictures and videos of any usual kind: read a frame at a time, and written whole."""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.error import FFmpegError
from jaxtyping import UInt8
from PIL import Image, ImageOps, ImageSequence, UnidentifiedImageError

from tpsm.core.errors import UserError
from tpsm.core.files import atomic, beside

PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
VIDEOS = (".mp4", ".mov", ".avi", ".webm", ".mkv", ".m4v", ".mpg", ".mpeg", ".wmv", ".flv")
ANIMATIONS = (".gif",)
FPS = 25.0
"""Frames a second where neither the file nor the caller says."""

Frame = UInt8[np.ndarray, "h w 3"]
_UNREADABLE = (OSError, UnidentifiedImageError, SyntaxError, ValueError, Image.DecompressionBombError)


def is_clip(path: Path) -> bool:
    """Whether `path` is of a kind that `iter_video` reads: a video, a GIF, a strip, or a folder of pictures."""
    if path.name.startswith("."):
        return False
    if path.is_dir():
        return any(is_picture(child) for child in path.iterdir())
    return path.suffix.lower() in (*PICTURES, *VIDEOS, *ANIMATIONS)


def is_picture(path: Path) -> bool:
    return path.suffix.lower() in PICTURES and not path.name.startswith(".")


def natural(path: Path) -> list[tuple[int, int, str]]:
    """A sort key by which frame 2 comes before frame 10."""
    pieces = re.findall(r"\d+|\D+", path.name)
    return [(0, int(piece), "") if piece.isdecimal() else (1, 0, piece) for piece in pieces]


def read_picture(path: Path) -> Frame:
    """A still picture as RGB: turned as its EXIF says, transparency on white, 16 bits reduced to 8.

    Raises:
        UserError: missing or unreadable.
    """
    if not path.is_file():
        raise UserError(f"There is no picture {path}.")
    try:
        with Image.open(path) as picture:
            return _rgb(_upright(picture))
    except _UNREADABLE as error:
        raise UserError(f"The picture {path} cannot be read ({error}).") from error


def iter_video(
    path: Path, *, strip_width: int | None = None, fps: float | None = None
) -> tuple[Iterator[Frame], float]:
    """The frames of a clip one after another, as they are shown, and their rate.

    One frame is in memory at a time (of a strip, all). A still picture is a strip of frames side by side, each
    `strip_width` wide or, by default, as wide as it is high. `fps` is for files that do not say theirs.

    Raises:
        UserError: missing, unreadable, damaged, or without a frame; some of it only when the frame is reached.
    """
    if not path.exists():
        raise UserError(f"There is no video {path}.")
    return _not_empty(path, _frames(path, strip_width)), _fps(path) or fps or FPS


def read_video(
    path: Path, *, max_frames: int | None = None, strip_width: int | None = None
) -> tuple[UInt8[np.ndarray, "t h w 3"], float]:
    """Frames and their rate, in memory. Frames of unequal sizes are refused."""
    stream, fps = iter_video(path, strip_width=strip_width)
    frames = list(itertools.islice(stream, max_frames))
    if len({frame.shape for frame in frames}) != 1:
        raise UserError(f"The frames of {path} are not all of one size.")
    return np.stack(frames), fps


def iter_wanted(path: Path, wanted: Callable[[int], bool]) -> Iterator[tuple[int, Frame]]:
    """The frames of a video file whose index is `wanted`, with their indices. The others are decoded and no more, which
    saves much of the time where a clip stands late in a long video.

    Raises:
        UserError: as `iter_video`.
    """
    with _opened(path) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        count, promised = 0, stream.frames  # 0 where the container does not say
        try:
            for frame in container.decode(stream):
                if wanted(count):
                    # Players turn the picture by the display matrix; the decoder does not.
                    turns = round(getattr(frame, "rotation", 0) / 90) % 4
                    yield count, np.ascontiguousarray(np.rot90(_decoded_rgb(frame), turns))
                count += 1
        except (FFmpegError, ValueError) as error:
            raise UserError(f"The video {path} is damaged ({error}).") from error
        if count < 0.9 * promised:  # edit lists may hide a few
            raise UserError(f"The video {path} is damaged: it ends after {count} of {promised} frames.")


def frame_rate(path: Path) -> float:
    """Frames a second; `FPS` where the file does not say.

    Raises:
        UserError: unreadable.
    """
    return _fps(path) or FPS


@contextmanager
def lossless_video(path: Path, fps: float) -> Iterator[Callable[[Frame], None]]:
    """A function that adds a frame to the video `path` (.mkv, FFV1), which holds exactly these pixels.

    It appears, whole, when the block ends without an error. Its bytes depend on nothing but the frames and the rate.
    """
    with atomic(path) as draft:
        with av.open(str(draft), "w", format="matroska", options={"fflags": "+bitexact"}) as container:
            stream = container.add_stream("ffv1", rate=Fraction(fps).limit_denominator(1001))
            stream.pix_fmt, stream.options = "bgr0", {"level": "3", "slicecrc": "1", "slices": "4", "g": "1"}
            stream.codec_context.thread_count = 1
            begun = False

            def add(frame: Frame) -> None:
                nonlocal begun
                if not begun:
                    stream.height, stream.width = frame.shape[:2]
                    begun = True
                container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))

            yield add
            container.mux(stream.encode(None))
        with draft.open("rb") as written:
            os.fsync(written.fileno())  # a record that the clip is there may follow, and must not outlive it


def write_video(path: Path, frames: Iterable[Frame], fps: float = FPS) -> int:
    """Write by `path`'s suffix: .mp4 (H.264), .gif, .png (a lossless strip), or none (a folder of PNG frames).

    H.264 needs even sides: the last row or column of an odd picture is repeated once. Returns the number of frames.

    Raises:
        UserError: as `check_writable` does, or there are no frames.
    """
    check_writable(path)
    stream = iter(frames)
    first = next(stream, None)
    if first is None:
        raise UserError(f"Cannot write {path}: there are no frames.")
    stream = itertools.chain([first], stream)
    if not path.suffix:
        return _write_folder(path, stream, fps)
    with atomic(path) as draft:
        return _WRITERS[path.suffix.lower()](draft, stream, fps)


def check_writable(path: Path) -> None:
    """For callers that compute long before they `write_video` to `path`.

    Raises:
        UserError: no name or an unknown suffix, something of another kind is there, or it is a folder that
            `write_video` has not made and may therefore not replace.
    """
    if path.name in ("", "..") or (path.suffix and path.suffix.lower() not in _WRITERS):
        kinds = ", ".join(_WRITERS)
        raise UserError(f"Cannot write {path}: choose a name in {kinds}, or one without a suffix for a folder.")
    above = next(parent for parent in path.absolute().parents if parent.exists())
    if not (above.is_dir() and os.access(above, os.W_OK)):
        raise UserError(f"Cannot write {path}: {above} is no folder that may be written to; choose another place.")
    if path.suffix:
        if path.is_dir():
            raise UserError(f"Cannot write {path}: it is a folder; choose another name.")
    elif (path.exists() or path.is_symlink()) and not _is_ours(path):
        raise UserError(f"Cannot write {path}: it is there, and no folder of frames made by this program; remove it.")


def _is_ours(path: Path) -> bool:
    """Whether it is an empty folder, or holds what `_write_folder` writes and nothing else."""
    if path.is_symlink() or not path.is_dir():
        return False
    names = {child.name for child in path.iterdir()}
    return not names or names == {"clip.json", *(f"{i:06d}.png" for i in range(len(names) - 1))}


def _frames(path: Path, strip_width: int | None) -> Iterator[Frame]:
    suffix = path.suffix.lower()
    if path.is_dir():
        for child in sorted(filter(is_picture, path.iterdir()), key=natural):
            yield read_picture(child)
    elif suffix in PICTURES:
        yield from _split_strip(path, read_picture(path), strip_width)
    elif suffix in ANIMATIONS:
        try:
            with Image.open(path) as picture:
                for frame in ImageSequence.Iterator(picture):
                    yield _rgb(frame)
        except _UNREADABLE as error:
            raise UserError(f"The video {path} cannot be read ({error}).") from error
    elif suffix in VIDEOS:
        yield from _decode(path)
    else:
        known = ", ".join((*VIDEOS, *ANIMATIONS, *PICTURES))
        raise UserError(f"{path} is of no known kind; known are {known} and folders of pictures.")


def _not_empty(path: Path, frames: Iterator[Frame]) -> Iterator[Frame]:
    first = next(frames, None)
    if first is None:
        raise UserError(f"The video {path} has no frames.")
    yield first
    yield from frames


def _fps(path: Path) -> float | None:
    """Frames a second, or None where the file does not say: strips, and folders without a `clip.json`."""
    suffix = path.suffix.lower()
    if suffix in VIDEOS and path.is_file():
        with _opened(path) as container:
            rate = container.streams.video[0].average_rate
            return float(rate) if rate else None
    if suffix in ANIMATIONS and path.is_file():
        try:
            with Image.open(path) as picture:
                times = [frame.info.get("duration", 0) for frame in ImageSequence.Iterator(picture)]
        except _UNREADABLE as error:
            raise UserError(f"The video {path} cannot be read ({error}).") from error
        return 1000 * len(times) / sum(times) if sum(times) else None
    if path.is_dir() and (path / "clip.json").is_file():
        try:
            return float(json.loads((path / "clip.json").read_text())["fps"])
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f'{path / "clip.json"} does not say the frame rate as {{"fps": number}}.') from error
    return None


def _split_strip(path: Path, strip: Frame, width: int | None) -> Iterator[Frame]:
    width = width or strip.shape[0]
    if strip.shape[1] % width:
        raise UserError(
            f"The strip {path} is {strip.shape[1]} pixels wide, no multiple of its frames' {width}; "
            "say frame_width in the data set's section."
        )
    for left in range(0, strip.shape[1], width):
        yield strip[:, left : left + width].copy()


def _opened(path: Path) -> av.container.InputContainer:
    try:
        container = av.open(str(path), "r")
    except (FFmpegError, OSError, ValueError) as error:
        raise UserError(f"The video {path} cannot be read ({error}).") from error
    if not container.streams.video:
        container.close()
        raise UserError(f"{path} holds no video.")
    return container


def _decode(path: Path) -> Iterator[Frame]:
    return (frame for _, frame in iter_wanted(path, lambda _: True))


def _decoded_rgb(frame: av.VideoFrame) -> Frame:
    if any(component.is_alpha for component in frame.format.components):
        return _on_white(frame.to_ndarray(format="rgba"))
    return frame.to_ndarray(format="rgb24")


def _upright(picture: Image.Image) -> Image.Image:
    return ImageOps.exif_transpose(picture)


def _rgb(picture: Image.Image) -> Frame:
    if picture.mode in ("I;16", "I;16B", "I;16L", "I"):
        wide = np.asarray(picture).astype(np.int64)
        return np.repeat((wide >> 8).clip(0, 255).astype(np.uint8)[..., None], 3, axis=2)
    if picture.has_transparency_data:
        return _on_white(np.asarray(picture.convert("RGBA")))
    return np.array(picture.convert("RGB"))


def _on_white(pixels: UInt8[np.ndarray, "h w 4"]) -> Frame:
    alpha = pixels[..., 3:].astype(np.float32) / 255
    return np.rint(pixels[..., :3] * alpha + 255 * (1 - alpha)).astype(np.uint8)


def _write_mp4(path: Path, frames: Iterable[Frame], fps: float) -> int:
    count = 0
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1001))
        stream.pix_fmt, stream.options = "yuv420p", {"crf": "17", "preset": "medium"}
        for frame in frames:
            height, width = frame.shape[:2]
            even = np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
            if not count:
                stream.height, stream.width = even.shape[:2]
            container.mux(stream.encode(av.VideoFrame.from_ndarray(even, format="rgb24")))
            count += 1
        container.mux(stream.encode(None))
    return count


def _write_gif(path: Path, frames: Iterable[Frame], fps: float) -> int:
    pictures = [Image.fromarray(frame) for frame in frames]
    pictures[0].save(path, "GIF", save_all=True, append_images=pictures[1:], duration=round(1000 / fps), loop=0)
    return len(pictures)


def _write_strip(path: Path, frames: Iterable[Frame], fps: float) -> int:
    del fps  # a strip has no place for it
    pictures = list(frames)
    Image.fromarray(np.concatenate(pictures, axis=1)).save(path, "PNG")
    return len(pictures)


def _write_folder(path: Path, frames: Iterable[Frame], fps: float) -> int:
    draft = beside(path)
    draft.mkdir(parents=True)
    count = 0
    try:
        for frame in frames:
            Image.fromarray(frame).save(draft / f"{count:06d}.png")
            count += 1
        (draft / "clip.json").write_text(json.dumps({"fps": fps}) + "\n")
        check_writable(path)  # Again: it may have changed while the frames were computed.
        if path.is_dir():
            shutil.rmtree(path)
        draft.rename(path)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return count


_WRITERS = {".mp4": _write_mp4, ".gif": _write_gif, ".png": _write_strip}
