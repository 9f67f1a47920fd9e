"""Reads images and videos of any usual kind, frame by frame, and writes videos whole."""

from __future__ import annotations

import itertools
import json
import logging
import os
import re
import struct
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Literal

import av
import numpy as np
from jaxtyping import UInt8
from PIL import GifImagePlugin, Image
from PIL.PngImagePlugin import PngInfo

from tpsm.core.errors import UserError
from tpsm.core.files import atomic, atomic_folder
from tpsm.core.reading import read_json, require_file
from tpsm.data import container
from tpsm.data.container import iter_wanted
from tpsm.data.limits import check_fps
from tpsm.data.still import STRIP, Frame, frame_numbers, frames_rate, iter_frames, read_image, strip_record

log = logging.getLogger(__name__)

PICTURES = (".png", ".apng", ".jpg", ".jpeg", ".jfif", ".webp", ".bmp", ".tif", ".tiff", ".avif", ".heic", ".heif")
VIDEOS = (
    *(".mp4", ".mov", ".avi", ".webm", ".mkv", ".m4v", ".mpg", ".mpeg", ".wmv", ".flv", ".f4v", ".ogv", ".ogg"),
    *(".ts", ".mts", ".m2ts", ".3gp", ".3g2", ".asf", ".vob", ".m2v", ".mxf", ".y4m"),
)
ANIMATIONS = (".gif",)
FPS = 25.0
"""The frame rate, in frames per second, where neither the file nor the caller says it."""

Kind = Literal["folder", "video", "animation", "strip", "image"]


def is_clip(path: Path) -> bool:
    """Whether `path` is of a kind that `iter_video` reads: a video, a GIF, a strip, or a folder of images."""
    if path.name.startswith("."):
        return False
    if path.is_dir():
        return any(is_picture(child) for child in path.iterdir())
    return path.suffix.lower() in (*PICTURES, *VIDEOS, *ANIMATIONS) and path.is_file()


def is_picture(path: Path) -> bool:
    """Whether `path` is an image by its suffix, and not hidden."""
    return path.suffix.lower() in PICTURES and not path.name.startswith(".")


def natural(path: Path) -> list[tuple[int, int, str]]:
    """Returns a sort key by which frame 2 comes before frame 10."""
    pieces = re.findall(r"\d+|\D+", path.name)
    return [(0, int(piece), "") if piece.isdecimal() else (1, 0, piece) for piece in pieces]


def kind_of(path: Path, *, strips: bool = True) -> Kind:
    """Says what `path` is, by its suffix and, of images, by what is in it.

    A still image in a data set is a strip of frames side by side. Elsewhere (`strips` False) it is a strip if its
    record says so; or if its width is a multiple of its height, and it lies in train/ or test/, has a '#' in its name,
    or has true joints beside it.

    Raises:
        UserError: the file is missing, unreadable, or of no known kind.
    """
    suffix = path.suffix.lower()
    if path.is_dir():
        return "folder"
    if suffix in VIDEOS:
        return "video"
    if suffix not in (*PICTURES, *ANIMATIONS):
        require_file(path, "video")
        known = ", ".join((*VIDEOS, *ANIMATIONS, *PICTURES))
        raise UserError(f"{path} is of no known kind; known are {known} and folders of images.")
    if suffix in ANIMATIONS or len(frame_numbers(path)) > 1:
        return "animation"
    if strips or strip_record(path) is not None:
        return "strip"
    named = "#" in path.name or path.absolute().parent.name in ("train", "test") or path.with_suffix(".npz").is_file()
    if not named:
        return "image"
    height, width = read_image(path).shape[:2]
    return "strip" if width > height and width % height == 0 else "image"


def iter_video(
    path: Path, *, strip_width: int | None = None, fps: float | None = None, strips: bool = True
) -> tuple[Iterator[Frame], float]:
    """Returns the frames of a clip one after another, as they are shown, and their rate in frames per second.

    One frame is in memory at a time (of a strip, all). Frames of a strip are `strip_width` pixels wide or, by default,
    as its record says, or as wide as high. `strips` is as for `kind_of`; an image that is no strip is one frame. `fps`
    is the rate of files that do not say theirs.

    Raises:
        UserError: the file is missing, unreadable, damaged, or without a frame; it may come at a late frame.
    """
    if not path.is_dir():
        require_file(path, "video")
    kind = kind_of(path, strips=strips)
    return _not_empty(path, _frames(path, kind, strip_width)), _fps(path, kind) or fps or FPS


