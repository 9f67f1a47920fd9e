"""Reads images with Pillow: still images, image strips, and images of several frames (GIF, WebP, PNG, TIFF, AVIF)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import BinaryIO

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps

from tpsm.core.errors import UserError
from tpsm.core.reading import parse_json, require_file
from tpsm.data.limits import check_fps, check_pixels

Frame = UInt8[np.ndarray, "h w 3"]
_ANIMATED = ("GIF", "WEBP", "PNG", "TIFF", "AVIF")  # others hold several images of one moment, as a phone's MPO does
_HEIF = (".heic", ".heif")
_FORMATS = ("PNG", "JPEG", "MPO", "WEBP", "GIF", "TIFF", "BMP", "AVIF", "HEIF")
"""What a file may be, whatever its name says. Pillow knows more, and starts Ghostscript for some of that."""
_THUMBNAIL = 1  # the bit of TIFF's tag NewSubfileType (254) that marks a page as a smaller copy of another
Image.MAX_IMAGE_PIXELS = None  # `check_pixels` stands in its place, right after a header is read
STRIP = "tpsm:strip"
"""The key of a PNG's text in which a strip says how many frames it holds, and their rate."""


@contextmanager
def opened_image(path: Path) -> Iterator[Image.Image]:
    """Gives an image whose header is read and whose size is checked, and of which nothing is decoded yet.

    Raises:
        UserError: the file is missing, unreadable or too large, when it is opened or within the block.
    """
    require_file(path, "image")
    if path.suffix.lower() in _HEIF:
        _register_heif(path)
    try:
        with Image.open(path) as image:
            if image.format not in _FORMATS:
                raise ValueError(f"its format is {image.format}, none of {', '.join(_FORMATS)}")
            check_pixels(path, *image.size)
            yield image
    except UserError:
        raise
    except Exception as error:  # of a damaged file Pillow raises whatever its parsers stumble over
        raise UserError(f"The image {path} cannot be read ({error}); make it anew or remove it.") from error


def read_image(path: Path) -> Frame:
    """Reads a still image, or the first frame of several, as RGB.

    It is turned as its EXIF says, transparency is put on white, and 16 bits are reduced to 8. Integers of 32 bits are
    taken for 8 bits where none is above 255, for 16 where none is above 65535; floats for [0, 1] where none is above 1,
    for [0, 255] where none is above 255.

    Raises:
        UserError: the file is missing, unreadable or too large, or its values are in no such range.
    """
    with opened_image(path) as image:
        return _to_rgb(ImageOps.exif_transpose(image))


def frame_numbers(path: Path) -> list[int]:
    """Returns the numbers of the frames that are shown; of a still image, [0].

    Raises:
        UserError: the file is unreadable, or cut off.
    """
    with opened_image(path) as image:
        if image.format == "GIF":
            _check_gif_is_whole(path)
        count = getattr(image, "n_frames", 1) if image.format in _ANIMATED else 1
        numbers = list(range(count))
        if count > 1 and image.format == "TIFF":
            numbers = [number for number in numbers if not _is_thumbnail(image, number)]
        # The default image of an animated PNG is for programs that show no animation.
        return numbers[1:] if getattr(image, "default_image", False) else numbers


def iter_frames(path: Path) -> Iterator[Frame]:
    """Yields the frames of an image of several, each as it is shown; one is in memory at a time.

    Raises:
        UserError: as `read_image`, perhaps only at a late frame.
    """
    numbers = frame_numbers(path)
    with opened_image(path) as image:
        for number in numbers:
            image.seek(number)
            check_pixels(path, *image.size)
            yield _to_rgb(ImageOps.exif_transpose(image))


def frames_rate(path: Path) -> float | None:
    """Returns the mean rate of an image's frames, in frames per second; None where it has a single frame or no times.

    Raises:
        UserError: the file is unreadable, or its rate is out of bounds.
    """
    numbers, milliseconds = frame_numbers(path), 0.0
    if len(numbers) == 1:
        record = strip_record(path)
        return None if record is None else record[1]
    with opened_image(path) as image:
        for number in numbers:
            image.seek(number)
            check_pixels(path, *image.size)
            if image.format in ("WEBP", "AVIF"):  # they say a frame's time only once it is decoded
                image.load()
            milliseconds += float(image.info.get("duration") or 0)
    return check_fps(1000 * len(numbers) / milliseconds, str(path)) if milliseconds > 0 else None


