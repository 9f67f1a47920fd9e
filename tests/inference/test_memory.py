"""A clip of any length passes through a stage in pieces: what was written of it is not kept."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tpsm.checkpoints.trained import CheckpointRef
from tpsm.core.clips import Clip
from tpsm.data.clip import read_clip, write_clip
from tpsm.data.manifest import Entry
from tpsm.inference import tasks
from tpsm.inference.generate import Reconstruction
from tpsm.inference.tasks import L1, OUTPUT, AnimatePair, Pair, ReconstructClip
from tpsm.jobs.resume import ResumeCache

COUNT, PIECE = 53, 16
FRAMES = np.random.default_rng(0).integers(0, 256, (COUNT, 8, 8, 3), dtype=np.uint8)


class Anything(CheckpointRef):
    """In the place of a model that is not asked."""

    def __init__(self) -> None: ...

    def load(self) -> Any:
        return None


class Alive:
    """Counts the arrays that it has seen and that somebody still holds."""

    def __init__(self) -> None:
        self.now = self.most = 0

    def watched(self, array: np.ndarray) -> np.ndarray:
        self.now += 1
        self.most = max(self.most, self.now)
        weakref.finalize(array, self.gone)
        return array

    def gone(self) -> None:
        self.now -= 1


def entry(name: str) -> Entry:
    return Entry(name, name, "test", COUNT, 8, 8, 25.0, "0" * 64, True)


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    for name in ("a", "b"):
        write_clip(tmp_path / "clips" / "test", Clip(name, name, FRAMES, 25.0))
    return tmp_path / "clips"


def test_reconstruct_holds_no_clip(clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alive = Alive()

    def pieces(*_: object) -> Iterator[Reconstruction]:
        for start in range(0, COUNT, PIECE):
            frames = alive.watched(FRAMES[start : start + PIECE].copy())
            motion = np.full((*frames.shape[:3], 2), start, np.float32)
            yield Reconstruction(frames, frames > 100, np.full(len(frames), 0.5, np.float32), motion)
            del frames

    monkeypatch.setattr(tasks, "reconstruct", pieces)
    unit = ReconstructClip(clips, Anything(), ResumeCache(tmp_path / "work", "x"))(entry("a"))
    assert alive.most <= 2
    np.testing.assert_array_equal(read_clip(unit / OUTPUT / "a.zip").frames, FRAMES)
    bits = np.load(unit / OUTPUT / "rounded_up" / "a.npz")["bits"]
    np.testing.assert_array_equal(bits, np.packbits(FRAMES > 100))
    motion = np.load(unit / OUTPUT / "motion" / "a.npz")["grid"]
    assert motion.dtype == np.float16 and list(motion[:, 0, 0, 0]) == [i // PIECE * PIECE for i in range(COUNT)]
    assert len(np.load(unit / L1)) == COUNT


def test_animate_holds_no_clip(clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alive = Alive()

    def frames(*_: object, **__: object) -> Iterator[np.ndarray]:
        for frame in FRAMES:
            yield alive.watched(frame.copy())

    monkeypatch.setattr(tasks, "animate", frames)
    task = AnimatePair(clips, 8, Anything(), None, "standard", ResumeCache(tmp_path / "work", "x"))
    unit = task(Pair(entry("a"), entry("b")))
    assert alive.most <= 2
    np.testing.assert_array_equal(read_clip(unit / "a--b.zip").frames, FRAMES)