def read_video(
    path: Path, *, max_frames: int | None = None, strip_width: int | None = None
) -> tuple[UInt8[np.ndarray, "t h w 3"], float]:
    """Reads frames into memory, and their rate in frames per second. Raises UserError where their sizes differ."""
    stream, fps = iter_video(path, strip_width=strip_width)
    frames = list(itertools.islice(stream, max_frames))
    if len({frame.shape for frame in frames}) != 1:
        raise UserError(f"The frames of {path} are not all of one size.")
    return np.stack(frames), fps


def frame_rate(path: Path) -> float:
    """Returns the rate of a video in frames per second; `FPS` where the file does not say it.

    Raises:
        UserError: the file is unreadable.
    """
    return container.frame_rate(path) or FPS


@contextmanager
def lossless_video(path: Path, fps: float) -> Iterator[Callable[[Frame], None]]:
    """Gives a function that adds a frame to the video `path` (.mkv, FFV1), which holds exactly these pixels.

    The file appears, whole, when the block ends without an error. Its bytes depend on nothing but the frames and the
    rate.
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


def write_video(
    path: Path, frames: Iterable[Frame], fps: float = FPS, sound: Iterable[av.AudioFrame] | None = None
) -> int:
    """Writes a video by the suffix of `path`: .mp4 (H.264, AAC), .gif, .webp, .png (a lossless strip), or none (a
    folder of PNGs).

    H.264 needs even sides: the last row or column of an odd image is repeated once. Returns the number of frames
    written, which is that of `frames`, except in a GIF of more than 50 frames per second; a WebP stores successive
    equal frames as one that is shown longer. An MP4 takes `sound`, in pieces as `tpsm.show.sound.iter_sound` gives
    them, and ends with its last frame; the others have none.

    Raises:
        UserError: as `check_writable`, or there are no frames, or the rate is out of bounds.
    """
    check_writable(path)
    check_fps(fps, str(path))
    stream = iter(frames)
    first = next(stream, None)
    if first is None:
        raise UserError(f"Cannot write {path}: there are no frames.")
    stream = itertools.chain([first], stream)
    if not path.suffix:
        return _write_folder(path, stream, fps)
    with atomic(path) as draft:
        if holds_sound(path):
            return _write_mp4(draft, stream, fps, sound)
        return _WRITERS[path.suffix.lower()](draft, stream, fps)


def holds_sound(path: Path) -> bool:
    """Whether what `write_video` writes to `path` may have sound."""
    return path.suffix.lower() == ".mp4"


def check_writable(path: Path) -> None:
    """Checks, before a long computation, that `write_video` can write to `path`.

    Raises:
        UserError: it has no name or an unknown suffix, something of another kind is there, or it is a folder that
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
    """Whether `path` is an empty folder, or holds what `_write_folder` writes and nothing else."""
    if path.is_symlink() or not path.is_dir():
        return False
    names = {child.name for child in path.iterdir()}
    return not names or names == {"clip.json", *(f"{i:06d}.png" for i in range(len(names) - 1))}


def _frames(path: Path, kind: Kind, strip_width: int | None) -> Iterator[Frame]:
    if kind == "folder":
        for child in sorted(filter(is_picture, path.iterdir()), key=natural):
            yield read_image(child)
    elif kind == "video":
        yield from (frame for _, frame in iter_wanted(path, lambda _: True))
    elif kind == "animation":
        yield from iter_frames(path)
    elif kind == "strip":
        yield from _split_strip(path, read_image(path), strip_width)
    else:
        yield read_image(path)


def _not_empty(path: Path, frames: Iterator[Frame]) -> Iterator[Frame]:
    first = next(frames, None)
    if first is None:
        raise UserError(f"The video {path} has no frames.")
    yield first
    yield from frames


def _fps(path: Path, kind: Kind) -> float | None:
    """Returns frames per second, or None where the file does not say: most strips, folders without a `clip.json`."""
    if kind == "video":
        return container.frame_rate(path)
    if kind in ("animation", "strip"):
        return frames_rate(path)
    if kind == "folder" and (path / "clip.json").is_file():
        try:
            fps = float(read_json(path / "clip.json", "record of a clip")["fps"])
        except (ValueError, KeyError, TypeError, RecursionError, OverflowError) as error:
            raise UserError(f'{path / "clip.json"} does not say the frame rate as {{"fps": number}}.') from error
        return check_fps(fps, str(path / "clip.json"))
    return None


