"""Measures how time and memory grow with a clip's length, and with the number of clips: prepare, then reconstruct."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from time import process_time

import torch

from tpsm.checkpoints.checkpoint import Checkpoint
from tpsm.checkpoints.trained import CheckpointRef
from tpsm.config.params import read_params
from tpsm.core.schema import from_mapping
from tpsm.data.config import DataConfig
from tpsm.data.manifest import read_manifest
from tpsm.data.prepare import prepare
from tpsm.inference.tasks import ReconstructClip
from tpsm.jobs.resume import ResumeCache
from tpsm.methods.tps import Config, Model
from tpsm.profiling.speed_parts import write_frames
from tpsm.profiling.timing import resident_peak

SIZE = 64
FRAMES, CLIPS = (32, 125, 500, 2000), (10, 46, 215, 1000)
SHORT = 4
"""Frames of a clip where there are many."""


@dataclass(frozen=True)
class Point:
    """So many clips of so many frames: the CPU `seconds` of a stage, and the most memory that its process filled."""

    stage: str
    clips: int
    frames: int
    seconds: float
    peak: int


def points(params: Path) -> list[tuple[Path, int, int]]:
    """Returns what `measured` is to be given, one after the other, each in a process of its own."""
    return [(params, 1, frames) for frames in FRAMES] + [(params, clips, SHORT) for clips in CLIPS]


def measured(argument: tuple[Path, int, int]) -> list[Point]:
    """Returns both stages' points for so many test clips of so many frames, with the small model."""
    params, clips, frames = argument
    torch.set_num_threads(1)
    with TemporaryDirectory() as name:
        # The raw clips, and a model as training leaves it.
        folder = Path(name)
        write_frames(folder / "raw/train/x#0", SIZE, 2)
        for index in range(clips):
            write_frames(folder / f"raw/test/y{index}#0", SIZE, frames)
        section = read_params(params).scales["long"]["tps"].model
        weights = Model(from_mapping(Config, section, "model")).state_dict()
        Checkpoint("tps", "tps", "noise", SIZE, section, weights, 1, 1).save(folder / "last.pt")
        model = CheckpointRef.at(folder / "last.pt", "tps")
        model.load()

        def reconstruct() -> None:
            write = ReconstructClip(folder / "clips", model, ResumeCache(folder / "out", "bench"))
            for entry in read_manifest(folder / "clips").clips("test"):
                write(entry)

        stages: dict[str, Callable[[], object]] = {
            "prepare": lambda: prepare("noise", folder / "raw", DataConfig(size=SIZE), folder / "clips"),
            "reconstruct": reconstruct,
        }
        return [Point(stage, clips, frames, _seconds(run), resident_peak()) for stage, run in stages.items()]


def _seconds(run: Callable[[], object]) -> float:
    began = process_time()
    run()
    return process_time() - began
