"""The pipeline's stages that need a model: each reads files, composes the rest of the package, and writes files."""

from __future__ import annotations

import logging
import time
from collections import Counter
from dataclasses import asdict, replace
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from jaxtyping import UInt8
from tqdm import tqdm

from tpsm.checkpoints.checkpoint import Checkpoint, load_method
from tpsm.checkpoints.released import Released, ReleasedCheckpoint, read_released, skeleton
from tpsm.checkpoints.trained import Trained, example_keypoints, load_avd
from tpsm.config.params import AnimateConfig, AvdSection, RunConfig, plain, read_run, read_yaml
from tpsm.core.errors import UserError
from tpsm.core.files import atomic, sha256_of
from tpsm.core.schema import build
from tpsm.core.types import FramePair
from tpsm.data.clip import ClipFile, Entry, Manifest, read_manifest
from tpsm.data.pairs import PairBatches
from tpsm.data.prepare import DataConfig, fit_to_size
from tpsm.data.video import check_writable, iter_video, kind_of, write_video
from tpsm.inference.generate import Mode, animate, to_tensor
from tpsm.inference.intermediates import write_insides
from tpsm.inference.preview import write_preview
from tpsm.inference.tasks import L1, OUTPUT, AnimatePair, Pair, ReconstructClip
from tpsm.jobs.map import Workers, map_clips
from tpsm.jobs.resume import Units, code_hash, gather
from tpsm.methods.avd import AVD, AvdConfig, AvdTraining
from tpsm.methods.base import Method, method_module
from tpsm.stages.summary import write_model, write_summary
from tpsm.training.distributed import device, rank, use_all_gpus
from tpsm.training.loop import Identity, TrainConfig, fingerprint, fit, work_folder

log = logging.getLogger(__name__)
CLIPS, MODELS, AVDS, OUTPUTS, CONFIGS = (Path(p) for p in ("data/clips", "models", "avd", "outputs", "configs"))


def train_run(dataset: str, run: str) -> None:
    """Writes `models/<dataset>/<run>/{last.pt, metrics.csv, summary.json, previews/}`.

    A run that names a released checkpoint takes its weights instead, and has no curve and no previews.
    """
    config, began = read_run(dataset, run), time.monotonic()
    if config.released is not None:
        if rank() == 0:
            released = read_released(config.released.unchanged(), config.method)
            write_released(config, released_method(config, released, data_config(dataset).fit))
        return
    use_all_gpus(config.train.batch, config.train.accumulate)
    torch.manual_seed(config.train.seed)
    method: Method = method_module(config.method).Model(config.model)
    manifest = read_manifest(CLIPS / dataset)
    sample = preview_pair(manifest)

    def preview(path: Path) -> None:
        write_preview(method, sample.to(next(method.parameters()).device), path)

    out = MODELS / dataset / run
    log.info("Training %s on %s -> %s", run, dataset, out)
    identity = Identity(config.method, run, dataset, config.size, plain(asdict(config.model)), data_config(dataset).fit)
    batches, data_hash = training_batches(manifest, config.train)
    resumed = (work_folder(Path(".work"), config.train, identity, data_hash) / "state.pt").is_file()
    fit(method, batches, config.train, identity, out, data_hash=data_hash, preview=preview)
    if rank() == 0:
        steps = config.train.epochs * len(batches)
        write_summary(out, config, method, steps, began, (manifest, CONFIGS / dataset / "data.yaml"), resumed)


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


def import_file(file: Path, config: RunConfig, avd: AvdConfig, fit: str = "crop") -> None:
    """A released checkpoint as the run that `config` describes: what `train_run` and `train_avd` would write. `fit` is
    the data set's.

    Raises:
        UserError: an entry does not fit the configuration, or the run was trained already; then nothing is written.
    """
    folders = [top / config.dataset / config.run for top in (MODELS, AVDS)]
    for folder in folders:
        if (folder / "metrics.csv").is_file():
            raise UserError(f"{folder} holds a run trained here; remove it first, or import as another run.")
    released = read_released(file, config.method)
    method = released_method(config, released, fit)
    network = None if released.avd is None else released_avd(config, avd, released)
    write_released(replace(config, released=Released.at(str(file))), method)
    if network is None:
        log.info("%s holds no AVD network, so the run cannot animate in the mode avd.", file)
        (folders[1] / "last.pt").unlink(missing_ok=True)  # of an earlier import, and of another detector
    else:
        network.save(folders[1] / "last.pt")
        log.info("%s: its AVD network -> %s", file, folders[1])


def released_method(config: RunConfig, released: ReleasedCheckpoint, fit: str) -> Checkpoint:
    weights = released.method(config.method, config.model).state_dict()
    model = plain(asdict(config.model))
    return Checkpoint(config.method, config.run, config.dataset, config.size, model, weights, epoch=0, step=0, fit=fit)