def strip_record(path: Path) -> tuple[int, float] | None:
    """Returns how many frames a strip of this project holds, and their rate; None where the file does not say.

    Raises:
        UserError: what it says makes no sense.
    """
    if path.suffix.lower() != ".png":
        return None
    with opened_image(path) as image:
        text, width = image.info.get(STRIP), image.width
    if text is None:
        return None
    try:
        record = parse_json(text)
        count, fps = record["frames"], float(record["fps"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise UserError(f"The strip {path} has a damaged record of its frames; make it anew.") from error
    if type(count) is not int or count < 1 or width % count:
        raise UserError(f"The strip {path} says that it holds {count!r} frames, which its width denies; make it anew.")
    return count, check_fps(fps, str(path))


def image_codec(path: Path) -> tuple[str, bool]:
    """Returns the format of an image, and whether it loses something of what the frames show."""
    with opened_image(path) as image:
        name = str(image.format).lower()
        compression = str(image.info.get("compression", ""))
    if name == "webp":
        with path.open("rb") as file:
            head = file.read(1 << 16)
        return name, not (b"VP8L" in head and b"VP8 " not in head)
    lossless = name in ("png", "bmp", "ppm") or (name == "tiff" and "jpeg" not in compression)
    return name, not lossless


def _to_rgb(image: Image.Image) -> Frame:
    if image.mode in ("I;16", "I;16B", "I;16L", "I", "F"):
        return np.repeat(_to_bytes(np.asarray(image), sixteen=image.mode.startswith("I;"))[..., None], 3, axis=2)
    if image.has_transparency_data:
        return on_white(np.asarray(image.convert("RGBA")))
    return np.array(image.convert("RGB"))


def _to_bytes(values: np.ndarray, sixteen: bool) -> UInt8[np.ndarray, "h w"]:
    """The values as 8 bits. A file of 32 bits does not say what white is, so the smallest usual range that holds them
    all is taken."""
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 0.0)
    if not (low >= 0 and high <= 65535):  # NaN fails too
        raise ValueError(f"its values run from {low:g} to {high:g}, which is no usual range; save it in 8 or 16 bits")
    if sixteen or (values.dtype.kind != "f" and high > 255):
        return (values.astype(np.int64) >> 8).astype(np.uint8)
    if values.dtype.kind == "f":
        if high > 255:
            raise ValueError(f"its values run from {low:g} to {high:g}, beyond [0, 255]; save it in 8 or 16 bits")
        return np.rint(values * (255 if high <= 1 else 1)).astype(np.uint8)
    return values.astype(np.uint8)


def on_white(pixels: UInt8[np.ndarray, "h w 4"]) -> Frame:
    """Returns an RGBA image as RGB before a white background."""
    alpha = pixels[..., 3:].astype(np.float32) / 255
    return np.rint(pixels[..., :3] * alpha + 255 * (1 - alpha)).astype(np.uint8)


def _is_thumbnail(image: Image.Image, number: int) -> bool:
    image.seek(number)
    kind = image.tag_v2.get(254, 0)  # type: ignore[attr-defined]
    return isinstance(kind, int) and bool(kind & _THUMBNAIL)


def _register_heif(path: Path) -> None:
    if path.suffix.lower() in Image.registered_extensions():
        return
    if find_spec("pillow_heif") is None:
        raise UserError(f"The image {path} cannot be read: `pip install pillow-heif`, or save it as JPEG or PNG.")
    import pillow_heif

    pillow_heif.register_heif_opener()


def _check_gif_is_whole(path: Path) -> None:
    """Pillow takes a GIF that was cut off between two frames for a shorter one; only its last byte tells."""
    with path.open("rb") as file:
        head = file.read(13)
        file.seek(_table(head[10]) if len(head) == 13 else 0, 1)
        while (kind := file.read(1)) != b";":
            if kind == b"!":
                file.seek(1, 1)  # the extension's label
            elif kind == b",":
                about = file.read(9)
                file.seek((_table(about[8]) if len(about) == 9 else 0) + 1, 1)  # and the code size
            elif kind != b"\0":  # some programs pad between blocks
                raise UserError(f"The image {path} is damaged: it is cut off after a frame; make it anew.")
            if kind != b"\0":
                _skip_blocks(file)


def _table(flags: int) -> int:
    """Returns the length of a GIF's colour table in bytes, by the flags before it."""
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _skip_blocks(file: BinaryIO) -> None:
    while size := file.read(1):
        if size == b"\0":
            return
        file.seek(size[0], 1)
