"""Images, videos, clip archives and raw data sets."""

from __future__ import annotations

import io
import json
import random
import struct
import zipfile
import zlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from hostile import Case
from hostile_files import ANIMATE
from PIL import Image
from subject import STAGES

DRIVE = (*ANIMATE, "--source", "good.png", "--driving")
OUTPUTS, PREPARED = "outputs/drawn/tps/reconstruction", "data/clips/drawn/test"
SOURCE = (*ANIMATE, "--driving", "good.gif", "--source")


def media(base: Path, rng: random.Random) -> Iterator[Case]:
    for (name, content), may_pass in _pictures(rng).items():
        for side, command in (("source", SOURCE), ("driving", DRIVE)):
            yield Case(f"{name} as {side}", (*command, name), partial(_picture, name, content), may_pass)
    yield from _archives(base)
    yield from _raw(rng)


def _pictures(rng: random.Random) -> dict[tuple[str, bytes], bool]:
    """Name and content; whether it may be taken."""
    noise = np.random.default_rng(rng.randrange(99)).integers(0, 256, (48, 48, 3), dtype=np.uint8)
    png, gif, tiff = (_saved(noise, kind) for kind in ("PNG", "GIF", "TIFF"))
    jpeg, webp = _saved(noise, "JPEG"), _saved(noise, "WEBP")
    integers = _saved(np.arange(48 * 48, dtype=np.int32).reshape(48, 48) * 1000, "TIFF")
    not_numbers = _saved(np.full((8, 8), np.nan, np.float32), "TIFF")
    many = {
        f"flipped-{n}.{kind}": _flipped(whole, rng)
        for n in range(4)
        for kind, whole in (("png", png), ("gif", gif), ("tiff", tiff), ("jpg", jpeg), ("webp", webp))
    }
    refused = {
        "immense.png": _png_of(100_000, 100_000),
        "bomb.png": _png_of(16_000, 16_000),
        "longest.png": _png_of(2**31 - 1, 1),
        "zero.png": _png_of(0, 0),
        "bomb.gif": b"GIF89a\xff\xff\xff\xff\0\0\0,\0\0\0\0\xff\xff\xff\xff\0\x02\x02\x4c\x01\0;",
        "bomb.bmp": b"BM" + struct.pack("<IHHIIiiHHIIiiII", 54, 0, 0, 54, 40, 50_000, 50_000, 1, 24, 0, 0, 1, 1, 0, 0),
        "bomb.ppm": b"P6 60000 60000 255\n" + bytes(100),
        "empty.jpg": b"",
        "cut.png": png[: len(png) // 2],
        "cut.jpg": jpeg[:200],
        "text.png": b"hello",
        "page.mp4": b"<html>sign in</html>",
        "atoms.mp4": struct.pack(">I4s", 0xFFFFFFFF, b"moov") + rng.randbytes(500),
        "empty.mp4": struct.pack(">I4s4sI4s", 20, b"ftyp", b"isom", 512, b"isom"),
        "noise.mkv": b"\x1a\x45\xdf\xa3" + rng.randbytes(3000),
        "noise.avi": b"RIFF" + struct.pack("<I", 2**32 - 1) + b"AVI " + rng.randbytes(3000),
        "playlist.m3u8": b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n",
        "concat.mp4": b"ffconcat version 1.0\nfile /etc/passwd\n",
        "pieces.mp4": b"ffconcat version 1.0\nfile good.gif\n",
        "entity.svg": b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><svg>&e;</svg>',
        **dict.fromkeys(
            ("run.eps", "run.png"), b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(code-has-run) (w) file\n"
        ),
        "pickled.npy": b"\x93NUMPY\x01\0v\0{'descr': '|O', 'fortran_order': False, 'shape': (1,), }".ljust(128)
        + rng.randbytes(50),
        "not-numbers.tiff": not_numbers,
    }
    doubtful = {
        **many,
        "one.png": _saved(np.zeros((1, 1, 3), np.uint8), "PNG"),
        "five.png": _saved(np.zeros((5, 5, 3), np.uint8), "PNG"),
        "line.png": _saved(np.zeros((1, 3000, 3), np.uint8), "PNG"),
        "integers.tiff": integers,
        "a\nline.png": png,
        "a:b.png": png,
        "$x$ {{y}}.png": png,
        "GIF.png": gif,
        "UPPER.PNG": png,
        "cut.gif": gif[: len(gif) * 3 // 4],
    }
    return {**dict.fromkeys(refused.items(), False), **dict.fromkeys(doubtful.items(), True)}


def _archives(base: Path) -> Iterator[Case]:
    """Clips whose `clip.json`, frames or truth are not what they should be; as outputs that are scored, whose hash
    nobody keeps, and as prepared clips."""
    odd: dict[str, list[Any]] = {
        "fps": [float("nan"), float("inf"), -25, 0, 1e308, "25", None, [25]],
        "frames": [0, -1, 3, 5, 10**9, 1.5, "4", True],
        "height": [0, -64, 63, 10**6, "64"],
        "width": [0, 10**9, None],
        "name": [None, 7, ["x"]],
        "identity": [None, {"a": 1}],
    }
    for field, values in odd.items():
        for value in values:
            change = partial(_about, field, value)
            may_pass = field == "fps" and value == "25"
            yield Case(
                f"clip.json's {field} of {value!s:.20}", STAGES["score"], partial(_rewritten, change, OUTPUTS), may_pass
            )
    for what, member, content in (
        ("no clip.json", "clip.json", None),
        ("a clip.json that is a list", "clip.json", b"[]"),
        ("a clip.json that is deep", "clip.json", b"[" * 100_000),
        ("a clip.json that is not UTF-8", "clip.json", b"\xff\xfe"),
        ("no first frame", "frame", None),
        ("a frame of text", "frame", b"hello"),
        ("a frame that is immense", "frame", _png_of(30_000, 30_000)),
        ("a frame of another size", "frame", _saved(np.zeros((32, 32, 3), np.uint8), "PNG")),
        ("a frame that is a pickle", "frame", b"cos\nsystem\n(S'touch code-has-run'\ntR."),
    ):
        yield Case(
            f"clip with {what}", STAGES["score"], partial(_rewritten, partial(_member, member, content), OUTPUTS)
        )
    for what, make in {
        "pickled objects": lambda: _npz(joints=np.array([{"a": 1}], dtype=object)),
        "NaN": lambda: _npz(joints=np.full((4, 3, 2), np.nan, np.float32)),
        "no arrays": lambda: _npz(),
        "a bomb": lambda: _npz(joints=np.zeros(1 << 28, np.uint8)),
        "text": lambda: b"hello",
    }.items():
        change = partial(_member, "truth.npz", make)
        yield Case(f"clip with truth of {what}", STAGES["score"], partial(_rewritten, change, PREPARED))


def _raw(rng: random.Random) -> Iterator[Case]:
    """In the raw folder beside good clips, or instead."""
    for what, name, content in (
        ("noise for a video", "x.mp4", rng.randbytes(4000)),
        ("an immense strip", "x.png", _png_of(200_000, 64)),
        ("an empty GIF", "x.gif", b""),
        ("truth that is text", "first.npz", b"hello"),
        ("truth of NaN", "first.npz", _npz(joints=np.full((4, 16, 2), np.nan, np.float32))),
        ("truth of objects", "first.npz", _npz(joints=np.array([{"a": 1}], dtype=object))),
    ):
        yield Case(f"raw folder with {what}", STAGES["prepare"], partial(_into_raw, name, content))


def _saved(pixels: np.ndarray, kind: str) -> bytes:
    made = io.BytesIO()
    Image.fromarray(pixels).save(made, kind)
    return made.getvalue()


def _png_of(width: int, height: int) -> bytes:
    """A PNG whose header declares a size, and whose data are few."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = zlib.compress(bytes(1 << 20))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def _npz(**arrays: np.ndarray) -> bytes:
    made = io.BytesIO()
    np.savez_compressed(made, **arrays)
    return made.getvalue()


def _flipped(whole: bytes, rng: random.Random) -> bytes:
    flipped = bytearray(whole)
    for _ in range(20):
        flipped[rng.randrange(8, len(flipped))] ^= 1 << rng.randrange(8)
    return bytes(flipped)


def _picture(name: str, content: bytes, folder: Path) -> None:
    ramp = np.linspace(0, 255, 64).astype(np.uint8)
    pixels = np.stack([np.broadcast_to(ramp, (64, 64))] * 3, axis=-1)
    Image.fromarray(pixels).save(folder / "good.png")
    Image.fromarray(pixels).save(
        folder / "good.gif", save_all=True, append_images=[Image.fromarray(pixels[::-1].copy())], duration=100
    )
    (folder / name).write_bytes(content)


def _rewritten(change: Any, place: str, folder: Path) -> None:
    path = sorted((folder / place).glob("*.zip"))[0]
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    change(members)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def _about(field: str, value: Any, members: dict[str, bytes]) -> None:
    about = json.loads(members["clip.json"]) | {field: value}
    members["clip.json"] = json.dumps(about).encode()


def _member(member: str, content: Any, members: dict[str, bytes]) -> None:
    name = member if member != "frame" else next(name for name in members if name.endswith(".png"))
    if content is None:
        members.pop(name)
    else:
        members[name] = content() if callable(content) else content


def _into_raw(name: str, content: bytes, folder: Path) -> None:
    raw = folder / "data/raw/drawn/test"
    path = next(iter(sorted(raw.glob("*.npz")))) if name.startswith("first") else raw / name
    path.write_bytes(content)
