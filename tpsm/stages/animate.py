"""Runs the stages animate and animate-avd: fixed cross-identity pairs of test clips."""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import asdict

import numpy as np

from tpsm.checkpoints.trained import CheckpointRef
from tpsm.config.params import read_inference, read_run
from tpsm.core.animation import Mode, read_animate
from tpsm.core.files import csv_text, write_text
from tpsm.core.fingerprint import code_hash, outside_parts
from tpsm.core.layout import Layout
from tpsm.data.manifest import Entry, Manifest, read_manifest
from tpsm.inference.tasks import AnimatePair, Pair
from tpsm.jobs.map import Workers, map_clips
from tpsm.jobs.resume import ResumeCache, gather
from tpsm.stages.summary import write_model
from tpsm.stages.take_frames import animations

log = logging.getLogger(__name__)


def animate_run(dataset: str, run: str, modes: tuple[Mode, ...], workers: Workers = 1) -> None:
    """Animates the fixed pairs of test clips -> `outputs/<dataset>/<run>/animation/<mode>/`, with `pairs.csv`."""
    layout, config, inference = Layout(dataset), read_run(dataset, run), read_inference(dataset)
    model: CheckpointRef | None = None
    if config.frames is None:
        model = CheckpointRef.at(layout.model(run) / "last.pt", config.method)
        model.load()  # a checkpoint that does not fit is named before any pair is begun
    settings = read_animate(layout)
    manifest = read_manifest(layout.clips)
    pairs = [Pair(*pair) for pair in cross_identity_pairs(manifest, settings.pairs, settings.seed)]
    for mode in modes:
        avd = CheckpointRef.at(layout.avd(run) / "last.pt", "avd") if mode == "avd" else None
        out = layout.outputs(run) / "animation" / mode
        if config.frames is not None:
            folders, cache = animations(config, config.frames, layout, pairs, mode, workers)
        elif model is not None:
            code = code_hash("tpsm", "baselines"), outside_parts([config.method])
            decides = model.sha256, avd and avd.sha256, mode, asdict(inference)
            cache = ResumeCache.of(f"animate-{mode}", dataset, run, *decides, *code)
            task = AnimatePair(layout.clips, manifest.size, model, avd, mode, cache, inference)
            folders = map_clips(task, pairs, workers, f"{run}: animate, {mode}")
        gather(folders, out)
        rows = [(pair.name, pair.source.name, pair.driving.name) for pair in pairs if folders]
        write_text(out / "pairs.csv", csv_text([("pair", "source", "driving"), *rows]))
        write_model(out, config, [network for network in (model, avd) if network is not None], inference)
        cache.remove()


def cross_identity_pairs(manifest: Manifest, count: int, seed: int) -> list[tuple[Entry, Entry]]:
    """Returns at most `count` (source, driving) pairs of test clips of different identities, spread over clips."""
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