def released_avd(config: RunConfig, avd: AvdConfig, released: ReleasedCheckpoint) -> Checkpoint:
    method = skeleton(config.method, config.model)
    network = released.avd_network(example_keypoints(method, config.size), avd)
    weights = AvdTraining(method, network, avd).state_dict()
    name, model = f"{config.run}, avd", plain(asdict(avd))
    return Checkpoint("avd", name, config.dataset, config.size, model, weights, epoch=0, step=0)


def write_released(config: RunConfig, checkpoint: Checkpoint) -> None:
    assert config.released is not None
    out, began = MODELS / config.dataset / config.run, time.monotonic()
    checkpoint.save(out / "last.pt")
    write_summary(out, config, skeleton(config.method, config.model), None, began)
    log.info("%s -> %s", config.released.file, out)


def training_batches(manifest: Manifest, config: TrainConfig) -> tuple[PairBatches, str]:
    """The pairs, and a hash of what decides them."""
    dataset = manifest.dataset
    data = data_config(dataset)
    batches = PairBatches(
        CLIPS / dataset, data, config.batch, repeats=config.repeats, seed=config.seed, workers=config.workers
    )
    return batches, fingerprint(manifest.sha256, asdict(data))


def data_config(dataset: str) -> DataConfig:
    """The resolved section of a data set."""
    return build(DataConfig, read_yaml(CONFIGS / dataset / "data.yaml"), f"data.{dataset}")


