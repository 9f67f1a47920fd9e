"""Files that are either whole or absent: everything is written beside its place, then renamed into it."""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def sha256_of(path: Path) -> str:
    """Of a file's content, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`, of the same suffix, that becomes `path` when the block ends without an error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = beside(path)
    try:
        yield draft
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def write_text(path: Path, content: str) -> None:
    """UTF-8, whole or not at all."""
    with atomic(path) as draft:
        draft.write_text(content, encoding="utf-8")


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """A new folder beside `path` that becomes `path` when the block ends without an error.

    Where another process was first, its folder stays: both were made from the same.
    """
    draft = beside(path)
    draft.mkdir(parents=True)
    try:
        yield draft
        try:
            draft.rename(path)
        except OSError:  # a folder with something in it cannot be replaced
            if not path.is_dir():
                raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def beside(path: Path) -> Path:
    """A draft of `path`, of no other process on any machine: two may write the same file in one shared folder."""
    return path.with_name(f".{path.stem}.{secrets.token_hex(4)}{path.suffix}")
