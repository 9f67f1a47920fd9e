"""Runs the stage train-avd: the network that disentangles pose from identity is trained, or taken from a file."""

from __future__ import annotations

import logging
from dataclasses import asdict
from pathlib import Path

import torch

from tpsm.checkpoints.checkpoint import load_method
from tpsm.checkpoints.released import read_released
from tpsm.checkpoints.trained import example_keypoints
from tpsm.config.params import read_run
from tpsm.config.sections import AvdRun
from tpsm.core.device import rank
from tpsm.core.files import sha256_of
from tpsm.core.fingerprint import fingerprint
from tpsm.core.layout import Layout
from tpsm.core.reading import read_yaml
from tpsm.core.schema import from_mapping, plain
from tpsm.data.manifest import read_manifest
from tpsm.methods.avd import AVD, AvdTraining
from tpsm.stages.import_released import released_avd
from tpsm.stages.take_published import take_avd
from tpsm.stages.train import training_batches
from tpsm.training.distributed import use_all_gpus
from tpsm.training.loop import RunInfo, fit

log = logging.getLogger(__name__)


def train_avd(
    dataset: str, run: str, out: Path | None = None, method_folder: Path | None = None, *, fresh: bool = False
) -> None:
    """Writes `avd/<dataset>/<run>/{last.pt, metrics.csv}`, or the same below `out`: the AVD network of a trained run.

    The run stays as it is; its weights are read from `method_folder` where that is named. A run that names a released
    checkpoint takes the AVD network in it, and one whose weights are published takes the published network; `fresh`
    trains the latter all the same.
    """
    # A network out of a file.
    layout = Layout(dataset)
    config, avd = read_run(dataset, run), read_avd(dataset, run)
    out = out or layout.avd(run)
    if config.released is not None:
        if rank() == 0:
            released = read_released(config.released.unchanged(), config.method)
            released_avd(config, avd.model, released).save(out / "last.pt")
        return
    if avd.published is not None and not fresh:
        if rank() == 0:
            take_avd(config, avd, read_manifest(layout.clips), layout.clips, out)
        return

    # The trained method, and a network for its keypoints.
    use_all_gpus(avd.train.batch, avd.train.accumulate)
    path = (method_folder or layout.model(run)) / "last.pt"
    method, _ = load_method(path, config.method)
    torch.manual_seed(avd.train.seed)
    task = AvdTraining(method, AVD.like(example_keypoints(method, config.size), avd.model), avd.model)
    log.info("Training the AVD network of %s on %s -> %s", run, dataset, out)
    info = RunInfo("avd", f"{run}, avd", dataset, config.size, plain(asdict(avd.model)))
    batches, data_hash = training_batches(read_manifest(layout.clips), avd.train)
    data_hash = fingerprint(data_hash, sha256_of(path))
    fit(task, batches, avd.train, info, out, data_hash=data_hash)


def read_avd(dataset: str, run: str) -> AvdRun:
    """Reads the resolved section of a run's AVD network."""
    return from_mapping(AvdRun, read_yaml(Layout(dataset).configs / "avd" / f"{run}.yaml"), f"{dataset}/avd/{run}.yaml")