def preview_pair(manifest: Manifest, count: int = 4) -> FramePair:
    """The first frame and the middle one of some test clips, spread over the split."""
    entries = manifest.clips("test")
    chosen = [entries[i] for i in np.linspace(0, len(entries) - 1, min(count, len(entries))).astype(int)]
    pairs = []
    for entry in chosen:
        with open_clip(manifest, entry) as clip:
            pairs.append(np.stack([clip.frame(0), clip.frame(len(clip) // 2)]))
    images = np.stack(pairs, axis=1)
    return FramePair(to_tensor(images[0], torch.device("cpu")), to_tensor(images[1], torch.device("cpu")))


def open_clip(manifest: Manifest, entry: Entry) -> ClipFile:
    return ClipFile(CLIPS / manifest.dataset / entry.file)


def reconstruct_run(dataset: str, run: str, workers: Workers = 1) -> None:
    """Every test clip from its first frame -> `outputs/<dataset>/<run>/reconstruction/`.

    There: the predicted clips, `l1.parquet` (clip, frame, l1 on floats), `model.json` (what made them),
    `rounded_up/<clip>.npz` (a bit a value: where truncating instead of rounding gives one less), `insides/<clip>.npz`
    of a few clips and, where there is a true motion to compare it with, `motion/<clip>.npz` (half precision: good to
    0.02 pixels in 64).
    """
    model = Trained.at(MODELS / dataset / run / "last.pt", read_run(dataset, run).method)
    model.load()  # a checkpoint that does not fit is named before any clip is begun
    out = OUTPUTS / dataset / run / "reconstruction"
    manifest = read_manifest(CLIPS / dataset)
    units = Units.of("reconstruct", dataset, run, model.sha256, code_hash("tpsm", "baselines"))
    entries = manifest.clips("test")
    made = map_clips(ReconstructClip(CLIPS / dataset, model, units), entries, workers, f"{run}: reconstruct")
    gather([unit / OUTPUT for unit in made], out)
    errors = []
    for entry, unit in zip(entries, made, strict=True):
        l1 = np.load(unit / L1)
        errors.append(pd.DataFrame({"clip": entry.name, "frame": np.arange(len(l1)), "l1": l1}))
    write_insides(model.load(), CLIPS / dataset, out / "insides")
    with atomic(out / "l1.parquet") as draft:
        pd.concat(errors, ignore_index=True).to_parquet(draft)
    write_model(out, read_run(dataset, run), [model])
    units.remove()


def animate_run(dataset: str, run: str, modes: tuple[Mode, ...], workers: Workers = 1) -> None:
    """The fixed cross-identity pairs of test clips -> `outputs/<dataset>/<run>/animation/<mode>/`, with `pairs.csv`."""
    model = Trained.at(MODELS / dataset / run / "last.pt", read_run(dataset, run).method)
    model.load()
    settings = build(AnimateConfig, read_yaml(CONFIGS / dataset / "animate.yaml"), "animate")
    manifest = read_manifest(CLIPS / dataset)
    pairs = [Pair(*pair) for pair in cross_identity_pairs(manifest, settings.pairs, settings.seed)]
    for mode in modes:
        avd = Trained.at(AVDS / dataset / run / "last.pt", "avd") if mode == "avd" else None
        out = OUTPUTS / dataset / run / "animation" / mode
        decides = [model.sha256, avd and avd.sha256, mode, code_hash("tpsm", "baselines")]
        units = Units.of(f"animate-{mode}", dataset, run, *decides)
        task = AnimatePair(CLIPS / dataset, manifest.size, model, avd, mode, units)
        gather(map_clips(task, pairs, workers, f"{run}: animate, {mode}"), out)
        with atomic(out / "pairs.csv") as draft:
            rows = [(pair.name, pair.source.name, pair.driving.name) for pair in pairs]
            pd.DataFrame(rows, columns=["pair", "source", "driving"]).to_csv(draft, index=False)
        write_model(out, read_run(dataset, run), [model] if avd is None else [model, avd])
        units.remove()


def cross_identity_pairs(manifest: Manifest, count: int, seed: int) -> list[tuple[Entry, Entry]]:
    """At most `count` (source, driving) pairs of test clips of different identities, spread evenly over the sources."""
    clips = sorted(manifest.clips("test"), key=lambda entry: entry.name)
    rng = np.random.default_rng([seed, 0xA71])
    candidates = [(a, b) for a in clips for b in clips if a.identity != b.identity]
    if not candidates:
        log.warning(
            "The test split of %s has a single identity: nothing to animate across identities.", manifest.dataset
        )
    candidates = [candidates[i] for i in rng.permutation(len(candidates))]
    used: Counter[str] = Counter()
    chosen = []
    for _ in range(min(count, len(candidates))):
        pair = min(candidates, key=lambda c: used[c[0].name] + used[c[1].name])
        candidates.remove(pair)
        chosen.append(pair)
        used.update(entry.name for entry in pair)
    return chosen


def animate_file(
    source: Path, driving: Path, run: str, mode: Mode, out: Path, dataset: str | None, source_frame: int | None = None
) -> int:
    """One picture moved by one video, both of any size and format; returns the number of frames written.

    Frames become squares of the size that the run was trained at, cropped or stretched as in training. What was taken
    of `source` and `driving` is told: `tpsm.data.readers.kind_of` says when a picture is a strip of frames.
    """
    check_writable(out)
    folder = trained_folder(run, dataset)
    method, checkpoint = load_method(folder / "last.pt")
    method.to(device())
    avd = load_avd(AVDS / folder.relative_to(MODELS) / "last.pt", method, checkpoint.size) if mode == "avd" else None

    still = fit_to_size(read_still(source, source_frame), checkpoint.size, checkpoint.fit)
    video, fps = iter_video(driving, strips=False)
    log.info("Driving: the %s %s, at %.4g frames per second.", kind_of(driving, strips=False), driving, fps)

    poses = (
        fit_to_size(frame, checkpoint.size, checkpoint.fit)
        for frame in tqdm(video, desc=f"{run}: animate, {mode}", unit="frame")
    )
    return write_video(out, animate(method, still, poses, mode, avd), fps)


def read_still(path: Path, number: int | None = None) -> UInt8[np.ndarray, "h w 3"]:
    """A picture, or the frame `number` of a video or strip (the first without it). Where a number is given, a picture
    is a strip.

    Raises:
        UserError: unreadable, or there are not so many frames.
    """
    kind = kind_of(path, strips=number is not None)
    frames, _ = iter_video(path, strips=kind == "strip")
    frame = next(islice(frames, number or 0, None), None)
    if frame is None:
        raise UserError(f"The {kind} {path} has no frame {number}, counted from 0; correct --source-frame.")
    height, width = frame.shape[:2]
    place = "the picture" if kind == "picture" else f"frame {number or 0} of the {kind}"
    log.info("Source: %s %s, %d x %d pixels.", place, path, width, height)
    return frame


def trained_folder(run: str, dataset: str | None) -> Path:
    """`models/<dataset>/<run>`; the data set must be named only where the run was trained on several."""
    found = sorted(path.parent for path in MODELS.glob(f"{dataset or '*'}/{run}/last.pt"))
    if not found:
        trained = sorted(path.parent.relative_to(MODELS).as_posix() for path in MODELS.glob("*/*/last.pt"))
        known = (
            f"trained below this folder are {', '.join(trained)}"
            if trained
            else "`dvc repro` trains those of params.yaml"
        )
        raise UserError(f"No run '{run}' has been trained{f' on {dataset}' if dataset else ''}; {known}.")
    if len(found) > 1:
        names = ", ".join(path.parent.name for path in found)
        raise UserError(f"The run '{run}' was trained on {names}; choose one with --dataset.")
    return found[0]
