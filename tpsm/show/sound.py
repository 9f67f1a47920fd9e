"""Reads the sound of a driving clip, for the video that is made of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import av

from tpsm.core.errors import UserError
from tpsm.data.container import FAILURES, opened
from tpsm.data.video import VIDEOS

RATE, LAYOUT, SAMPLES = 48_000, "stereo", 1024
"""What is given: samples a second, channels, and samples a piece, as AAC takes them."""


def has_sound(path: Path) -> bool:
    """Whether a clip is a video with sound that FFmpeg decodes. Raises UserError where the video is unreadable."""
    if path.suffix.lower() not in VIDEOS or not path.is_file():
        return False
    with opened(path) as (container, _):
        return any(_decodable(stream) for stream in container.streams.audio)


def iter_sound(path: Path) -> Iterator[av.AudioFrame]:
    """Yields a video's sound in pieces, at `RATE`, from the moment of its first frame, where their time stamps begin.

    Raises:
        UserError: the sound is damaged, perhaps only at a late piece.
    """
    with opened(path) as (container, video):
        began = float((video.start_time or 0) * (video.time_base or 0))
        resampler = av.AudioResampler("fltp", LAYOUT, RATE, SAMPLES)
        try:
            for frame in container.decode(next(filter(_decodable, container.streams.audio))):
                yield from _since(began, resampler.resample(frame))
            yield from _since(began, resampler.resample(None))
        except FAILURES as error:
            raise UserError(f"The sound of {path} is damaged ({error}); leave it out with --no-audio.") from error


def _decodable(stream: av.AudioStream) -> bool:
    return stream.codec_context is not None


def _since(began: float, pieces: list[av.AudioFrame]) -> Iterator[av.AudioFrame]:
    for piece in pieces:
        if piece.pts is not None and (pts := piece.pts - round(began * RATE)) >= 0:
            piece.pts = pts
            yield piece
