"""Videos play as long as their time stamps say, whole or not at all, and look as players show them."""

from __future__ import annotations

import os
import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tpsm.core.errors import UserError
from tpsm.core.reading import require_file
from tpsm.data.container import codec, frame_rate, is_cut_off, iter_wanted
from tpsm.data.still import read_image
from tpsm.data.video import iter_video, lossless_video, read_video, write_video

RNG = np.random.default_rng(0)
QUARTERS = np.zeros((32, 48, 3), np.uint8)
QUARTERS[:16, :24], QUARTERS[:16, 24:], QUARTERS[16:, :24] = (220, 40, 40), (40, 200, 40), (40, 40, 220)


def blocks(count: int, size: int = 64) -> np.ndarray:
    """Frames that no codec takes for equal, and that compress to some hundreds of bytes."""
    coarse = np.random.default_rng(count).integers(0, 256, (count, size // 16, size // 16, 3), dtype=np.uint8)
    return coarse.repeat(16, 1).repeat(16, 2)


def encode(
    path: Path, codec: str, times: list[int], base: Fraction, container: dict[str, str] | None = None, rate: int = 25
) -> None:
    """A frame at each of `times`, in units of `base`."""
    with av.open(str(path), "w", options=container or {}) as out:
        stream = out.add_stream(codec, rate=rate)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        stream.time_base = stream.codec_context.time_base = base
        if codec == "libx264":
            stream.options = {"bf": "0"}
        for time, frame in zip(times, blocks(len(times)), strict=True):
            shown = av.VideoFrame.from_ndarray(frame, format="rgb24")
            shown.pts, shown.time_base = time, base
            out.mux(stream.encode(shown))
        out.mux(stream.encode(None))


def seconds(path: Path) -> tuple[int, float]:
    stream, fps = iter_video(path)
    count = sum(1 for _ in stream)
    return count, count / fps


JITTER = [int(t) for t in np.cumsum(RNG.integers(15, 55, 60))]


@pytest.mark.parametrize("live", [True, False], ids=["without a duration", "with one"])
@pytest.mark.parametrize("said", [True, False], ids=["at 1000 a second", "without a rate"])
def test_a_recording_of_a_browser_is_as_long_as_it_was(tmp_path: Path, live: bool, said: bool) -> None:
    path = tmp_path / "browser.webm"
    encode(path, "libvpx", JITTER, Fraction(1, 1000), {"live": "1"} if live else None, 1000)
    if not said:  # the element that says how long a frame is becomes a void
        data = bytearray(path.read_bytes())
        at = data.index(b"\x23\xe3\x83")
        size = data[at + 3] & 0x7F
        data[at : at + 4 + size] = b"\xec" + bytes([0x80 | (2 + size)]) + bytes(2 + size)
        path.write_bytes(data)
    count, length = seconds(path)
    assert count == 60 and length == pytest.approx((JITTER[-1] - JITTER[0]) / 1000, abs=0.06)


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_a_rate_that_changes_keeps_the_whole_as_long(tmp_path: Path, suffix: str) -> None:
    times = [*range(20), *range(1000, 11000, 500)]
    encode(tmp_path / f"burst{suffix}", "libx264", times, Fraction(1, 1000), rate=1000)
    count, length = seconds(tmp_path / f"burst{suffix}")
    assert count == 40 and length == pytest.approx(10.5, rel=0.01)


@pytest.mark.parametrize("name", ["a.mp4", "a.mov", "a.mkv", "a.webm", "live.webm"])
@pytest.mark.parametrize("rates", ["rising", "falling", "alternating", "random"])
def test_between_10_and_60_frames_per_second_nothing_plays_longer_or_shorter(
    tmp_path: Path, name: str, rates: str
) -> None:
    per_second = {
        "rising": np.linspace(10, 60, 60),
        "falling": np.linspace(60, 10, 60),
        "alternating": np.where(np.arange(60) // 10 % 2, 10, 60),
        "random": RNG.uniform(10, 60, 60),
    }[rates]
    times = [int(t) for t in np.cumsum(1000 / per_second)]
    options = {"live": "1"} if name.startswith("live") else None
    encode(tmp_path / name, "libvpx" if "webm" in name else "libx264", times, Fraction(1, 1000), options, 60)
    gaps = np.diff(times) / 1000
    stream, fps = iter_video(tmp_path / name)
    frames = list(stream)
    assert len(frames) == 60 and 60 / fps == pytest.approx(gaps.sum() + gaps.mean(), abs=gaps.max())
    for out in ("out.mp4", "out.gif"):
        write_video(tmp_path / out, iter(frames), fps)
        assert seconds(tmp_path / out) == (60, pytest.approx(60 / fps, abs=1 / fps))


def test_a_trimmed_video_is_whole(tmp_path: Path) -> None:
    encode(tmp_path / "base.mp4", "libx264", list(range(100)), Fraction(1, 25))
    data = bytearray((tmp_path / "base.mp4").read_bytes())
    media, movie = data.index(b"mdhd"), data.index(b"mvhd")
    units, scale = (struct.unpack(">I", data[at + 16 : at + 20])[0] for at in (media, movie))
    edit, track = data.index(b"elst"), data.index(b"tkhd")
    data[edit + 12 : edit + 20] = struct.pack(">Ii", 2 * scale, 2 * units)  # so long, from there
    data[track + 24 : track + 28] = data[movie + 20 : movie + 24] = struct.pack(">I", 2 * scale)
    (tmp_path / "trimmed.mp4").write_bytes(data)
    assert seconds(tmp_path / "trimmed.mp4") == (50, 2.0)
    frames, _ = read_video(tmp_path / "trimmed.mp4")
    np.testing.assert_allclose(frames[0], read_video(tmp_path / "base.mp4")[0][50], atol=1)


def test_empty_slots_of_an_avi_are_no_damage(tmp_path: Path) -> None:
    encode(tmp_path / "drops.avi", "mpeg4", list(range(0, 75, 3)), Fraction(1, 25))
    assert seconds(tmp_path / "drops.avi") == (25, pytest.approx(2.92))


@pytest.mark.parametrize("share", [0.5, 0.8, 0.95])
@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("a.mkv", "libx264"),
        ("a.webm", "libvpx"),
        ("a.mpg", "mpeg2video"),
        ("a.flv", "libx264"),
        ("a.wmv", "wmv2"),
        ("a.avi", "mpeg4"),
        ("a.ts", "libx264"),
        ("a.3gp", "mpeg4"),
    ],
)
def test_a_video_that_was_cut_off_is_told(tmp_path: Path, name: str, codec: str, share: float) -> None:
    path = tmp_path / name
    encode(path, codec, list(range(60)), Fraction(1, 25))
    assert seconds(path) == (60, pytest.approx(2.4))
    data = path.read_bytes()
    end = int(share * len(data))
    path.write_bytes(data[: end - (end % 188 == 0)])  # between two packets of a .ts nothing tells
    if share == 0.95 and name in ("a.mpg", "a.avi"):  # what is missing is padding, or the index
        assert seconds(path)[0] == 60
    else:
        with pytest.raises(UserError, match=name):
            seconds(path)


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("a.mkv", "libx264", {"live": "1"}),
        ("a.webm", "libvpx", {"live": "1"}),
        ("a.flv", "libx264", {"flvflags": "no_duration_filesize"}),
        ("a.y4m", "rawvideo", {}),
    ],
)
def test_a_recording_without_a_duration_that_was_cut_off_is_told(
    tmp_path: Path, name: str, codec: str, options: dict[str, str]
) -> None:
    path = tmp_path / name
    encode(path, codec, list(range(60)), Fraction(1, 25), options)
    assert seconds(path) == (60, pytest.approx(2.4, abs=0.05))
    data = path.read_bytes()
    counts = []
    for end in np.linspace(0.3, 0.999, 24) * len(data):
        path.write_bytes(data[: int(end)])
        try:
            counts.append(seconds(path)[0])
        except UserError as error:
            assert f"{name} is damaged: it is cut off" in str(error)
    assert len(counts) <= 1, "exactly between two tags nothing tells"


