"""What the generating stages do with one clip, wherever it is done: read it, run the model, write a unit's files."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from tpsm.checkpoints.trained import Trained
from tpsm.core.animation import Mode
from tpsm.core.clips import Clip
from tpsm.core.files import atomic
from tpsm.data.clip import ClipFile, write_clip
from tpsm.data.manifest import Entry
from tpsm.inference.generate import animate, reconstruct
from tpsm.jobs.resume import Units

OUTPUT, L1 = "output", "l1.npy"
"""In a reconstructed clip's unit: the files that go to the stage's output, and the errors that its table is made of."""


@dataclass(frozen=True)
class ReconstructClip:
    """A test clip from its first frame -> a unit's folder."""

    clips: Path
    model: Trained
    units: Units

    def __call__(self, entry: Entry) -> Path:
        return self.units.make(partial(self._write, entry), entry.sha256)

    def _write(self, entry: Entry, unit: Path) -> None:
        out = unit / OUTPUT
        with ClipFile(self.clips / entry.file) as clip:
            result = reconstruct(self.model.load(), clip)
            write_clip(out, Clip(clip.name, clip.identity, result.frames, clip.fps))
        arrays = entry.file.with_suffix(".npz").name
        with atomic(out / "rounded_up" / arrays) as draft:
            np.savez(draft, bits=np.packbits(result.rounded_up))
        if entry.has_truth:
            with atomic(out / "motion" / arrays) as draft:
                np.savez_compressed(draft, grid=result.motion.astype(np.float16))
        np.save(unit / L1, result.l1)


@dataclass(frozen=True)
class Pair:
    """Two test clips of different identities."""

    source: Entry
    driving: Entry

    @property
    def name(self) -> str:
        return f"{self.source.name}--{self.driving.name}"


@dataclass(frozen=True)
class AnimatePair:
    """A pair's source in its driving clip's motion -> a unit's folder, as it goes to the stage's output."""

    clips: Path
    size: int
    model: Trained
    avd: Trained | None
    mode: Mode
    units: Units

    def __call__(self, pair: Pair) -> Path:
        return self.units.make(partial(self._write, pair), pair.source.sha256, pair.driving.sha256)

    def _write(self, pair: Pair, unit: Path) -> None:
        method = self.model.load()
        avd = None if self.avd is None else self.avd.load_avd(self.model, self.size)
        with ClipFile(self.clips / pair.source.file) as still, ClipFile(self.clips / pair.driving.file) as moving:
            poses = (moving.frame(i) for i in range(len(moving)))
            frames = np.stack(list(animate(method, still.frame(0), poses, self.mode, avd)))
            write_clip(unit, Clip(pair.name, still.identity, frames, moving.fps))
