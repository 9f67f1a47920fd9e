"""Counts a process's file operations and kills its process group before one of them; the harness puts this folder on
PYTHONPATH, or calls `count_operations` in a process that it forked. The product reads none of it."""

from __future__ import annotations

import os
import signal
import sys

OPERATIONS = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.truncate")
COUNTER, KILL_AT = "TORTURE_COUNTER", "TORTURE_KILL_AT"


def count_operations(counter: str, kill_at: int) -> None:
    """The counter is a file, a byte an operation, so that all processes of a group count together. 0 kills nobody."""
    file = os.open(counter, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    inside = os.path.dirname(counter)

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        if event in OPERATIONS or (event == "open" and writes(*arguments)):
            path = arguments[0]
            if isinstance(path, (str, os.PathLike)) and os.path.abspath(path).startswith(inside):
                os.write(file, b".")
                if 0 < kill_at <= os.fstat(file).st_size:
                    os.killpg(0, signal.SIGKILL)

    sys.addaudithook(hook)


def writes(path: object, mode: object, flags: object) -> bool:
    return isinstance(flags, int) and bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))


if COUNTER in os.environ:
    count_operations(os.environ[COUNTER], int(os.environ[KILL_AT]))
