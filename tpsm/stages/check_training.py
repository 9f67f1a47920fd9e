"""Checks that training still computes what it did: twenty losses of every method are compared with committed ones.

The models, losses (on pixels in place of VGG-19), optimisers and augmentation are those of params.yaml, on a few of the
embedded clips and a schedule of seconds. All is computed in double precision on the CPU: another machine then differs
by far less than any change of training does (docs/gate.md says by how much).
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from tpsm.config.params import data_section, read_params, resolve_run
from tpsm.config.sections import RunConfig
from tpsm.core.errors import UserError
from tpsm.core.files import write_text
from tpsm.core.reading import read_json
from tpsm.core.rng import BatchSlice
from tpsm.data.config import SPLITS, DataConfig
from tpsm.data.pairs import PairBatches
from tpsm.data.prepare import prepare
from tpsm.data.raw import clip_name, find_clips
from tpsm.data.splits import Split, SplitEntry
from tpsm.methods import METHODS, method_module
from tpsm.training.optimizer import Optimiser

DATASET, SAMPLES = "puppets", Path("samples/puppets")
COMMITTED = Path("reports/training-losses.json")
CLIPS = {"train": 10, "test": 1}
"""How many clips are taken, of five identities. Nothing is tested, but a data set must have a test clip."""
SCHEDULE: dict[str, Any] = {"batch": 2, "repeats": 2, "epochs": 4, "milestones": (3,), "workers": 0}
"""Five steps per epoch: pairs are shuffled four times, and the last epoch has a tenth of the learning rate."""
RELATIVE, ABSOLUTE = 1e-6, 1e-10
"""How far a loss may lie from the committed one. A background's motion, say, costs nothing but rounding at first."""

Steps = Sequence[Mapping[str, float]]
"""The losses of each step by name."""


def check_training(params_file: Path, samples: Path = SAMPLES, committed: Path = COMMITTED) -> list[str]:
    """Returns one sentence for each method whose losses are not the committed ones, on where they first differ.

    Raises:
        UserError: `committed` is missing or of another form, or parameters or samples are.
    """
    stored = _read(committed)
    found = ((method, _difference(stored.get(method, ()), steps)) for method, steps in losses(params_file, samples))
    return [f"{method}: {text}" for method, text in found if text]


def write_training_losses(params_file: Path, samples: Path = SAMPLES, committed: Path = COMMITTED) -> None:
    """Writes eight digits of each loss, with one line per step."""
    methods = []
    for method, steps in losses(params_file, samples):
        rows = [json.dumps({name: float(f"{value:.8g}") for name, value in step.items()}) for step in steps]
        methods.append(f'"{method}": [\n  ' + ",\n  ".join(rows) + "\n ]")
    write_text(committed, "{\n " + ",\n ".join(methods) + "\n}\n")


def losses(params_file: Path, samples: Path) -> list[tuple[str, Steps]]:
    """Returns each method's losses, in the run of its name, as params.yaml has it for the embedded set."""
    params = read_params(params_file)
    runs = [resolve_run(params, DATASET, method)[0] for method in METHODS]
    data = data_section(params, DATASET).raw
    with tempfile.TemporaryDirectory() as folder:
        clips = {part: paths[: CLIPS[part]] for part, paths in find_clips(samples).items()}
        rows = [SplitEntry(clip_name(path, samples), part) for part in SPLITS for path in clips[part]]
        prepare(DATASET, samples, data, Path(folder), Split("few-v1", tuple(rows)))
        return [(config.method, first_steps(config, data, Path(folder))) for config in runs]


def first_steps(config: RunConfig, data: DataConfig, clips: Path) -> Steps:
    """Returns the losses of a training of `SCHEDULE`, in the steps of the training loop, each epoch from the same
    start.

    Training is chaotic: rounding that differs by 1e-16 can grow to 1e-6 in ten successive steps, and to 1e-2 in twenty.
    In five it stays below 1e-9.
    """
    from lightning_fabric import Fabric  # Here: it takes seconds.

    # The run's own model and schedule, but for what would take time or a download.
    train, model = replace(config.train, **SCHEDULE), config.model
    # VGG-19's weights are a download, so the perceptual loss compares pixels, with the sum of its weights.
    seen = replace(
        model.perceptual, backbone="pixels", file=None, sha256=None, weights=(sum(model.perceptual.weights),)
    )
    model = replace(model, perceptual=seen)
    fabric = Fabric(accelerator="cpu", devices=1, precision="64-true")
    batches = PairBatches(clips, data, train.batch, repeats=train.repeats, seed=train.seed)
    whole = BatchSlice.split(train.batch, 1)
    steps: list[dict[str, float]] = []
    for epoch in range(train.epochs):
        # Drawn in double precision too: normal numbers in single precision depend on the CPU's instructions.
        with fabric.init_module():
            torch.manual_seed(train.seed)
            method = method_module(config.method).Model(model)
        optimiser = Optimiser(method.train(), train, fabric)

        # The loop's own seeds, which go on from epoch to epoch.
        pairs = batches.epoch(epoch, 0, whole)
        for _ in range(len(batches)):
            taken = optimiser.step(pairs, whole, epoch, (train.seed << 32) + len(steps))
            steps.append({name: value.item() for name, value in taken.items()})
    return steps


def _read(path: Path) -> dict[str, Steps]:
    if not path.is_file():
        raise UserError(f"There is no {path}; write it with `tpsm check-training --write`, and commit it.")
    content = read_json(path, "file of losses")
    try:
        return {
            method: [{name: float(value) for name, value in step.items()} for step in steps]
            for method, steps in content.items()
        }
    except (ValueError, TypeError, AttributeError) as error:
        raise UserError(f"{path} holds no losses ({error}); write it with `tpsm check-training --write`.") from error


def _difference(committed: Steps, steps: Steps) -> str | None:
    """Says what the losses of the first step that differs are, beside the committed ones; None where all agree."""
    for number, (then, now) in enumerate(zip(committed, steps, strict=False)):
        if then.keys() != now.keys():
            return f"step {number} has the losses {', '.join(now)}, and the committed one {', '.join(then)}"
        moved = [name for name in now if not abs(now[name] - then[name]) <= RELATIVE * abs(then[name]) + ABSOLUTE]
        if moved:
            texts = (f"{name} is {now[name]:.8g}, and was {then[name]:.8g}" for name in moved)
            return f"the losses differ from step {number} on: {'; '.join(texts)}"
    return None if len(committed) == len(steps) else f"{len(steps)} steps, and {len(committed)} committed ones"
