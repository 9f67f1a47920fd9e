"""Runs the stage train: a run's weights are trained, or taken from a file."""

from __future__ import annotations

import logging
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from tpsm.checkpoints.origin import begin_with
from tpsm.checkpoints.released import read_released
from tpsm.config.params import read_data, read_run
from tpsm.core.device import rank
from tpsm.core.files import sha256_of
from tpsm.core.fingerprint import fingerprint
from tpsm.core.layout import Layout
from tpsm.core.schema import plain
from tpsm.core.tensors import to_tensor
from tpsm.core.types import FramePair
from tpsm.data.clip import ClipFile, spread
from tpsm.data.manifest import Manifest, read_manifest
from tpsm.data.pairs import PairBatches
from tpsm.inference.preview import write_preview
from tpsm.methods import method_module
from tpsm.methods.base import Method
from tpsm.stages.import_released import released_method, write_released
from tpsm.stages.summary import write_summary
from tpsm.stages.take_frames import take_frames
from tpsm.stages.take_published import take_run
from tpsm.training.config import TrainConfig
from tpsm.training.distributed import use_all_gpus
from tpsm.training.loop import RunInfo, fit

log = logging.getLogger(__name__)


def train_run(dataset: str, run: str, out: Path | None = None, *, fresh: bool = False) -> None:
    """Writes `models/<dataset>/<run>/{last.pt, metrics.csv, summary.json, previews/}`, or the same below `out`.

    Of a run whose frames come from a folder, it checks the folder.
    A run that names a released checkpoint takes its weights instead, and has no curve and no previews. One whose
    weights are published takes these, and has their curve; `fresh` trains it all the same.
    """
    # Weights out of a file.
    layout = Layout(dataset)
    config, data, began = read_run(dataset, run), read_data(dataset), time.monotonic()
    out = out or layout.model(run)
    if config.frames is not None:
        take_frames(config, config.frames, layout)
        return
    if config.released is not None:
        if rank() == 0:
            released = read_released(config.released.unchanged(), config.method)
            write_released(config, released_method(config, released, data.fit))
        return
    if config.published is not None and not fresh:
        if rank() == 0:
            take_run(config, data, read_manifest(layout.clips), layout.clips, out)
        return

    # The method, drawn from the seed or begun with other weights.
    use_all_gpus(config.train.batch, config.train.accumulate)
    torch.manual_seed(config.train.seed)
    method: Method = method_module(config.method).Model(config.model)
    if config.origin is not None:
        begin_with(method, config.method, config.origin.unchanged())

    # The pairs, and what is made on the way and at the end.
    manifest = read_manifest(layout.clips)
    sample = preview_pair(manifest)

    def preview(path: Path) -> None:
        write_preview(method, sample.to(next(method.parameters()).device), path)

    log.info("Training %s on %s -> %s", run, dataset, out)
    info = RunInfo(config.method, run, dataset, config.size, plain(asdict(config.model)), data.fit, config.source)
    batches, data_hash = training_batches(manifest, config.train)
    if config.origin is not None:
        data_hash = fingerprint(data_hash, sha256_of(Path(config.origin.file)))

    def summarise(folder: Path, resumed: bool) -> None:
        steps = config.train.epochs * len(batches)
        write_summary(folder, config, method, steps, began, (manifest, layout.configs / "data.yaml"), resumed)

    fit(method, batches, config.train, info, out, data_hash=data_hash, preview=preview, summarise=summarise)


def training_batches(manifest: Manifest, config: TrainConfig) -> tuple[PairBatches, str]:
    """Returns the pairs of a training, and a hash of what decides them."""
    dataset = manifest.dataset
    data = read_data(dataset)
    batches = PairBatches(
        Layout(dataset).clips, data, config.batch, repeats=config.repeats, seed=config.seed, workers=config.workers
    )
    return batches, fingerprint(manifest.sha256, asdict(data))


def preview_pair(manifest: Manifest) -> FramePair:
    """Returns the first frame and the middle one of four test clips, spread over the split."""
    pairs = []
    for entry in spread(manifest.clips("test"), 4):
        with ClipFile(Layout(manifest.dataset).clips / entry.file) as clip:
            pairs.append(np.stack([clip.frame(0), clip.frame(len(clip) // 2)]))
    images = np.stack(pairs, axis=1)
    return FramePair(to_tensor(images[0], torch.device("cpu")), to_tensor(images[1], torch.device("cpu")))
