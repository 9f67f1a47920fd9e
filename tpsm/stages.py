"""The pipeline's stages that need a model: each reads files, composes the rest of the package, and writes files."""

from __future__ import annotations

import json
import logging
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn
from tqdm import tqdm

from tpsm.avd import AVD, AvdTraining
from tpsm.checkpoint import Checkpoint, load_checkpoint, load_method, load_weights
from tpsm.config import AnimateConfig, RunConfig, plain, read_run, read_yaml
from tpsm.data.clipfile import ClipFile, Manifest, read_manifest, write_clip
from tpsm.data.pairs import PairBatches
from tpsm.data.prepare import DataConfig
from tpsm.errors import UserError
from tpsm.files import atomic
from tpsm.infer import Mode, animate, reconstruct
from tpsm.method import Method, method_module
from tpsm.preview import write_preview
from tpsm.strict import build
from tpsm.train import Identity, TrainConfig, fingerprint, fit
from tpsm.types import Clip, FramePair

log = logging.getLogger(__name__)
CLIPS, MODELS, AVDS, OUTPUTS, CONFIGS = (Path(p) for p in ("data/clips", "models", "avd", "outputs", "configs"))


def device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def train_run(dataset: str, run: str) -> None:
    """Writes `models/<dataset>/<run>/{last.pt, metrics.csv, summary.json, previews/}`."""
    config = read_run(dataset, run)
    torch.manual_seed(config.train.seed)
    method: Method = method_module(config.method).Model(config.model)
    batches, manifest = training_batches(dataset, config.train)
    sample = preview_pair(manifest, CLIPS / dataset)

    def preview(path: Path) -> None:
        write_preview(method, sample.to(next(method.parameters()).device), path)

    out = MODELS / dataset / run
    log.info("Training %s on %s: %s parameters -> %s", run, dataset, f"{parameters(method):,}", out)
    fit(method, batches, config.train, identity_of(config, asdict(config.model)), out,
        data_hash=data_hash(manifest, dataset), preview=preview)  # fmt: skip
    write_summary(out, config, method, len(batches))


def train_avd(dataset: str, run: str) -> None:
    """Writes `avd/<dataset>/<run>/{last.pt, metrics.csv}`: the AVD network of a trained run, whose detector is kept fixed."""
    config = read_run(dataset, run)
    path = MODELS / dataset / run / "last.pt"
    method, _ = load_method(path, config.method)
    torch.manual_seed(config.avd.train.seed)
    task = AvdTraining(AVD(config.avd.model, example_keypoints(method, config.size)), method)
    batches, manifest = training_batches(dataset, config.avd.train)
    out = AVDS / dataset / run
    log.info("Training the AVD network of %s on %s -> %s", run, dataset, out)
    identity = identity_of(config, asdict(config.avd.model), "avd")
    fit(task, batches, config.avd.train, identity, out, data_hash=fingerprint(data_hash(manifest, dataset), file_hash(path)))


def reconstruct_run(dataset: str, run: str) -> None:
    """Every test clip from its first frame -> `outputs/<dataset>/<run>/reconstruction/`: the predicted clips, `l1.parquet`
    (clip, frame, l1 on floats) and `motion/<clip>.npz`."""
    method, _ = load_method(MODELS / dataset / run / "last.pt", read_run(dataset, run).method)
    method.to(device())
    out = OUTPUTS / dataset / run / "reconstruction"
    errors = []
    for entry in tqdm(read_manifest(CLIPS / dataset).clips("test"), desc=f"{run}: reconstruct", unit="clip"):
        with ClipFile(CLIPS / dataset / "test" / f"{entry.name}.zip") as clip:
            result = reconstruct(method, clip)
            write_clip(out, Clip(clip.name, clip.identity, result.frames, clip.fps))
        with atomic(out / "motion" / f"{entry.name}.npz") as draft:
            np.savez(draft, grid=result.motion)
        errors.append(pd.DataFrame({"clip": entry.name, "frame": np.arange(len(result.l1)), "l1": result.l1}))
    with atomic(out / "l1.parquet") as draft:
        pd.concat(errors, ignore_index=True).to_parquet(draft)


def animate_run(dataset: str, run: str, modes: tuple[Mode, ...]) -> None:
    """The fixed cross-identity pairs of the test clips -> `outputs/<dataset>/<run>/animation/<mode>/`, with `pairs.csv`."""
    method, _ = load_method(MODELS / dataset / run / "last.pt", read_run(dataset, run).method)
    method.to(device())
    settings = build(AnimateConfig, read_yaml(CONFIGS / dataset / "animate.yaml"), "animate")
    manifest = read_manifest(CLIPS / dataset)
    pairs = cross_identity_pairs(manifest, settings.pairs, settings.seed)
    test = CLIPS / dataset / "test"
    for mode in modes:
        avd = load_avd(dataset, run, method) if mode == "avd" else None
        out = OUTPUTS / dataset / run / "animation" / mode
        for source, driving in tqdm(pairs, desc=f"{run}: animate, {mode}", unit="clip"):
            with ClipFile(test / f"{source}.zip") as still, ClipFile(test / f"{driving}.zip") as moving:
                poses = (moving.frame(i) for i in range(len(moving)))
                frames = np.stack(list(animate(method, still.frame(0), poses, mode, avd)))
                write_clip(out, Clip(f"{source}--{driving}", still.identity, frames, moving.fps))
        with atomic(out / "pairs.csv") as draft:
            rows = [(f"{source}--{driving}", source, driving) for source, driving in pairs]
            pd.DataFrame(rows, columns=["pair", "source", "driving"]).to_csv(draft, index=False)


def cross_identity_pairs(manifest: Manifest, count: int, seed: int) -> list[tuple[str, str]]:
    """At most `count` (source, driving) pairs of test clips of different identities, spread evenly over the sources."""
    clips = sorted(manifest.clips("test"), key=lambda entry: entry.name)
    rng = np.random.default_rng([seed, 0xA71])
    candidates = [(a.name, b.name) for a in clips for b in clips if a.identity != b.identity]
    if not candidates:
        raise UserError(f"The test split of '{manifest.dataset}' has a single identity: nothing can be animated across "
                        "identities; name clips 'identity#rest', or leave animate.runs empty.")  # fmt: skip
    rng.shuffle(candidates)
    used: dict[str, int] = {}
    chosen = []
    for _ in range(min(count, len(candidates))):
        pair = min(candidates, key=lambda c: used.get(c[0], 0) + used.get(c[1], 0))
        candidates.remove(pair)
        chosen.append(pair)
        for name in pair:
            used[name] = used.get(name, 0) + 1
    return chosen


def load_avd(dataset: str, run: str, method: Method) -> AVD:
    path = AVDS / dataset / run / "last.pt"
    checkpoint = load_checkpoint(path)
    if checkpoint.method != "avd":
        raise UserError(f"{path} holds a checkpoint of method '{checkpoint.method}', not an AVD network.")
    config = read_run(dataset, run)
    avd = AVD(config.avd.model, example_keypoints(method, config.size))
    load_weights(avd, avd_weights(checkpoint), path)
    return avd.to(device()).eval().requires_grad_(False)


def avd_weights(checkpoint: Checkpoint) -> Checkpoint:
    """The AVD network's own entries: the training task's file also holds the detector that it was trained with."""
    weights = {k.removeprefix("avd."): v for k, v in checkpoint.weights.items() if k.startswith("avd.")}
    return Checkpoint(**{**vars(checkpoint), "weights": weights})
