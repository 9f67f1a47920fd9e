"""Whatever a camera, a browser or a colleague may have written is read as upright 8-bit RGB, frame by frame."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from tpsm.data.still import read_image
from tpsm.data.video import is_clip, iter_video, natural, read_video, write_video

CORNERS = ((220, 40, 40), (40, 200, 40), (40, 40, 220), (230, 220, 60))  # clockwise from the top left


def picture(height: int = 48, width: int = 64, shift: int = 0) -> np.ndarray:
    """Four flat quarters, whose colours survive lossy codecs and tell each orientation apart."""
    pixels = np.empty((height, width, 3), np.uint8)
    pixels[: height // 2, : width // 2], pixels[: height // 2, width // 2 :] = CORNERS[0], CORNERS[1]
    pixels[height // 2 :, width // 2 :], pixels[height // 2 :, : width // 2] = CORNERS[2], CORNERS[3]
    return np.roll(pixels, shift, axis=1)


def moving(count: int = 6, height: int = 48, width: int = 64) -> np.ndarray:
    return np.stack([picture(height, width, 2 * i) for i in range(count)])


def encode(
    path: Path, frames: np.ndarray, codec: str, pixels: str, source: str = "rgb24", times: list[int] | None = None
) -> None:
    """`times` are in milliseconds; without them, ten frames a second."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=10)
        stream.height, stream.width, stream.pix_fmt = frames.shape[1], frames.shape[2], pixels
        base = Fraction(1, 1000) if times else Fraction(1, 10)
        stream.time_base = base
        for index, pixels_in in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(pixels_in, format=source)
            frame.pts, frame.time_base = times[index] if times else index, base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def near(got: np.ndarray, wanted: np.ndarray, tolerance: float = 8.0) -> None:
    assert got.shape == wanted.shape
    assert got.dtype == np.uint8
    assert np.abs(got.astype(float) - wanted).mean() < tolerance


@pytest.mark.parametrize(
    ("suffix", "codec", "pixels"),
    [
        (".mp4", "libx264", "yuv420p"),
        (".mp4", "libx264", "yuv444p"),
        (".mkv", "libx264", "yuv422p10le"),
        (".mov", "mpeg4", "yuv420p"),
        (".avi", "mjpeg", "yuvj420p"),
        (".avi", "ffv1", "bgr0"),
        (".webm", "libvpx-vp9", "yuv420p"),
    ],
)
def test_videos_of_many_kinds(tmp_path: Path, suffix: str, codec: str, pixels: str) -> None:
    path = tmp_path / f"clip{suffix}"
    encode(path, moving(), codec, pixels)
    frames, fps = read_video(path)
    near(frames, moving())
    assert fps == pytest.approx(10, rel=0.01)


def test_gray_video(tmp_path: Path) -> None:
    gray = moving()[..., 1]
    encode(tmp_path / "gray.mkv", gray, "ffv1", "gray", "gray")
    near(read_video(tmp_path / "gray.mkv")[0], np.repeat(gray[..., None], 3, axis=3), 3)


def test_odd_sizes(tmp_path: Path) -> None:
    frames = moving(3, 47, 63)
    encode(tmp_path / "odd.mkv", frames, "ffv1", "bgr0")
    near(read_video(tmp_path / "odd.mkv")[0], frames, 1)
    encode(tmp_path / "odd.mp4", frames, "libx264", "yuv444p")
    near(read_video(tmp_path / "odd.mp4")[0], frames)


def test_variable_frame_rate_keeps_every_frame(tmp_path: Path) -> None:
    encode(tmp_path / "vfr.mkv", moving(), "libx264", "yuv420p", times=[0, 40, 300, 310, 900, 2000])
    near(read_video(tmp_path / "vfr.mkv")[0], moving())


