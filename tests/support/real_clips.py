"""Frames of real faces and people at 256 px, of the videos that `tpsm fetch faces` and `tpsm fetch people` fetch.

Tests that need them skip where they are not.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

from tpsm.sources.fetch import package_clips

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / package_clips.VIDEOS
SIZE = 256
FACES, PEOPLE = ("carphone", "langer", "single"), ("balancer#cam03", "jumper")
SHOTS = package_clips.sets()["faces"] | package_clips.sets()["people"]


def missing() -> list[str]:
    return [name for name in FACES + PEOPLE if not video(name).is_file()]


def video(name: str) -> Path:
    return FOLDER / package_clips.files()[SHOTS[name].file].file


@cache
def frames(name: str, count: int, every: int = 1, first: int = 0) -> np.ndarray:
    """`count` frames, one in `every`, cut to the person's square and resized to SIZE: uint8 (count, SIZE, SIZE, 3)."""
    shown = package_clips.frames(video(name), replace(SHOTS[name], every=every), first, count)
    return np.stack([Image.fromarray(frame).resize((SIZE, SIZE), Image.Resampling.LANCZOS) for frame in shown])
