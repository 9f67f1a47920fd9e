"""Measures how many clips per second the stages prepare and reconstruct get through, by the number of workers.

The tasks are the stages' own, on the same clips; what they make goes into a folder that is removed. `python -m eval
bench --workers` does the same for the stage score.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from tpsm.checkpoints.trained import CheckpointRef
from tpsm.config.params import read_data, read_run
from tpsm.core.layout import Layout, raw_folder
from tpsm.data.manifest import read_manifest
from tpsm.data.prepare import PrepareClip
from tpsm.data.raw import RawClip, clip_name, find_clips
from tpsm.inference.tasks import ReconstructClip
from tpsm.jobs.map import Workers
from tpsm.jobs.resume import ResumeCache
from tpsm.jobs.speed import Job, compare_workers


def bench(dataset: str, run: str, clips: int, workers: Sequence[Workers]) -> Iterator[str]:
    """Yields one line per stage, as `tpsm.jobs.speed.compare_workers` has them."""
    yield f"{dataset}, {run}, at most {clips} clips, {os.cpu_count()} cores; clips/s (once all workers are up)"
    yield from compare_workers({stage: partial(job, dataset, run, clips) for stage, job in JOBS.items()}, workers)


def _prepare(dataset: str, run: str, clips: int, scratch: Path) -> Job:
    config, folder = read_data(dataset), raw_folder(dataset)
    raw = [RawClip(source, "test", clip_name(source, folder)) for source in find_clips(folder)["test"][:clips]]
    return PrepareClip(config, scratch), raw


def _reconstruct(dataset: str, run: str, clips: int, scratch: Path) -> Job:
    model = CheckpointRef.at(Layout(dataset).model(run) / "last.pt", read_run(dataset, run).method)
    task = ReconstructClip(Layout(dataset).clips, model, ResumeCache(scratch, ""))
    return task, read_manifest(Layout(dataset).clips).clips("test")[:clips]


JOBS: dict[str, Callable[[str, str, int, Path], Job]] = {"prepare": _prepare, "reconstruct": _reconstruct}
