"""Runs the stages train, reconstruct and animate of a run that has its frames from a folder."""

from __future__ import annotations

import logging
from pathlib import Path

from tpsm.checkpoints.checkpoint import Checkpoint
from tpsm.checkpoints.frames_folder import FramesFolder
from tpsm.config.sections import RunConfig
from tpsm.core.fingerprint import code_hash
from tpsm.core.layout import Layout
from tpsm.data.manifest import read_manifest
from tpsm.inference.from_folder import TakeClip, TakePair, find_frames
from tpsm.inference.tasks import Pair
from tpsm.jobs.map import Workers, map_clips
from tpsm.jobs.resume import ResumeCache

log = logging.getLogger(__name__)


def take_frames(config: RunConfig, frames: FramesFolder, layout: Layout) -> None:
    """Writes `models/<dataset>/<run>/last.pt`, which holds nothing but the folder's hash: later stages depend on it.

    Raises:
        UserError: a test clip has no frames in the folder.
    """
    manifest = read_manifest(layout.clips)
    find_frames(frames.unchanged() / "reconstruction", [entry.name for entry in manifest.clips("test")])
    about = {"folder": frames.sha256}
    place = (config.method, config.run, config.dataset, config.size)
    Checkpoint(*place, about, weights={}, epoch=0, step=0).save(layout.model(config.run) / "last.pt")
    log.info("%s has a reconstruction of every test clip.", frames.folder)


def reconstructions(
    config: RunConfig, frames: FramesFolder, layout: Layout, workers: Workers
) -> tuple[list[Path], ResumeCache]:
    """Returns a folder for each test clip, of its frames and their errors, and the cache that holds them."""
    manifest = read_manifest(layout.clips)
    entries = manifest.clips("test")
    files = find_frames(frames.unchanged() / "reconstruction", [entry.name for entry in entries])
    cache = _cache("reconstruct", config, frames)
    task = TakeClip(layout.clips, files, manifest.size, cache)
    return map_clips(task, entries, workers, f"{config.run}: reconstruct"), cache


def animations(
    config: RunConfig, frames: FramesFolder, layout: Layout, pairs: list[Pair], mode: str, workers: Workers
) -> tuple[list[Path], ResumeCache]:
    """Returns a folder of frames for each pair, and the cache that holds them; none where the run has no animations in
    this mode."""
    manifest, folder = read_manifest(layout.clips), frames.unchanged() / "animation" / mode
    cache = _cache(f"animate-{mode}", config, frames)
    if not folder.is_dir():
        log.warning("%s has no folder animation/%s: the run's cells say n/a in this mode.", frames.folder, mode)
        return [], cache
    task = TakePair(find_frames(folder, [pair.name for pair in pairs]), manifest.size, cache)
    return map_clips(task, pairs, workers, f"{config.run}: animate, {mode}"), cache


def _cache(stage: str, config: RunConfig, frames: FramesFolder) -> ResumeCache:
    return ResumeCache.of(stage, config.dataset, config.run, frames.sha256, code_hash("tpsm"))
