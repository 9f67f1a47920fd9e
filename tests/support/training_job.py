"""What torchrun starts in `test_distributed.py`: `training_job.py FOLDER SCENARIO` trains as the scenario says.

Each process keeps its own output folder, so that a test sees who wrote.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from small_methods import CONFIGS

from tpsm.core.device import rank
from tpsm.core.errors import UserError
from tpsm.core.rng import BatchSlice
from tpsm.core.types import FramePair
from tpsm.data.config import AugmentConfig, DataConfig
from tpsm.data.pairs import PairBatches
from tpsm.methods import method_module
from tpsm.training import distributed as parallel
from tpsm.training.config import TrainConfig
from tpsm.training.loop import RunInfo, fit

CONFIG = TrainConfig(epochs=2, repeats=4, batch=4, learning_rate=1e-3, milestones=(1,), checkpoint_every=3)
# What each scenario changes of `CONFIG`.
SCENARIOS: dict[str, dict[str, Any]] = {
    "fomm": {},  # its batch statistics are synchronised as released
    "tps-double": {"sync_batch_norm": True},
    "mraa-double": {"sync_batch_norm": True},
    "tps-as-released": {},
    "fomm-compiled": {"compile": True},
    "fomm-channels-last": {"channels_last": True},
    "killed": {},
    "stopped": {},
    "fomm-odd": {"batch": 5},  # one process has a sample more
}


class Recorded:
    """Batches that note which pictures they gave, by their sums."""

    def __init__(self, batches: PairBatches, path: Path) -> None:
        self._batches, self._path = batches, path

    def __len__(self) -> int:
        return len(self._batches)

    def epoch(self, epoch: int, first: int, parts: Sequence[BatchSlice]) -> Iterator[FramePair]:
        for pair in self._batches.epoch(epoch, first, parts):
            with self._path.open("a") as file:
                for source, driving in zip(pair.source, pair.driving, strict=True):
                    print(f"{source.double().sum():.9f} {driving.double().sum():.9f}", file=file)
            yield pair


def main(folder: Path, scenario: str) -> None:
    torch.manual_seed(0)
    name = "tps" if scenario in ("killed", "stopped") else scenario.split("-")[0]
    # An epoch without the background's motion, and one with it: a part of the model then joins in.
    config = replace(CONFIGS["tps"], background_start=1) if name == "tps" else CONFIGS[name]
    if scenario.endswith("double"):  # so that what differs is a mistake, and not noise that training amplifies
        parallel.PRECISIONS["fp32"] = "64-true"
    task = method_module(name).Model(config)
    steps = 0

    def interrupt(*arguments: object) -> None:
        """In the second process alone, and in the first run alone, in the midst of the sixth step."""
        nonlocal steps
        steps += 1
        if steps == 6 and rank() == 1 and not list(folder.glob("work/*/state.pt.seen")):
            next(folder.glob("work/*/state.pt")).with_suffix(".pt.seen").touch()
            os.kill(os.getpid(), signal.SIGKILL if scenario == "killed" else signal.SIGTERM)

    if scenario in ("killed", "stopped"):
        task.register_forward_pre_hook(interrupt)
    train = replace(CONFIG, **SCENARIOS[scenario])
    data = DataConfig(size=32, identity_sampling=False, augment=AugmentConfig())
    batches = Recorded(
        PairBatches(folder / "clips", data, train.batch, repeats=train.repeats), folder / f"pairs-{rank()}.txt"
    )
    info = RunInfo(name, "run", "set", 32, {})
    fit(task, batches, train, info, folder / f"out-{rank()}", data_hash="", work=folder / "work")


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]), sys.argv[2])
    except UserError as error:
        print(f"tpsm: {error}", file=sys.stderr)
        sys.exit(2)
