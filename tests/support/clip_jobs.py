"""Tasks for tests of mapping over clips; in a module of their own, for other processes import them by name."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from tpsm.core.errors import UserError


@dataclass(frozen=True)
class Item:
    name: str


class Unspeakable(Exception):
    """Does not survive pickling: it needs two arguments and keeps one."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(first)


@dataclass(frozen=True)
class Log:
    """Notes in `folder` that an item begins, then does what its name says; returns the name and the process."""

    folder: Path
    seconds: float = 0

    def __call__(self, item: Item) -> tuple[str, int]:
        begun = self.begun(item.name)
        with (self.folder / item.name).open("a") as log:
            log.write(f"{os.getpid()}\n")
        time.sleep(self.seconds)
        if item.name == "poison" or (item.name == "dies-once" and not begun):
            os.kill(os.getpid(), signal.SIGKILL)
        if item.name == "refused":
            raise UserError("The clip is no good; remove it.")
        if item.name == "bug":
            raise KeyError("no such key")
        if item.name == "unspeakable":
            raise Unspeakable("one", "two")
        return item.name, os.getpid()

    def begun(self, name: str) -> list[int]:
        """The processes that began it, in order."""
        log = self.folder / name
        return [int(line) for line in log.read_text().split()] if log.is_file() else []


def items(*names: str) -> list[Item]:
    return [Item(name) for name in names]
