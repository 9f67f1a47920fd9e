"""How many clips a second the stages that map over clips get through, by the number of workers.

The tasks are the stages' own, on the same clips; what they make goes to a folder that is removed. A stage's first
clips wait for processes to start and models to load: from then on the rate is what a large data set sees.
"""

from __future__ import annotations

import importlib
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from tpsm.checkpoints.trained import Trained
from tpsm.config.params import raw_folder, read_run, read_yaml
from tpsm.core.schema import build
from tpsm.data.clip import read_manifest
from tpsm.data.prepare import DataConfig, PrepareClip, RawClip, clip_name, find_clips
from tpsm.inference.tasks import ReconstructClip
from tpsm.jobs.map import Workers, finished
from tpsm.jobs.resume import WORK, Units
from tpsm.stages.train import CLIPS, CONFIGS, MODELS

Job = tuple[Callable[[Any], Any], Sequence[Any]]


def bench(dataset: str, run: str, clips: int, workers: Sequence[Workers]) -> Iterator[str]:
    """A line a stage: clips/s from start to end, and once every worker has ended a clip, with each of `workers`."""
    WORK.mkdir(exist_ok=True)
    yield f"{dataset}, {run}, at most {clips} clips, {os.cpu_count()} cores; clips/s (once all workers are up)"
    columns = [f"{count} workers" if count != 1 else "1 worker" for count in workers]
    yield f"{'':12}" + "".join(f"{column:>22}" for column in columns) + f"{'ratio':>18}"
    for stage, job in JOBS.items():
        speeds = []
        for count in workers:
            with tempfile.TemporaryDirectory(prefix="bench-clips-", dir=WORK) as scratch:
                speeds.append(clips_per_second(*job(dataset, run, clips, Path(scratch)), count))
        cells = "".join(f"{whole:11.2f} ({steady:8.2f})" for whole, steady in speeds)
        ratio = "".join(
            f"{last / first:10.2f}" if first else "" for first, last in zip(speeds[0], speeds[-1], strict=True)
        )
        yield f"{stage:12}{cells}{ratio}"


def clips_per_second(task: Callable[[Any], Any], items: Sequence[Any], workers: Workers) -> tuple[float, float]:
    """Over all, and from when as many clips had ended as there are workers (of a cluster, a fifth of all clips)."""
    ended = [time.perf_counter()]
    with closing(finished(task, items, workers)) as stream:
        ended += (time.perf_counter() for _ in stream)
    first = workers if isinstance(workers, int) else len(items) // 5
    first = min(first, len(items) - 1)
    return len(items) / (ended[-1] - ended[0]), (len(items) - first) / (ended[-1] - ended[first])


def _prepare(dataset: str, run: str, clips: int, scratch: Path) -> Job:
    config = build(DataConfig, read_yaml(CONFIGS / dataset / "data.yaml"), f"data.{dataset}")
    folder = raw_folder(dataset)
    raw = [RawClip(source, "test", clip_name(source, folder)) for source in find_clips(folder)["test"][:clips]]
    return PrepareClip(config, scratch), raw


def _reconstruct(dataset: str, run: str, clips: int, scratch: Path) -> Job:
    model = Trained.at(MODELS / dataset / run / "last.pt", read_run(dataset, run).method)
    task = ReconstructClip(CLIPS / dataset, model, Units(scratch, ""))
    return task, read_manifest(CLIPS / dataset).clips("test")[:clips]


def _score(dataset: str, run: str, clips: int, scratch: Path) -> Job:
    layout = importlib.import_module("tpsm.core.layout").Layout(dataset)  # tpsm imports eval nowhere, but by this name
    task, due = importlib.import_module("eval.stages.score").score_job(layout, run, scratch)
    return task, due[:clips]


JOBS: dict[str, Callable[[str, str, int, Path], Job]] = {
    "prepare": _prepare,
    "reconstruct": _reconstruct,
    "score": _score,
}
