"""What a hostile input is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Case:
    """`spoil` puts the input into a project's folder; `command` meets it, and must refuse it unless it `may_pass`."""

    name: str
    command: tuple[str, ...]
    spoil: Callable[[Path], object]
    may_pass: bool = False

    def leaves(self, name: str) -> bool:
        """Whether a new file is what a stage may leave that comes upon the input in the midst of its work."""
        return name.split("/")[-1].endswith((".lock", ".log")) or self.command[1] in ("prepare", "score", "reconstruct")


def nothing(folder: Path) -> None:
    """For what stands on the command line alone."""
