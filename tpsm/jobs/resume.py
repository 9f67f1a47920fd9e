"""Keeps what an interrupted stage has finished, one folder per clip, so that the stage continues from there.

DVC removes a stage's outputs before it runs it, so finished clips wait in `.work` and move to the outputs together. A
clip's folder appears whole and is named by everything that decides what is in it, so that what was made from other
inputs or by other code is not found.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from tpsm.core.files import atomic_folder, remove_folder
from tpsm.core.fingerprint import fingerprint

WORK = Path(".work")


@dataclass(frozen=True)
class ResumeCache:
    """The finished clips of one stage; `common` is the hash of what decides all of them."""

    folder: Path
    common: str

    @classmethod
    def of(cls, stage: str, dataset: str, run: str, *decides: object, work: Path = WORK) -> ResumeCache:
        """Returns the cache of a stage; `decides`: all that every clip's result depends on, as JSON can hold it."""
        name = "@".join(quote(part, safe="") for part in (stage, dataset, run))
        return cls(work / name, fingerprint(stage, dataset, run, *decides))

    def make(self, write: Callable[[Path], None], *decides: object) -> Path:
        """Returns a clip's folder, which `write` fills unless it is there; `decides`: what its result depends on."""
        path = self.folder / fingerprint(self.common, *decides)
        if not path.is_dir():
            with atomic_folder(path) as draft:
                write(draft)
        return path

    def remove(self) -> None:
        """Removes all finished clips, also those made from other inputs; none is found half removed."""
        remove_folder(self.folder)


def gather(folders: Iterable[Path], out: Path) -> None:
    """Fills `out` with the files of all `folders` and nothing else; the folders keep theirs."""
    remove_folder(out)
    out.mkdir(parents=True)
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                _link(path, out / path.relative_to(folder))


def _link(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:  # another file system, or one that has no links
        shutil.copyfile(source, target)
