"""Measures how time and memory grow with a clip's length, and with the number of clips, from prepare to report."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping, Sequence
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from time import process_time
from typing import Any

import torch

from eval.evaluators import evaluator_module
from eval.stages.features import compute_features
from eval.stages.report import write_report
from eval.stages.score import score_run
from eval.types import ROLES
from tpsm.checkpoints.checkpoint import Checkpoint
from tpsm.config.params import read_params
from tpsm.core.files import write_text
from tpsm.core.layout import Layout
from tpsm.core.reading import read_yaml
from tpsm.core.schema import as_yaml, from_mapping
from tpsm.methods.tps import Config, Model
from tpsm.profiling.timing import resident_peak
from tpsm.speed.parts import write_frames
from tpsm.stages.configure import configure
from tpsm.stages.prepare import prepare_dataset
from tpsm.stages.reconstruct import reconstruct_run

SIZE, SET, RUN = 64, "noise", "tps"
FRAMES, CLIPS = (32, 125, 500, 2000), (10, 46, 215, 1000)
SHORT = 2
"""Frames of a clip where there are many."""

ROUNDS = 3
"""How often each point is measured."""

RESET = Path("/proc/self/clear_refs")


@dataclass(frozen=True)
class Point:
    """So many clips of so many frames: the CPU `seconds` of a stage, and the most memory that its process filled.

    The first stage of a kind loads its libraries, which a fit of the times takes for their start.
    """

    stage: str
    clips: int
    frames: int
    seconds: float
    peak: int


def middle(rounds: Sequence[Point]) -> Point:
    """Returns the median of one point's rounds, by its seconds."""
    return sorted(rounds, key=lambda point: point.seconds)[len(rounds) // 2]


def points(params: Path) -> list[tuple[Path, int, int]]:
    """Returns what `measured` is to be given, one after the other, each in a process of its own."""
    return [(params, 1, frames) for frames in FRAMES] + [(params, clips, SHORT) for clips in CLIPS]


def measured(argument: tuple[Path, int, int]) -> list[Point]:
    """Returns every stage's point for so many test clips of so many frames, with the small model."""
    params, clips, frames = argument
    torch.set_num_threads(1)
    with TemporaryDirectory() as folder, chdir(folder):
        write_project(params, clips, frames)
        layout = Layout(SET)
        stages: dict[str, Callable[[], object]] = {
            "prepare": lambda: prepare_dataset(SET),
            "reconstruct": lambda: reconstruct_run(SET, RUN),
            "features": lambda: compute_features(layout),
            "score": lambda: score_run(layout, RUN),
            "report": lambda: write_report(layout),
        }
        return [Point(stage, clips, frames, *_cost(run)) for stage, run in stages.items()]


def write_project(params: Path, clips: int, frames: int) -> None:
    """Writes raw test clips of noise, an untrained run and the puppets' evaluators into this folder, as they lie before
    the stage prepare."""
    # The raw clips, and the sections of the repository's parameters that concern one run.
    write_frames(Path("data/raw", SET, "train/x#0"), SIZE, 2)
    for index in range(clips):
        write_frames(Path("data/raw", SET, f"test/y{index}#0"), SIZE, frames)
    ours = read_yaml(params)
    evaluation, scale = ours["evaluation"]["puppets"], ours["scales"]["small"]
    sections: dict[str, Any] = {"datasets": [SET], "runs": [RUN], "animate": {}, "data": {SET: {"size": SIZE}}}
    sections |= {"run": ours["run"], "scales": {"small": scale}, "evaluation": {SET: evaluation}}
    write_text(Path("params.yaml"), as_yaml(sections))
    configure(Path("params.yaml"), Path("configs"))

    # A model as training leaves it, and evaluators as their stage does.
    model = read_params(Path("params.yaml")).scales["small"][RUN].model
    weights = Model(from_mapping(Config, model, "model")).state_dict()
    layout = Layout(SET)
    layout.model(RUN).mkdir(parents=True)
    Checkpoint(RUN, "tps", SET, SIZE, model, weights, 1, 1).save(layout.model(RUN) / "last.pt")
    _take_evaluators(layout, evaluation["evaluators"], params.parent / ours["data"]["puppets"]["evaluators"])


def _take_evaluators(layout: Layout, sections: Mapping[str, Any], folder: Path) -> None:
    layout.networks.mkdir(parents=True)
    for role in ROLES:
        module, settings = evaluator_module(role, sections[role], role)
        module.load(settings, folder / f"{role}.safetensors").save(layout.networks / f"{role}.pt")


def _cost(run: Callable[[], object]) -> tuple[float, int]:
    """Returns the CPU seconds of one stage, and the peak of memory, of this stage alone where the system can tell."""
    if RESET.exists():
        # Linux: what stages before it freed is given back, and the peak becomes what is filled now.
        getattr(ctypes.CDLL(None), "malloc_trim", int)(0)
        RESET.write_text("5")
    began = process_time()
    run()
    return process_time() - began, resident_peak()
