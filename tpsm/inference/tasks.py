"""Does what the generating stages do with one clip, in any process: reads it, runs the model, and writes a folder."""

from __future__ import annotations

import math
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from tpsm.checkpoints.trained import CheckpointRef
from tpsm.core.animation import Mode
from tpsm.core.files import atomic
from tpsm.core.layout import array_file, pair_name
from tpsm.data.arrays import streamed_array
from tpsm.data.clip import ClipFile, clip_writer
from tpsm.data.manifest import Entry
from tpsm.inference.config import PLAIN, InferenceConfig
from tpsm.inference.generate import animate, reconstruct
from tpsm.jobs.resume import ResumeCache

OUTPUT, L1 = "output", "l1.npy"
"""In a reconstructed clip's folder: the files for the stage's output, and the errors of which its table is made."""


@dataclass(frozen=True)
class ReconstructClip:
    """Reconstructs a test clip from its first frame, and returns a folder of the result."""

    clips: Path
    model: CheckpointRef
    cache: ResumeCache
    config: InferenceConfig = PLAIN

    def __call__(self, entry: Entry) -> Path:
        return self.cache.make(partial(self._write, entry), entry.sha256)

    def _write(self, entry: Entry, folder: Path) -> None:
        out, arrays = folder / OUTPUT, array_file(entry.name)
        with ExitStack() as stack:
            # Every output is open at once, so that a clip of any length passes through in pieces.
            clip = stack.enter_context(ClipFile(self.clips / entry.file))
            size = (len(clip), clip.height, clip.width)
            writer = stack.enter_context(clip_writer(out, clip.name, clip.identity, clip.fps))
            draft = stack.enter_context(atomic(out / "rounded_up" / arrays))
            bits = (-(-math.prod((*size, 3)) // 8),)
            add_bits = stack.enter_context(streamed_array(draft, "bits", bits, np.uint8))
            add_motion = None
            if entry.has_truth:
                draft = stack.enter_context(atomic(out / "motion" / arrays))
                add_motion = stack.enter_context(streamed_array(draft, "grid", (*size, 2), np.float16, compressed=True))

            # Small arrays that were kept from each piece would lie between its large ones, and the allocator could not
            # give those back. A piece has 16 frames, so its bits end with a byte, but for the last one's.
            errors = np.empty(len(clip), np.float32)
            done = 0
            for piece in reconstruct(self.model.load(), clip, self.config):
                for frame in piece.frames:
                    writer.add(frame)
                add_bits(np.packbits(piece.rounded_up))
                errors[done : done + len(piece.l1)] = piece.l1
                done += len(piece.l1)
                if add_motion is not None:
                    add_motion(piece.motion.astype(np.float16))
        np.save(folder / L1, errors)


@dataclass(frozen=True)
class Pair:
    """Two test clips of different identities."""

    source: Entry
    driving: Entry

    @property
    def name(self) -> str:
        """The name of the animation."""
        return pair_name(self.source.name, self.driving.name)


@dataclass(frozen=True)
class AnimatePair:
    """Animates a pair's source by its driving clip, and returns a folder, as it goes to the stage's output."""

    clips: Path
    size: int
    model: CheckpointRef
    avd: CheckpointRef | None
    mode: Mode
    cache: ResumeCache
    config: InferenceConfig = PLAIN

    def __call__(self, pair: Pair) -> Path:
        return self.cache.make(partial(self._write, pair), pair.source.sha256, pair.driving.sha256)

    def _write(self, pair: Pair, folder: Path) -> None:
        method = self.model.load()
        avd = None if self.avd is None else self.avd.load_avd(self.model, self.size)
        with ClipFile(self.clips / pair.source.file) as still, ClipFile(self.clips / pair.driving.file) as moving:
            poses = (moving.frame(i) for i in range(len(moving)))
            with clip_writer(folder, pair.name, still.identity, moving.fps) as writer:
                for frame in animate(method, still.frame(0), poses, self.mode, avd, config=self.config):
                    writer.add(frame)
