"""Keeps the ledger of what became of every row: a CSV that only grows, with no line cut short."""

from __future__ import annotations

import fcntl
import io
import os
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO

from tpsm.core.errors import UserError
from tpsm.core.files import csv_text
from tpsm.core.reading import csv_rows
from tpsm.data.config import SPLITS


class Outcome(StrEnum):
    """Says why a row has no clip; `ok` where it has one."""

    ok = "ok"
    gone = "gone"  # there is no such video any more
    private = "private"  # its owner lets few people see it
    refused = "refused"  # the server did not give it: a limit, a region, an age, a broken network
    short = "short"  # it ends before the row's range does
    undecodable = "undecodable"
    duplicate = "duplicate"  # an earlier row has the same name


@dataclass(frozen=True)
class Key:
    """Names a row: its clip's split and name, and which of the rows of that name it is, from 1."""

    split: str
    clip: str
    copy: int = 1


@dataclass(frozen=True)
class Line:
    """What became of a row, and the video that its clip is from, where that is known."""

    key: Key
    video: str
    outcome: Outcome


_COLUMNS = ("split", "clip", "copy", "video", "outcome", "detail")


class Ledger:
    """Holds the last outcome of each row."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self.path = path
        self._file = file
        self._lock = threading.Lock()
        self._outcomes: dict[Key, Outcome] = {}
        file.seek(0)
        content = file.read()
        file.truncate(content.rfind(b"\n") + 1)  # a line that was being written when the machine stopped
        self._outcomes |= {line.key: line.outcome for line in _parse(path, content)}
        if b"\n" not in content:
            self._append(_COLUMNS)

    def __contains__(self, key: Key) -> bool:
        return key in self._outcomes

    def __getitem__(self, key: Key) -> Outcome:
        return self._outcomes[key]

    def keys(self) -> list[Key]:
        """Returns all rows that have an outcome."""
        return list(self._outcomes)

    def record(self, key: Key, video: str, outcome: Outcome, detail: str = "") -> None:
        """Adds a line, which is on disk when this returns. Many threads may call it."""
        with self._lock:
            self._append((key.split, key.clip, key.copy, video, outcome.value, " ".join(detail.split())))
            self._outcomes[key] = outcome

    def _append(self, values: Iterable[object]) -> None:
        self._file.write(csv_text([values]).encode())
        self._file.flush()
        os.fsync(self._file.fileno())

    def summary(self, keys: Iterable[Key]) -> str:
        """Returns a table of these rows: the outcomes by split, and how many have none."""
        keys = list(keys)
        splits = [split for split in (*SPLITS, "") if any(key.split == split for key in keys)]
        counts = Counter((self._outcomes.get(key), key.split) for key in keys)
        table = [["", *(split or "clips" for split in splits)]]
        for outcome in (*Outcome, None):
            if any(numbers := [counts[outcome, split] for split in splits]):
                table.append([outcome.value if outcome else "no outcome yet", *(f"{n:,}" for n in numbers)])
        table.append(["rows", *(f"{sum(key.split == split for key in keys):,}" for split in splits)])
        return "\n".join(f"{head:<15}" + "".join(f"{cell:>9}" for cell in cells) for head, *cells in table)


def read_ledger(path: Path) -> list[Line]:
    """Returns the last line of each row, while another process may be writing; nothing where there is no ledger.

    Raises:
        UserError: the file is no ledger.
    """
    lines = _parse(path, path.read_bytes()) if path.is_file() else []
    return list({line.key: line for line in lines}.values())


def _parse(path: Path, content: bytes) -> list[Line]:
    """Returns every whole line; the last may have been cut short when the machine stopped."""
    whole = content[: content.rfind(b"\n") + 1]
    if not whole:
        return []
    try:
        lines = csv_rows(io.StringIO(whole.decode(), newline=""), _COLUMNS, "it")  # U+2028 ends no line
        return [
            Line(Key(line["split"], line["clip"], int(line["copy"])), line["video"], Outcome(line["outcome"]))
            for line in lines
        ]
    except (ValueError, UserError) as error:
        raise UserError(f"{path} is no ledger of outcomes ({error}); move it away to begin anew.") from error


@contextmanager
def opened(path: Path) -> Iterator[Ledger]:
    """Gives the ledger at `path`, made where there is none, for this process alone.

    Raises:
        UserError: another process has it open, or it is no ledger.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"Another process is writing {path}; wait until it ends, or end it.") from None
        yield Ledger(path, file)


def refuse_strangers(folder: Path) -> None:
    """Raises UserError where `folder` holds clips but no ledger: they are somebody's own."""
    if not (folder / "ledger.csv").exists() and any((folder / split).exists() for split in SPLITS):
        raise UserError(f"{folder} holds clips but no ledger.csv, so not by this command; move them away first.")
