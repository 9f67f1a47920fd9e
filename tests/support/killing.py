"""Ends a test's work before any one of its file operations, as a kill would."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }


class Killed(BaseException):
    """What ends a process in the midst of its work."""


class Killer:
    """Kills before the n-th time that a file is written, renamed or removed; nothing that follows has any effect."""

    WRITES = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.truncate", "shutil.rmtree")

    def __init__(self) -> None:
        self.inside, self.left, self.count = Path("/nowhere"), -1, 0
        sys.addaudithook(self)

    def __call__(self, event: str, arguments: tuple[object, ...]) -> None:
        if self.left < 0 or not (event in self.WRITES or (event == "open" and self.writes(*arguments))):
            return
        here = any(str(argument).startswith(str(self.inside)) for argument in arguments)
        # Trees are removed by names alone, below an open folder.
        if not here and not (event in ("os.remove", "os.rmdir") and not os.path.isabs(str(arguments[0]))):
            return
        self.count += 1
        if self.count > self.left:
            raise Killed

    @staticmethod
    def writes(path: object, mode: object, flags: object) -> bool:
        return isinstance(flags, int) and bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))

    @contextmanager
    def after(self, operations: int, inside: Path) -> Iterator[None]:
        self.inside, self.left, self.count = inside, operations, 0
        try:
            yield
        finally:
            self.left = -1


KILLER = Killer()