def test_alpha_is_laid_on_white(tmp_path: Path) -> None:
    frames = np.concatenate([moving(), np.full((6, 48, 64, 1), 255, np.uint8)], axis=-1)
    frames[:, :, :32, 3] = 0
    encode(tmp_path / "alpha.mov", frames, "png", "rgba", "rgba")
    wanted = moving()
    wanted[:, :, :32] = 255
    near(read_video(tmp_path / "alpha.mov")[0], wanted, 1)


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_rotation_in_the_metadata_is_applied(tmp_path: Path, degrees: int) -> None:
    upright = tmp_path / "upright.mp4"
    encode(upright, moving(2), "libx264", "yuv420p")
    turned = tmp_path / "turned.mp4"
    turned.write_bytes(with_display_matrix(upright.read_bytes(), degrees))
    # The matrix asks the player to turn clockwise.
    wanted = np.stack([np.rot90(frame, -degrees // 90) for frame in moving(2)])
    near(read_video(turned)[0], wanted)


def with_display_matrix(data: bytes, degrees: int) -> bytes:
    """The same MP4 whose track header asks for a clockwise turn, as phones write it."""
    at = data.index(b"tkhd")
    matrix = at + 4 + 4 + 4 * 5 + 8 + 8  # version 0: times, id and duration, reserved, layer to volume
    cos, sin = {90: (0, 1), 180: (-1, 0), 270: (0, -1)}[degrees]
    one = 1 << 16
    values = [cos * one, sin * one, 0, -sin * one, cos * one, 0, 0, 0, 1 << 30]
    packed = b"".join(value.to_bytes(4, "big", signed=True) for value in values)
    assert int.from_bytes(data[matrix : matrix + 4], "big") == one
    return data[:matrix] + packed + data[matrix + 36 :]


def test_strips_of_square_and_of_other_frames(tmp_path: Path) -> None:
    frames = moving(4, 48, 48)
    Image.fromarray(np.concatenate(list(frames), axis=1)).save(tmp_path / "square.png")
    np.testing.assert_array_equal(read_video(tmp_path / "square.png")[0], frames)
    wide = moving(3)
    Image.fromarray(np.concatenate(list(wide), axis=1)).save(tmp_path / "wide.png")
    np.testing.assert_array_equal(read_video(tmp_path / "wide.png", strip_width=64)[0], wide)


def test_a_strip_may_be_a_jpeg_or_webp(tmp_path: Path) -> None:
    frames = moving(4, 48, 48)
    strip = Image.fromarray(np.concatenate(list(frames), axis=1))
    strip.save(tmp_path / "strip.JPG", quality=95)
    near(read_video(tmp_path / "strip.JPG")[0], frames)
    strip.save(tmp_path / "strip.webp", lossless=True)
    np.testing.assert_array_equal(read_video(tmp_path / "strip.webp")[0], frames)


def test_a_folder_is_read_in_natural_order(tmp_path: Path) -> None:
    folder = tmp_path / "clip.mp4"  # some releases name folders so
    folder.mkdir()
    frames = moving(11)
    for index, frame in enumerate(frames):
        Image.fromarray(frame).save(folder / f"frame{index}.png")
    (folder / "notes.txt").write_text("not a frame")
    np.testing.assert_array_equal(read_video(folder)[0], frames)
    assert natural(Path("a2")) < natural(Path("a10")) < natural(Path("b1"))
    assert is_clip(folder) and not is_clip(folder / "notes.txt")


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGBA", "CMYK", "1", "I;16"])
def test_pictures_of_every_mode(tmp_path: Path, mode: str) -> None:
    gray = np.tile(np.linspace(0, 255, 40).astype(np.uint8), (30, 1))
    if mode == "I;16":
        path = tmp_path / "p.png"
        Image.fromarray(gray.astype(np.uint16) * 257).save(path)
    else:
        path = tmp_path / ("p.tif" if mode == "CMYK" else "p.png")
        Image.fromarray(gray).convert("RGB" if mode in ("RGBA", "CMYK") else "L").convert(mode).save(path)
    got = read_image(path)
    assert got.shape == (30, 40, 3)
    assert np.abs(got.mean(axis=(0, 2)) - gray.mean(axis=0)).max() < (130 if mode == "1" else 4)


def test_exif_orientation_is_applied(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned clockwise
    Image.fromarray(picture()).save(tmp_path / "phone.png", exif=exif)
    np.testing.assert_array_equal(read_image(tmp_path / "phone.png"), np.rot90(picture(), -1))


def test_reading_is_lazy_and_can_stop_early(tmp_path: Path) -> None:
    path = tmp_path / "long.mp4"
    encode(path, moving(60), "libx264", "yuv420p")
    stream, _ = iter_video(path)
    near(next(stream), picture())
    assert len(read_video(path, max_frames=3)[0]) == 3


@pytest.mark.parametrize(
    ("name", "tolerance"), [("a.mp4", 8), ("a.gif", 8), ("a.webp", 8), ("a.png", 0.01), ("a", 0.01)]
)
def test_what_is_written_is_read_again(tmp_path: Path, name: str, tolerance: float) -> None:
    frames = moving(5, 48, 48)
    for _ in range(2):  # the second time over the first
        assert write_video(tmp_path / "new" / name, iter(frames), 20.0) == 5
    back, fps = read_video(tmp_path / "new" / name)
    near(back, frames, tolerance)
    if name != "a.png":
        assert fps == pytest.approx(20)
    assert [path.name for path in (tmp_path / "new").iterdir()] == [name]


def test_an_odd_picture_becomes_an_even_video(tmp_path: Path) -> None:
    frames = moving(3, 47, 63)
    write_video(tmp_path / "odd.mp4", frames)
    near(read_video(tmp_path / "odd.mp4")[0], np.pad(frames, ((0, 0), (0, 1), (0, 1), (0, 0)), mode="edge"))


@pytest.mark.parametrize("name", ["a.mp4", "a.webp", "a.png", "a"])
def test_a_failure_while_writing_leaves_what_was_there(tmp_path: Path, name: str) -> None:
    write_video(tmp_path / name, moving(2, 48, 48))

    def failing():  # type: ignore[no-untyped-def]
        yield picture(48, 48)
        raise RuntimeError("the model failed")

    with pytest.raises(RuntimeError):
        write_video(tmp_path / name, failing())
    assert len(read_video(tmp_path / name)[0]) == 2
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_two_may_write_one_folder_of_frames(tmp_path: Path) -> None:
    frames = moving(2, 48, 48)

    def meanwhile():  # type: ignore[no-untyped-def]
        yield frames[0]
        write_video(tmp_path / "a", iter(frames[:1]))
        yield frames[1]

    assert write_video(tmp_path / "a", meanwhile()) == 2
    np.testing.assert_array_equal(read_video(tmp_path / "a")[0], frames)
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