def test_a_transport_stream_has_whole_packets(tmp_path: Path) -> None:
    path = tmp_path / "a.ts"
    encode(path, "libx264", list(range(60)), Fraction(1, 25))
    data = path.read_bytes()
    for end in range(len(data) // 2, len(data) // 2 + 188, 31):
        if end % 188:
            path.write_bytes(data[:end])
            with pytest.raises(UserError, match=r"a\.ts is damaged"):
                seconds(path)


@pytest.mark.parametrize(("suffix", "codec"), [(".ts", "libx264"), (".flv", "flv1")])
def test_what_stands_behind_a_whole_video_is_no_cut(tmp_path: Path, suffix: str, codec: str) -> None:
    path = tmp_path / f"a{suffix}"
    encode(path, codec, list(range(30)), Fraction(1, 25))
    whole = seconds(path)
    with path.open("ab") as file:
        file.write(bytes(10))
    assert seconds(path) == whole


def test_what_a_browser_records_may_end_after_any_block(tmp_path: Path) -> None:
    """Its segment and clusters do not say how long they are, and there is no index: only a block can be cut off."""
    path = tmp_path / "a.webm"
    encode(path, "libvpx", list(range(60)), Fraction(1, 25), {"live": "1"})
    data = bytearray(path.read_bytes())
    at = data.index(b"\x1f\x43\xb6\x75")
    while at >= 0:  # every cluster becomes one of unknown size
        size = 9 - data[at + 4].bit_length()
        data[at + 4 : at + 4 + size] = bytes([0xFF >> size - 1]) + b"\xff" * (size - 1)
        at = data.find(b"\x1f\x43\xb6\x75", at + 4)
    path.write_bytes(data)
    assert seconds(path)[0] == 60
    found = [told(path, data[:end]) for end in range(len(data) // 2, len(data) // 2 + 400)]
    assert 0 < found.count(False) <= 4, "between two blocks nothing can be told"


def told(path: Path, content: bytes) -> bool:
    path.write_bytes(content)
    return is_cut_off(path, "matroska,webm")


@given(st.binary(max_size=300), st.sampled_from(["matroska,webm", "flv", "asf", "mpegts", "mpeg", "mov"]))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_sizes_that_make_no_sense_end_too(tmp_path: Path, content: bytes, container: str) -> None:
    (tmp_path / "a").write_bytes(content)
    assert is_cut_off(tmp_path / "a", container) in (True, False)


def test_a_flipped_bit_fails_the_checksum(tmp_path: Path) -> None:
    path, frames = tmp_path / "a.mkv", blocks(6)
    with lossless_video(path, 25.0) as add:
        for frame in frames:
            add(frame)
    data = path.read_bytes()
    np.testing.assert_array_equal(read_video(path)[0], frames)
    for at in np.linspace(0.3 * len(data), 0.8 * len(data), 8).astype(int):
        flipped = bytearray(data)
        flipped[at] ^= 0x10
        path.write_bytes(flipped)
        with pytest.raises(UserError, match=r"a\.mkv is damaged"):
            read_video(path)


def shown(path: Path, degrees: int = 0, hflip: bool = False, aspect: Fraction | None = None) -> np.ndarray:
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt, stream.options = 48, 32, "yuv444p", {"crf": "5"}
        if aspect:
            stream.codec_context.sample_aspect_ratio = aspect
        if degrees or hflip:
            stream.set_display_rotation(degrees, hflip=hflip)
        for _ in range(2):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(QUARTERS, format="rgb24")))
        out.mux(stream.encode(None))
    return read_video(path)[0][0].astype(int)


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
@pytest.mark.parametrize("mirrored", [False, True])
def test_a_video_is_turned_and_mirrored_as_its_matrix_says(tmp_path: Path, degrees: int, mirrored: bool) -> None:
    image = shown(tmp_path / "a.mp4", degrees, mirrored)
    with av.open(str(tmp_path / "a.mp4")) as container:
        frame = next(container.decode(video=0))
        side = frame.side_data.get("DISPLAYMATRIX")
        matrix = np.frombuffer(bytes(side)[:20], np.int32) if side else np.array([65536, 0, 0, 0, 65536])
    a, b, _, c, d = np.sign(matrix)
    wanted = np.zeros_like(image)
    height, width = QUARTERS.shape[:2]
    for y in range(height):  # where the matrix sends each pixel, with the corner of the result at the origin
        for x in range(width):
            u, v = a * x + c * y, b * x + d * y  # from which the least is taken away
            left, top = (width - 1) * (a < 0) + (height - 1) * (c < 0), (width - 1) * (b < 0) + (height - 1) * (d < 0)
            wanted[v + top, u + left] = QUARTERS[y, x]
    assert np.abs(image - wanted).mean() < 8


@pytest.mark.parametrize(("aspect", "shape"), [(Fraction(2), (32, 96, 3)), (Fraction(1, 2), (64, 48, 3))])
def test_pixels_that_are_not_square_are_stretched(tmp_path: Path, aspect: Fraction, shape: tuple[int, ...]) -> None:
    image = shown(tmp_path / "a.mp4", aspect=aspect)
    assert image.shape == shape
    wanted = QUARTERS.repeat(shape[0] // 32, axis=0).repeat(shape[1] // 48, axis=1)
    assert np.abs(image - wanted).mean() < 8


def test_a_video_of_too_many_pixels_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encode(tmp_path / "a.mp4", "libx264", [0, 1, 2], Fraction(1, 25))
    monkeypatch.setenv("TPSM_MAX_PIXELS", "4095")
    with pytest.raises(UserError, match=r"a\.mp4 .*64 x 64.*TPSM_MAX_PIXELS"):
        next(iter_wanted(tmp_path / "a.mp4", lambda _: True))


@pytest.mark.parametrize("name", ["a.mp4", "a.png", "a.gif", "a.zip"])
def test_a_pipe_is_not_waited_for(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    for read in (iter_video, read_image, lambda path: require_file(path, "list")):
        with pytest.raises(UserError, match="no regular file"):
            read(tmp_path / name)


@pytest.mark.parametrize(("fps", "count", "kept"), [(60.0, 120, 80), (50.0, 20, 20), (30.0, 30, 30), (12.5, 5, 5)])
def test_a_gif_lasts_as_long_and_has_as_many_frames_as_reported(
    tmp_path: Path, fps: float, count: int, kept: int
) -> None:
    frames = blocks(count, 32)
    frames[1] = frames[0]  # equal ones stay two
    reported = write_video(tmp_path / "a.gif", iter(frames), fps)
    back, rate = read_video(tmp_path / "a.gif")
    assert len(back) == reported == kept
    assert reported / rate == pytest.approx(count / fps, abs=0.021)
    data = (tmp_path / "a.gif").read_bytes()
    starts = [at for at in range(len(data)) if data[at : at + 4] == b"\x21\xf9\x04\0"]
    delays = [int.from_bytes(data[at + 4 : at + 6], "little") for at in starts]
    assert len(delays) == kept and min(delays) >= 2


def test_codecs_that_lose_something(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", blocks(2))
    with lossless_video(tmp_path / "a.mkv", 25.0) as add:
        add(blocks(1)[0])
    assert codec(tmp_path / "a.mp4") == ("h264", True) and codec(tmp_path / "a.mkv") == ("ffv1", False)


def test_a_list_of_other_files_is_no_video_whatever_it_is_called(tmp_path: Path) -> None:
    """FFmpeg would open what it names, and wait for a pipe."""
    os.mkfifo(tmp_path / "other.mp4")
    path = tmp_path / "list.mp4"
    path.write_text("ffconcat version 1.0\nfile other.mp4\n")
    for read in (read_video, frame_rate):
        with pytest.raises(UserError, match=r"list\.mp4 cannot be read"):
            read(path)


def test_a_video_without_a_decoder_is_told_so(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", blocks(2))
    content = (tmp_path / "a.mp4").read_bytes()
    assert content.count(b"avc1") >= 1
    (tmp_path / "a.mp4").write_bytes(content.replace(b"avc1", b"zzzz"))
    with pytest.raises(UserError, match=r"a\.mp4 is of a kind that FFmpeg cannot decode; save it as MP4"):
        read_video(tmp_path / "a.mp4")