def _split_strip(path: Path, strip: Frame, width: int | None) -> Iterator[Frame]:
    if width is None and (record := strip_record(path)):
        width = strip.shape[1] // record[0]
    width = width or strip.shape[0]
    if strip.shape[1] % width:
        raise UserError(
            f"The strip {path} is {strip.shape[1]} pixels wide, no multiple of its frames' {width}; "
            "say frame_width in the data set's section."
        )
    for left in range(0, strip.shape[1], width):
        yield strip[:, left : left + width].copy()


def _write_mp4(path: Path, frames: Iterable[Frame], fps: float, sound: Iterable[av.AudioFrame] | None = None) -> int:
    count = 0
    pieces = iter(sound or ())
    first = next(pieces, None)
    with av.open(str(path), "w") as container:
        # The streams; the sound's is as its pieces are.
        stream = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1001))
        stream.pix_fmt, stream.options = "yuv420p", {"crf": "17", "preset": "medium"}
        heard = None
        if first is not None:
            heard = container.add_stream(
                "aac", rate=first.sample_rate, layout=first.layout.name, format=first.format.name
            )
            pieces = itertools.chain([first], pieces)
        piece = next(pieces, None)

        # Each frame, and the pieces of sound that begin while it is shown.
        for frame in frames:
            height, width = frame.shape[:2]
            even = np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
            if not count:
                stream.height, stream.width = even.shape[:2]
            container.mux(stream.encode(av.VideoFrame.from_ndarray(even, format="rgb24")))
            count += 1
            while heard is not None and piece is not None and (piece.time or 0.0) < count / fps:
                container.mux(heard.encode(piece))
                piece = next(pieces, None)
        container.mux(stream.encode(None))
        if heard is not None:
            container.mux(heard.encode(None))
    return count


def _write_gif(path: Path, frames: Iterable[Frame], fps: float) -> int:
    """Writes every frame, where Pillow's writer would merge equal ones.

    Players show no frame for less than 20 ms (they take 100 instead), so of a faster video the frames nearest in time
    are kept.
    """
    count = given = 0
    end = 0  # of what is written, in the format's hundredths of a second
    with path.open("wb") as file:
        for given, frame in enumerate(frames, 1):
            delay = round(100 * given / fps) - end  # what rounding leaves over is carried on to the next frame
            if delay < 2:
                continue
            image = Image.fromarray(frame).quantize(256, Image.Quantize.MEDIANCUT)
            if not count:
                height, width = frame.shape[:2]
                file.write(b"GIF89a" + struct.pack("<HHBBB", width, height, 0, 0, 0))
                file.write(b"!\xff\x0bNETSCAPE2.0\x03\x01\0\0\0")  # for ever
            file.writelines(GifImagePlugin.getdata(image, duration=10 * delay, include_color_table=True))
            end, count = end + delay, count + 1
        file.write(b";")
    if count < given:
        log.warning("A GIF shows 50 frames per second at most, so this one has %d of the %d frames.", count, given)
    return count


def _write_webp(path: Path, frames: Iterable[Frame], fps: float) -> int:
    pictures = [Image.fromarray(frame) for frame in frames]
    ends = [round(1000 * number / fps) for number in range(len(pictures) + 1)]  # in the format's milliseconds
    durations = [end - begin for begin, end in itertools.pairwise(ends)]
    options = {"save_all": True, "append_images": pictures[1:], "duration": durations, "loop": 0}
    pictures[0].save(path, "WEBP", quality=90, **options)
    return len(pictures)


def _write_strip(path: Path, frames: Iterable[Frame], fps: float) -> int:
    pictures = list(frames)
    about = PngInfo()
    about.add_text(STRIP, json.dumps({"frames": len(pictures), "fps": fps}))
    Image.fromarray(np.concatenate(pictures, axis=1)).save(path, "PNG", pnginfo=about)
    return len(pictures)


def _write_folder(path: Path, frames: Iterable[Frame], fps: float) -> int:
    with atomic_folder(path, replace=True) as draft:
        count = 0
        for frame in frames:
            Image.fromarray(frame).save(draft / f"{count:06d}.png")
            count += 1
        (draft / "clip.json").write_text(json.dumps({"fps": fps}) + "\n")
        check_writable(path)  # Again: it may have changed while the frames were computed.
    return count


_WRITERS: dict[str, Callable[[Path, Iterable[Frame], float], int]] = {
    ".mp4": _write_mp4,
    ".gif": _write_gif,
    ".webp": _write_webp,
    ".png": _write_strip,
}
