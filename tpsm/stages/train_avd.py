"""The stage train-avd: the network that disentangles pose from identity."""

from __future__ import annotations

import logging
from dataclasses import asdict

import torch

from tpsm.checkpoints.checkpoint import load_method
from tpsm.checkpoints.released import read_released
from tpsm.checkpoints.trained import example_keypoints
from tpsm.config.params import read_run
from tpsm.config.sections import AvdSection
from tpsm.core.device import rank
from tpsm.core.files import sha256_of
from tpsm.core.fingerprint import fingerprint
from tpsm.core.layout import AVDS, CLIPS, CONFIGS, MODELS
from tpsm.core.reading import read_yaml
from tpsm.core.schema import build, plain
from tpsm.data.manifest import read_manifest
from tpsm.methods.avd import AVD, AvdTraining
from tpsm.stages.import_released import released_avd
from tpsm.stages.train import training_batches
from tpsm.training.distributed import use_all_gpus
from tpsm.training.loop import Identity, fit

log = logging.getLogger(__name__)


def train_avd(dataset: str, run: str) -> None:
    """Writes `avd/<dataset>/<run>/{last.pt, metrics.csv}`: the AVD network of a trained run, itself fixed.

    A run that names a released checkpoint takes the AVD network in it.
    """
    config = read_run(dataset, run)
    avd = build(AvdSection, read_yaml(CONFIGS / dataset / "avd" / f"{run}.yaml"), f"{dataset}/avd/{run}.yaml")
    if config.released is not None:
        if rank() == 0:
            released = read_released(config.released.unchanged(), config.method)
            released_avd(config, avd.model, released).save(AVDS / dataset / run / "last.pt")
        return
    use_all_gpus(avd.train.batch, avd.train.accumulate)
    path = MODELS / dataset / run / "last.pt"
    method, _ = load_method(path, config.method)
    torch.manual_seed(avd.train.seed)
    task = AvdTraining(method, AVD.like(example_keypoints(method, config.size), avd.model), avd.model)
    out = AVDS / dataset / run
    log.info("Training the AVD network of %s on %s -> %s", run, dataset, out)
    identity = Identity("avd", f"{run}, avd", dataset, config.size, plain(asdict(avd.model)))
    batches, data_hash = training_batches(read_manifest(CLIPS / dataset), avd.train)
    data_hash = fingerprint(data_hash, sha256_of(path))
    fit(task, batches, avd.train, identity, out, data_hash=data_hash)
