"""Reads the files in an archive one after another: a zip, a tar, the parts of either, or a folder."""

from __future__ import annotations

import bisect
import io
import itertools
import os
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any, BinaryIO

from tpsm.data.video import natural


@dataclass(frozen=True)
class Member:
    """A file in an archive: its name there, its size, and whether it is a plain file."""

    name: str
    size: int
    plain: bool = True


@contextmanager
def members_of(files: Sequence[Path]) -> Iterator[Iterator[tuple[Member, Callable[[], IO[bytes]]]]]:
    """Gives the files in an archive, one after another; each can be opened only until the next is asked for."""
    if files[0].is_dir():
        yield _walk(files[0])
        return
    with ExitStack() as stack:
        parts = [stack.enter_context(file.open("rb")) for file in files]
        stream = stack.enter_context(io.BufferedReader(_Joined(parts), 1 << 20))
        if stream.peek(2)[:2] == b"PK":
            yield _zipped(stack.enter_context(zipfile.ZipFile(stream)))
        else:
            yield _tarred(stack.enter_context(tarfile.open(fileobj=stream, mode="r|*")))


def _walk(folder: Path) -> Iterator[tuple[Member, Callable[[], IO[bytes]]]]:
    for path in sorted(folder.rglob("*"), key=lambda path: [natural(Path(part)) for part in path.parts]):
        if path.is_file():
            yield Member(path.relative_to(folder).as_posix(), path.stat().st_size), partial(io.FileIO, path)


def _zipped(archive: zipfile.ZipFile) -> Iterator[tuple[Member, Callable[[], IO[bytes]]]]:
    for info in archive.infolist():
        kind = stat.S_IFMT(info.external_attr >> 16)
        if not info.is_dir():
            yield Member(info.filename, info.file_size, kind in (0, stat.S_IFREG)), partial(archive.open, info)


def _tarred(archive: tarfile.TarFile) -> Iterator[tuple[Member, Callable[[], IO[bytes]]]]:
    while info := archive.next():
        if not info.isdir():
            yield Member(info.name, info.size, info.isfile()), partial(_member, archive, info)
        archive.members = []  # type: ignore[attr-defined]  # there may be millions


def _member(archive: tarfile.TarFile, info: tarfile.TarInfo) -> io.BufferedReader:
    stream = archive.extractfile(info)
    if not isinstance(stream, io.BufferedReader):
        raise tarfile.ReadError(f"{info.name} is no file")
    return stream


class _Joined(io.RawIOBase):
    """Reads several files as one."""

    def __init__(self, files: Sequence[BinaryIO]) -> None:
        self._files = files
        self._starts = [0, *itertools.accumulate(os.fstat(file.fileno()).st_size for file in files)]
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._starts[-1]}[whence]
        return self._at

    def readinto(self, buffer: Any) -> int:
        index = bisect.bisect_right(self._starts, self._at) - 1
        if index >= len(self._files):
            return 0
        self._files[index].seek(self._at - self._starts[index])
        count = self._files[index].readinto(buffer)  # type: ignore[attr-defined]
        self._at += count
        return count
