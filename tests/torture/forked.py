"""Runs one of the two programs in a fork of this process, which has imported them: a start costs nothing.

The parent computes nothing itself, for threads do not survive a fork.
"""

from __future__ import annotations

import gc
import os
import resource
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

HUNG = "hung"
PRELOADED = (
    *(f"tpsm.stages.{name}" for name in ("configure", "prepare", "train", "train_avd", "reconstruct", "animate")),
    *(f"eval.stages.{name}" for name in ("check", "coverage", "evaluators", "features", "score", "report", "page")),
    *("tpsm.cli.main", "tpsm.show.animate_file", "tpsm.stages.import_released", "tpsm.training.distributed"),
    *("eval.__main__", "eval.study.cli", "eval.evaluators.heatmap", "eval.evaluators.osnet", "eval.checks.compare"),
    *("lightning_fabric", "matplotlib.pyplot", "scipy.ndimage", "scipy.stats"),
)


@dataclass(frozen=True)
class Outcome:
    """`status` is an exit status, the negative number of a signal, or HUNG."""

    status: int | str
    output: str
    seconds: float


def preload() -> None:
    """Imports what the programs do."""
    from importlib import import_module

    os.environ |= {"OMP_NUM_THREADS": "1", "MPLBACKEND": "Agg"}
    for module in PRELOADED:
        import_module(module)
    gc.freeze()  # A fork need not look through what is never thrown away, and copy it.


def program(command: Sequence[str]) -> int:
    """What `command` does on the command line: `tpsm ...`, or `eval ...` for `python -m eval ...`."""
    sys.argv = [command[0], *command[1:]]
    try:
        if command[0] == "tpsm":
            from tpsm.cli.main import main

            main()
        else:
            from eval.__main__ import main as evaluate

            return evaluate(command[1:])
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def on_two_processes(command: Sequence[str]) -> Callable[[], int]:
    """`command` as torchrun starts it on two processes, of one group, without torchrun's own process."""

    def work() -> int:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "TORCHELASTIC_RUN_ID": "torture"}
        shared |= {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "GROUP_RANK": "0"}
        second = os.fork()
        rank = "1" if second == 0 else "0"
        os.environ |= {**shared, "RANK": rank, "LOCAL_RANK": rank}
        status = program(command)
        if second == 0:
            os._exit(status)
        return max(status, os.waitstatus_to_exitcode(os.waitpid(second, 0)[1]))

    return work


def fork(
    work: Callable[[], int],
    folder: Path,
    log: Path,
    *,
    before: Callable[[], None] = lambda: None,
    memory: int | None = None,
    kill_after: float | None = None,
    limit: float = 600,
) -> Outcome:
    """Runs `work` in `folder`, as a process group of its own, with at most `memory` more bytes of address space.

    After `kill_after` seconds the group is killed; `limit` makes it HUNG. Nothing of the group is left.
    """
    began = time.monotonic()
    child = os.fork()
    if child == 0:
        _in_child(work, folder, log, before, memory)
    status: int | str | None = None
    while status is None:
        ended, raw = os.waitpid(child, os.WNOHANG)
        seconds = time.monotonic() - began
        if ended:
            status = os.waitstatus_to_exitcode(raw)
        elif seconds > (limit if kill_after is None else kill_after):
            kill_group(child)
            status = HUNG if kill_after is None else -signal.SIGKILL
            os.waitpid(child, 0)
        else:
            time.sleep(0.005)
    kill_group(child)
    return Outcome(status, log.read_text(errors="replace"), time.monotonic() - began)


def kill_group(group: int) -> None:
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        return


def _in_child(work: Callable[[], int], folder: Path, log: Path, before: Callable[[], None], memory: int | None) -> None:
    """Never returns."""
    status = 99
    try:
        os.setpgid(0, 0)
        written = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(written, 1)
        os.dup2(written, 2)
        sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w", buffering=1)
        os.chdir(folder)
        if memory is not None:
            used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_AS, (used + memory, used + memory))
        before()
        status = work()
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
