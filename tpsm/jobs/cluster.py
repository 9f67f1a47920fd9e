"""Runs clips on a Dask cluster, whose workers must see this project's folder under the same path.

Dask gives the clips of a worker that died to others, and gives up on one that ended several (its setting
distributed.scheduler.allowed-failures).
"""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass
from typing import Any

from tpsm.core.errors import UserError, working_on
from tpsm.core.fingerprint import code_hash

log = logging.getLogger(__name__)
CONNECT, ARRIVE = 10, 60
"""Seconds that the scheduler may take to answer, and the first worker to arrive."""
CODE = code_hash("tpsm", "baselines", "eval")
"""The hash of the code that this process runs, taken at the import: files may change under a worker that stays up."""
_one_at_a_time = threading.Lock()


def on_cluster(task: Callable[[Any], Any], items: Sequence[Any], address: str) -> Iterator[tuple[int, Any]]:
    """Yields each item's number and result as they end; `address` is the scheduler's.

    Raises:
        UserError: `distributed` is not installed, there is no scheduler or no worker, the scheduler went away, or a
            clip ended several workers.
    """
    try:
        from distributed import Client, KilledWorker, as_completed
        from distributed.comm import CommClosedError
    except ImportError as error:
        raise UserError(
            f"workers is the address {address}, but distributed is not installed; type `pip install --editable "
            "'.[cluster]'`, or give a number of processes."
        ) from error
    try:
        client = Client(address, timeout=CONNECT, set_as_default=False)
    except (OSError, ValueError) as error:
        raise UserError(
            f"No Dask scheduler answers at {address} (workers in params.yaml, or --workers); start it with `dask "
            "scheduler`, or correct the address."
        ) from error

    # The clips wait for the first worker.
    with client:
        try:
            client.wait_for_workers(1, timeout=ARRIVE)
        except TimeoutError as error:
            raise UserError(
                f"The Dask scheduler at {address} has no workers; start some with `dask worker {address} --nthreads 1`."
            ) from error

        # The clips, in the order in which they end.
        futures = client.map(Remote(task, os.getcwd(), CODE), items, pure=False)
        number = {future.key: index for index, future in enumerate(futures)}
        ended = as_completed(futures, loop=client.loop)
        del futures  # so that a result leaves the cluster once it is here
        for future in ended:
            index = number[future.key]
            try:
                result = future.result()
            except KilledWorker as error:
                raise UserError(
                    f"The clip '{items[index].name}' ended several Dask workers; look at that clip, or give workers "
                    "more memory. Clips that were finished are kept."
                ) from error
            except (CancelledError, CommClosedError) as error:
                raise UserError(
                    f"The Dask scheduler at {address} went away; start it, and the same command again: clips that were "
                    "finished are kept."
                ) from error
            yield index, result


@dataclass(frozen=True)
class Remote:
    """Runs a task on a worker: in the project's folder, by the same code, and alone in its process."""

    task: Callable[[Any], Any]
    root: str
    code: str

    def __call__(self, item: Any) -> Any:
        with _one_at_a_time:
            try:
                os.chdir(self.root)
            except OSError as error:
                raise UserError(
                    f"The Dask worker on {socket.gethostname()} does not see {self.root} ({error.strerror}); start "
                    "workers where the project's folder has the same path."
                ) from error
            if self.code != CODE:
                raise UserError(
                    f"The Dask worker on {socket.gethostname()} has other code of tpsm than {self.root}; start it from "
                    "that folder's environment, again after each change."
                )
            with working_on(f"the clip '{item.name}'"):
                return self.task(item)
