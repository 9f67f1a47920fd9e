"""The driving clip's sound in what is made of it: the same tone, at the same moment, for as long as the video lasts."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from tpsm.core.errors import UserError
from tpsm.data.video import read_video, write_video
from tpsm.show.sound import RATE, has_sound, iter_sound

FPS, SECONDS, BEEP = 10.0, 2.0, (0.5, 1.0)
FRAMES = [np.full((32, 32, 3), 10 * t, np.uint8) for t in range(int(FPS * SECONDS))]


def film(path: Path, *, codec: str = "aac", video: str = "libx264", rate: int = 44_100, delay: float = 0.0) -> None:
    """A clip with a beep of 440 Hz half a second after its first frame; the images may begin later than the sound."""
    time = np.arange(int((SECONDS + delay + 1) * rate)) / rate - delay
    beep = np.where((time >= BEEP[0]) & (time < BEEP[1]), 0.5 * np.sin(2 * np.pi * 440 * time), 0)
    with av.open(str(path), "w") as container:
        images = container.add_stream(video, rate=int(FPS), width=32, height=32, pix_fmt="yuv420p")
        images.codec_context.time_base = Fraction(1, 1000)
        sound = container.add_stream(codec, rate=rate, layout="mono")
        for t, pixels in enumerate(FRAMES):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = round(1000 * (t / FPS + delay)), Fraction(1, 1000)
            container.mux(images.encode(frame))
        container.mux(images.encode(None))
        resampler = av.AudioResampler(sound.format, sound.layout, rate, sound.frame_size or 1024)
        whole = av.AudioFrame.from_ndarray((beep * 32767).astype(np.int16)[None], "s16", "mono")
        whole.sample_rate, whole.pts = rate, 0
        for piece in (*resampler.resample(whole), *resampler.resample(None)):
            container.mux(sound.encode(piece))
        container.mux(sound.encode(None))


def heard(path: Path) -> tuple[np.ndarray, float]:
    """The samples of the first channel, and the number of them a second."""
    with av.open(str(path)) as container:
        pieces = list(container.decode(audio=0))
        samples = np.zeros(round((pieces[-1].time + 1) * pieces[-1].sample_rate))
        for piece in pieces:
            start = round(piece.time * piece.sample_rate)
            samples[start : start + piece.samples] = piece.to_ndarray()[0][: piece.samples]
        return samples, pieces[0].sample_rate


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.mp4", {}),
        ("a.mov", {"codec": "pcm_s16le", "rate": 8000}),
        ("a.mkv", {"codec": "libopus", "rate": 48_000, "delay": 0.7}),
        ("a.webm", {"codec": "libopus", "rate": 48_000, "video": "libvpx"}),
    ],
)
def test_the_tone_is_kept_in_its_place(tmp_path: Path, name: str, options: dict) -> None:
    film(tmp_path / name, **options)
    assert has_sound(tmp_path / name)
    assert write_video(tmp_path / "out.mp4", FRAMES, FPS, iter_sound(tmp_path / name)) == len(FRAMES)
    frames, fps = read_video(tmp_path / "out.mp4")
    assert (len(frames), fps) == (len(FRAMES), FPS)

    # Loud within the beep, silent around it, and of its pitch.
    samples, rate = heard(tmp_path / "out.mp4")
    assert rate == RATE
    loud = np.abs(samples[: int(SECONDS * rate)]) > 0.1
    begins, ends = np.flatnonzero(loud)[[0, -1]] / rate
    assert begins == pytest.approx(BEEP[0], abs=0.05) and ends == pytest.approx(BEEP[1], abs=0.05)
    middle = samples[int(0.6 * rate) : int(0.9 * rate)]
    pitch = np.fft.rfftfreq(len(middle), 1 / rate)[np.abs(np.fft.rfft(middle)).argmax()]
    assert pitch == pytest.approx(440, abs=4)
    with av.open(str(tmp_path / "out.mp4")) as container:
        audio = container.streams.audio[0]
        assert float(audio.duration * audio.time_base) == pytest.approx(SECONDS, abs=0.06)  # its own goes on


def test_what_has_no_sound_has_none(tmp_path: Path) -> None:
    for name in ("a.mp4", "a.gif", "a.png", "a"):
        write_video(tmp_path / name, FRAMES, FPS)
        assert not has_sound(tmp_path / name)
    film(tmp_path / "loud.mp4")
    write_video(tmp_path / "b.mp4", FRAMES, FPS, None)
    assert not has_sound(tmp_path / "b.mp4")


def test_a_video_shorter_than_its_sound_ends_with_its_frames(tmp_path: Path) -> None:
    film(tmp_path / "a.mp4")
    write_video(tmp_path / "out.mp4", FRAMES[:5], FPS, iter_sound(tmp_path / "a.mp4"))
    with av.open(str(tmp_path / "out.mp4")) as container:
        audio = container.streams.audio[0]
        assert float(audio.duration * audio.time_base) == pytest.approx(0.5, abs=0.06)


def test_damaged_sound_is_told_with_what_to_do(tmp_path: Path) -> None:
    film(tmp_path / "a.mp4")
    content = bytearray((tmp_path / "a.mp4").read_bytes())
    with av.open(str(tmp_path / "a.mp4")) as container:
        places = [(packet.pos, packet.size) for packet in container.demux(audio=0) if packet.size]
    for start, size in places[30:]:
        content[start : start + size] = b"\xff" * size
    (tmp_path / "a.mp4").write_bytes(content)
    with pytest.raises(UserError, match=r"sound of .*a\.mp4.*--no-audio"):
        list(iter_sound(tmp_path / "a.mp4"))


def test_damage_anywhere_ends_in_a_sentence(tmp_path: Path) -> None:
    """60 files with up to 60 bytes changed: streams without a decoder are among them."""
    rng = np.random.default_rng(0)
    film(tmp_path / "a.mp4")
    whole = (tmp_path / "a.mp4").read_bytes()
    outcomes = set()
    for _ in range(60):
        damaged = np.frombuffer(whole, np.uint8).copy()
        damaged[rng.integers(0, len(damaged), rng.integers(1, 60))] = rng.integers(0, 256)
        (tmp_path / "a.mp4").write_bytes(damaged.tobytes())
        try:
            outcomes.add(has_sound(tmp_path / "a.mp4") and bool(list(iter_sound(tmp_path / "a.mp4"))))
        except UserError as error:
            assert "a.mp4" in str(error)
            outcomes.add("refused")
    assert "refused" in outcomes and True in outcomes
