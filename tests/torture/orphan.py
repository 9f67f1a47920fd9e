"""DVC alone is killed while a run trains: the training goes on, and the next `make repro` must say so."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import psutil
from pipeline import LOG, REPRO, environment

TRAIN, LOCK = "train@drawn-tps", ".work/drawn@tps.lock"
PATIENCE = 600
"""Seconds."""


def refusal(folder: Path, shared: Path, again: Callable[[], int | str]) -> str | None:
    """Kills DVC, and what started it, in the project `folder` as soon as the run trains, then does what `again` does,
    and waits until the training has ended. What was wrong with what the second command said, if anything.

    The training stands still until then, so that the second command comes upon it.
    """
    log = shared / LOG
    with (folder / ".dvc/output").open("w") as output:
        first = subprocess.Popen(
            [*REPRO, TRAIN], cwd=folder, env=environment(shared, folder), stdout=output, stderr=output, process_group=0
        )
    training = _wait(lambda: _holder(folder / LOCK))
    os.kill(training, signal.SIGSTOP)
    for process in (first.pid, *_children(first.pid)):
        os.kill(process, signal.SIGKILL)
    first.wait()
    before = log.stat().st_size
    status = again()
    said = log.read_bytes()[before:].decode(errors="replace")
    os.kill(training, signal.SIGCONT)
    _wait(lambda: _is_dead(training))
    if status == 0 or f"already under way in process {training} " not in said:
        return f"the next run ends with {status} and says: {said[-300:]}"
    return None


def _holder(lock: Path) -> int | None:
    found = re.match(r"process (\d+) ", lock.read_text()) if lock.exists() else None
    return int(found[1]) if found else None


def _is_dead(process: int) -> bool:
    try:
        return psutil.Process(process).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def _children(process: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def _wait(until: Callable[[], int | bool | None]) -> int:
    end = time.monotonic() + PATIENCE
    while not (found := until()):
        if time.monotonic() > end:
            raise SystemExit("The training that DVC starts does not begin, or does not end.")
        time.sleep(0.01)
    return int(found)
