"""Measures how many clips per second a task gets through, by the number of workers.

A task's first clips wait for processes to start and models to load: from then on the rate is what a large data set
sees.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from tpsm.jobs.map import Workers, imap_unordered
from tpsm.jobs.resume import WORK

Job = tuple[Callable[[Any], Any], Sequence[Any]]


def compare_workers(
    jobs: Mapping[str, Callable[[Path], Job]], workers: Sequence[Workers], work: Path = WORK
) -> Iterator[str]:
    """Yields a heading, then one line per job with two rates (clips per second) for each of `workers`: from start to
    end, and from when every worker had ended a clip. A job is given a folder for what it makes, which is removed again.
    """
    work.mkdir(parents=True, exist_ok=True)
    columns = [f"{count} workers" if count != 1 else "1 worker" for count in workers]
    yield f"{'':12}" + "".join(f"{column:>22}" for column in columns) + f"{'ratio':>18}"
    for name, job in jobs.items():
        speeds = []
        for count in workers:
            with tempfile.TemporaryDirectory(prefix="bench-clips-", dir=work) as scratch:
                speeds.append(clips_per_second(*job(Path(scratch)), count))
        cells = "".join(f"{whole:11.2f} ({steady:8.2f})" for whole, steady in speeds)
        ratio = "".join(
            f"{last / first:10.2f}" if first else "" for first, last in zip(speeds[0], speeds[-1], strict=True)
        )
        yield f"{name:12}{cells}{ratio}"


def clips_per_second(task: Callable[[Any], Any], items: Sequence[Any], workers: Workers) -> tuple[float, float]:
    """Returns the rate over all, and that from when as many clips had ended as there are workers.

    On a cluster, a fifth of all clips stands for the number of workers.
    """
    ended = [time.perf_counter()]
    with closing(imap_unordered(task, items, workers)) as stream:
        ended += (time.perf_counter() for _ in stream)
    first = workers if isinstance(workers, int) else len(items) // 5
    first = min(first, len(items) - 1)
    return len(items) / (ended[-1] - ended[0]), (len(items) - first) / (ended[-1] - ended[first])
