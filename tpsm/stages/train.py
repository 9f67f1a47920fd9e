"""The stage train: a run's weights, trained or taken from a file."""

from __future__ import annotations

import logging
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from tpsm.checkpoints.origin import begin_with
from tpsm.checkpoints.released import read_released
from tpsm.config.params import read_run
from tpsm.core.device import rank
from tpsm.core.files import sha256_of
from tpsm.core.fingerprint import fingerprint
from tpsm.core.layout import Layout
from tpsm.core.reading import read_section
from tpsm.core.schema import from_mapping, plain
from tpsm.core.tensors import to_tensor
from tpsm.core.types import FramePair
from tpsm.data.clip import ClipFile, spread
from tpsm.data.config import DataConfig
from tpsm.data.manifest import Entry, Manifest, read_manifest
from tpsm.data.pairs import PairBatches
from tpsm.inference.preview import write_preview
from tpsm.methods import method_module
from tpsm.methods.base import Method
from tpsm.stages.import_released import released_method, write_released
from tpsm.stages.summary import write_summary
from tpsm.stages.take_published import take_run
from tpsm.training.config import TrainConfig
from tpsm.training.distributed import use_all_gpus
from tpsm.training.loop import RunInfo, fit

log = logging.getLogger(__name__)


def train_run(dataset: str, run: str, out: Path | None = None, *, fresh: bool = False) -> None:
    """Writes `models/<dataset>/<run>/{last.pt, metrics.csv, summary.json, previews/}`, or the same below `out`.

    A run that names a released checkpoint takes its weights instead, and has no curve and no previews; so does one
    whose weights are published, but it has their curve. `fresh` trains the latter all the same.
    """
    layout = Layout(dataset)
    config, began = read_run(dataset, run), time.monotonic()
    out = out or layout.model(run)
    if config.released is not None:
        if rank() == 0:
            released = read_released(config.released.unchanged(), config.method)
            write_released(config, released_method(config, released, data_config(dataset).fit))
        return
    if config.published is not None and not fresh:
        if rank() == 0:
            take_run(config, data_config(dataset), read_manifest(layout.clips), layout.clips, out)
        return
    use_all_gpus(config.train.batch, config.train.accumulate)
    torch.manual_seed(config.train.seed)
    method: Method = method_module(config.method).Model(config.model)
    if config.origin is not None:
        begin_with(method, config.method, config.origin.unchanged())
    manifest = read_manifest(layout.clips)
    sample = preview_pair(manifest)

    def preview(path: Path) -> None:
        write_preview(method, sample.to(next(method.parameters()).device), path)

    log.info("Training %s on %s -> %s", run, dataset, out)
    info = RunInfo(config.method, run, dataset, config.size, plain(asdict(config.model)), data_config(dataset).fit)
    batches, data_hash = training_batches(manifest, config.train)
    if config.origin is not None:
        data_hash = fingerprint(data_hash, sha256_of(Path(config.origin.file)))

    def summarise(folder: Path, resumed: bool) -> None:
        steps = config.train.epochs * len(batches)
        write_summary(folder, config, method, steps, began, (manifest, layout.configs / "data.yaml"), resumed)

    fit(method, batches, config.train, info, out, data_hash=data_hash, preview=preview, summarise=summarise)


def training_batches(manifest: Manifest, config: TrainConfig) -> tuple[PairBatches, str]:
    """The pairs, and a hash of what decides them."""
    dataset = manifest.dataset
    data = data_config(dataset)
    batches = PairBatches(
        Layout(dataset).clips, data, config.batch, repeats=config.repeats, seed=config.seed, workers=config.workers
    )
    return batches, fingerprint(manifest.sha256, asdict(data))


def data_config(dataset: str) -> DataConfig:
    """The resolved section of a data set."""
    return from_mapping(DataConfig, read_section(Layout(dataset), "data"), f"data.{dataset}")


def preview_pair(manifest: Manifest, count: int = 4) -> FramePair:
    """The first frame and the middle one of some test clips, spread over the split."""
    pairs = []
    for entry in spread(manifest.clips("test"), count):
        with open_clip(manifest, entry) as clip:
            pairs.append(np.stack([clip.frame(0), clip.frame(len(clip) // 2)]))
    images = np.stack(pairs, axis=1)
    return FramePair(to_tensor(images[0], torch.device("cpu")), to_tensor(images[1], torch.device("cpu")))


def open_clip(manifest: Manifest, entry: Entry) -> ClipFile:
    return ClipFile(Layout(manifest.dataset).clips / entry.file)
