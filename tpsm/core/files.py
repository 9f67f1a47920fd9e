"""Writes files that are either whole or absent: each is written beside its place, then renamed into it.

A draft has the same name every time, so that what a killed process left of one is taken over by the next that writes
the same file: no draft stays behind for good. While it is written it is locked, as `locked` locks; the system ends a
dead process's locks.
"""

from __future__ import annotations

import csv
import fcntl
import hashlib
import io
import json
import os
import platform
import secrets
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tpsm.core.errors import UserError


def sha256_of(path: Path) -> str:
    """Returns the SHA-256 of a file's content, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_if_there(path: Path) -> str | None:
    """Does the same as `sha256_of`, but returns None where there is no such file."""
    return sha256_of(path) if path.is_file() else None


def sha256_of_bytes(content: bytes) -> str:
    """Returns the SHA-256 of `content`, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Makes an empty file beside `path`, of the same suffix, that becomes `path` when the block ends well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with _draft(path, folder=False) as draft:
        yield draft
        os.replace(draft, path)


def write_text(path: Path, content: str) -> None:
    """Writes a text file in UTF-8, whole or not at all."""
    with atomic(path) as draft:
        draft.write_text(content, encoding="utf-8")


def write_json(path: Path, content: Any, **style: Any) -> None:
    """Writes a JSON file in UTF-8, whole or not at all; `style` is as in `to_json`."""
    write_text(path, to_json(content, **style))


def to_json(content: Any, **style: Any) -> str:
    """Returns a JSON file's text; `style` is passed to `json.dumps`, with an indent of 1 by default."""
    return json.dumps(content, **{"indent": 1, **style}) + "\n"


def csv_text(rows: Iterable[Iterable[object]]) -> str:
    """Returns a CSV file's text, with one line per row."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def write_bytes(path: Path, content: bytes) -> None:
    """Writes a binary file, whole or not at all."""
    with atomic(path) as draft:
        draft.write_bytes(content)


@contextmanager
def atomic_folder(path: Path, *, replace: bool = False) -> Iterator[Path]:
    """Makes a folder beside `path` that becomes `path` when the block ends without an error.

    A folder that is there already stays, because both were made from the same inputs. With `replace` the new one takes
    its place; for a moment there may then be neither.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with _draft(path, folder=True) as draft:
        yield draft
        if replace:
            remove_folder(path)
        try:
            draft.rename(path)
        except OSError:  # a folder with something in it cannot be replaced
            if not path.is_dir():
                raise
            shutil.rmtree(draft)


def remove_folder(path: Path) -> None:
    """Removes a folder with all that is in it. It is renamed first, so that it is always either whole or gone.

    Of a link to a folder, the link alone goes: what lies elsewhere is not this program's.
    """
    doomed = path.with_name(f".{path.name}.removed")
    _remove(doomed)  # where a killed process was at it
    if path.exists() or path.is_symlink():
        path.rename(doomed)
        _remove(doomed)


def _beside(path: Path) -> Path:
    """Returns a path for a draft of `path` that no other process uses, on any machine that shares the folder."""
    return path.with_name(f".{path.stem}.{secrets.token_hex(4)}{path.suffix}")


@contextmanager
def locked(path: Path, work: str) -> Iterator[None]:
    """Holds the lock file `path` within the block, in the name of this process.

    Raises:
        UserError: another living process holds it; the message names that process, and says what it does (`work`).
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+", encoding="utf-8") as file:
        if not _lock(file.fileno()):
            file.seek(0)
            holder = " ".join(file.read(200).split()) or "another process"
            raise UserError(
                f"{work} is already under way in {holder}: wait until that has ended, or end it, and try again."
            )
        file.truncate(0)
        file.write(f"process {os.getpid()} on {platform.node()}\n")
        file.flush()
        try:
            yield
        finally:
            fcntl.flock(file, fcntl.LOCK_UN)  # for child processes too, which have a copy of it


@contextmanager
def _draft(path: Path, *, folder: bool) -> Iterator[Path]:
    """An empty draft of `path` that no other living process writes; it is removed where the block fails."""
    draft = path.with_name(f".{path.stem}.draft{path.suffix}")
    lock = _claim(draft, folder)
    if lock is None:  # Another process writes the same at this moment.
        draft = _beside(path)
        draft.mkdir() if folder else draft.touch()
    try:
        yield draft
    except BaseException:
        if folder:
            shutil.rmtree(draft, ignore_errors=True)
        else:
            draft.unlink(missing_ok=True)
        raise
    finally:
        if lock is not None:
            os.close(lock)


def _claim(draft: Path, folder: bool) -> int | None:
    """Makes `draft` anew, or takes over what a dead process left of it, as an open file that holds its lock.

    None where another process holds it, or where it cannot be locked.
    """
    while True:
        try:
            if folder:
                draft.mkdir(exist_ok=True)
                file = os.open(draft, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            else:
                file = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
        except FileNotFoundError:
            if not draft.parent.is_dir():
                raise
            continue  # The other process has renamed it in this moment.
        except OSError:  # Something else stands there.
            return None
        if not _lock(file):
            os.close(file)
            return None
        # Whoever had the lock before may have renamed this very file into its place.
        with suppress(FileNotFoundError):
            if os.path.samestat(os.stat(draft, follow_symlinks=False), os.fstat(file)):
                _empty(draft, file, folder)
                return file
        os.close(file)


def _empty(draft: Path, file: int, folder: bool) -> None:
    if not folder:
        os.truncate(file, 0)
        return
    for child in draft.iterdir():
        _remove(child)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _lock(file: int) -> bool:
    """Whether this process now holds the lock of an open file. Where the file system has no locks, it does not."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
