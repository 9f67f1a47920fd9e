"""Maps a task over clips: in this process, in worker processes of this machine, or on a Dask cluster.

Where a task runs decides no result. A task writes what it makes into files that appear whole and skips what is there
already, so that a clip may be begun again after a worker died.
"""

from __future__ import annotations

import re
import reprlib
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Protocol, TypeVar, runtime_checkable

from tqdm import tqdm

from tpsm.core.errors import UserError, working_on
from tpsm.core.reading import read_yaml

WORKERS = "workers.yaml"
MOST_WORKERS = 4096


@runtime_checkable
class Named(Protocol):
    """Anything with a name, by which messages call the clip."""

    @property
    def name(self) -> str: ...


Item = TypeVar("Item", bound=Named)
Result = TypeVar("Result")
Workers = int | str
"""1 is this process, a larger number so many processes of this machine, an address (tcp://host:8786) a Dask cluster."""


def map_clips(
    task: Callable[[Item], Result], items: Sequence[Item], workers: Workers = 1, desc: str = ""
) -> list[Result]:
    """Returns the results of `task` for every item, in the items' order.

    Unless `workers` is 1, the task, the items and the results are pickled: they should name files, not hold arrays.

    Raises:
        UserError: what a task raised, whichever process it ran in; or a clip's process died again and again.
    """
    results: dict[int, Result] = {}
    with tqdm(total=len(items), desc=desc, unit="clip") as bar, closing(imap_unordered(task, items, workers)) as stream:
        for index, result in stream:
            results[index] = result
            bar.update()
    return [results[index] for index in range(len(items))]


def imap_unordered(
    task: Callable[[Item], Result], items: Sequence[Item], workers: Workers
) -> Generator[tuple[int, Result], None, None]:
    """Yields each item's number and result, once, as they end. Closing the generator ends the work."""
    if isinstance(workers, str):
        from tpsm.jobs.cluster import on_cluster

        yield from on_cluster(task, items, workers)
    elif workers > 1:
        from tpsm.jobs.processes import on_processes

        yield from on_processes(task, items, workers)
    else:
        for index, item in enumerate(items):
            with working_on(f"the clip '{item.name}'"):
                result = task(item)
            yield index, result


def as_workers(value: Any, where: str) -> Workers:
    """Returns `value` of a YAML file or a command line, checked; a UserError names `where` it stands."""
    if isinstance(value, str) and re.fullmatch(r"\d{1,9}", value):
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MOST_WORKERS:
        return value
    if isinstance(value, str) and re.fullmatch(r"\w+://\S+", value):
        return value
    raise UserError(
        f"{where} is {reprlib.repr(value)}; give the number of this machine's processes, 1 to {MOST_WORKERS}, or the "
        "address of a Dask scheduler, as tcp://host:8786."
    )


def chosen_workers(option: str | None, configs: Path = Path("configs")) -> Workers:
    """Returns where a stage maps over clips: the command line's `option`, or else what `tpsm configure` resolved, or
    else this process.
    """
    if option is not None:
        return as_workers(option, "--workers")
    path = configs / WORKERS
    return as_workers(read_yaml(path).get("workers"), f"{path}: workers") if path.is_file() else 1
