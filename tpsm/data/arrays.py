"""Reads arrays from .npz files within limits of size, and reads and writes them piece by piece."""

from __future__ import annotations

import io
import math
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np

from tpsm.core.errors import UserError
from tpsm.data.limits import max_pixels

UNREADABLE = (OSError, ValueError, KeyError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error)
"""The errors that `read_arrays` may raise."""
_HEADERS: dict[tuple[int, int], Callable[[IO[bytes]], tuple[tuple[int, ...], bool, np.dtype[Any]]]] = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


def read_arrays(data: bytes, *names: str, most: int | None = None) -> tuple[np.ndarray, ...]:
    """Returns the arrays of these names from the bytes of an .npz file.

    All sizes are summed up before the first is read, because a small file may declare terabytes. The arrays may take
    `most` bytes or, by default, 16 for each pixel that a frame may have.

    Raises:
        ValueError: the arrays are too large, or no plain arrays; other errors of `UNREADABLE` for a damaged file.
    """
    _check_sizes(io.BytesIO(data), most)
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        return tuple(arrays[name] for name in names)


@contextmanager
def opened_arrays(path: Path, remedy: str, most: int | None = None) -> Iterator[Mapping[str, np.ndarray]]:
    """Gives the arrays of a file that a stage wrote, each read when it is asked for; `read_arrays` has the limits.

    Raises:
        UserError: the file is missing or damaged, or lacks what the block asks for; the message ends with `remedy`.
    """
    with _damage_named(path, remedy):
        _check_sizes(path, most)
        with np.load(path, allow_pickle=False) as arrays:
            yield arrays


class ArrayReader:
    """Reads the array `name` of an .npz file piece by piece, in order, so that one piece is in memory at a time.

    `shape` is that of the whole array. `read_arrays` has the limits.

    Raises:
        UserError: the file is missing or damaged, or lacks the array, when it is opened or when a piece is read; or the
            array has another shape. The message ends with `remedy`.
    """

    def __init__(self, path: Path, name: str, shape: tuple[int, ...], remedy: str, most: int | None = None) -> None:
        self._path, self._remedy = path, remedy
        with _damage_named(path, remedy), ExitStack() as opened:
            _check_sizes(path, most)
            self._file = opened.enter_context(opened.enter_context(zipfile.ZipFile(path)).open(f"{name}.npy"))
            self.shape, in_columns, self.dtype = _HEADERS[np.lib.format.read_magic(self._file)](self._file)
            if in_columns:
                raise ValueError(f"'{name}' is stored column by column")
            if self.shape != shape:
                raise UserError(f"{path} holds an array '{name}' of shape {self.shape}, not {shape}; {remedy}.")
            self._opened = opened.pop_all()

    def take(self, count: int) -> np.ndarray:
        """Returns the next `count` entries of the first axis, as far as there are so many."""
        size = math.prod(self.shape[1:]) * self.dtype.itemsize
        with _damage_named(self._path, self._remedy):
            data = self._file.read(count * size)
            return np.frombuffer(data, self.dtype).reshape(-1, *self.shape[1:])

    def close(self) -> None:
        """Closes the file."""
        self._opened.close()


@contextmanager
def _damage_named(path: Path, remedy: str) -> Iterator[None]:
    try:
        yield
    except UNREADABLE as error:
        raise UserError(f"{path} is damaged ({error}); {remedy}.") from error


def _check_sizes(file: Any, most: int | None) -> None:
    """Raises ValueError where the arrays together take more than `most` bytes, a header each apart, or where one is
    none of plain numbers or is not as long as it says."""
    most = 16 * max_pixels() if most is None else most
    with zipfile.ZipFile(file) as archive:
        infos = archive.infolist()
        if (size := sum(info.file_size for info in infos)) > most + 4096 * len(infos):
            raise ValueError(f"its arrays take {size:,} bytes, more than {most:,}")
        for info in infos:
            with archive.open(info) as member:
                shape, _, dtype = _HEADERS[np.lib.format.read_magic(member)](member)
                if dtype.hasobject or math.prod(shape) * dtype.itemsize != info.file_size - member.tell():
                    raise ValueError(f"{info.filename} is no whole array of numbers")


@contextmanager
def streamed_array(
    path: Path, name: str, shape: tuple[int, ...], dtype: type, *, compressed: bool = False
) -> Iterator[Callable[[np.ndarray], None]]:
    """Gives a function that adds pieces, in order, to the array `name` of `shape` in the new file `path`.

    The file's bytes are those that `np.savez` or `np.savez_compressed` writes of the whole array.

    Raises:
        ValueError: at the end, the pieces together are not as large as the array.
    """
    descr, written = np.lib.format.dtype_to_descr(np.dtype(dtype)), 0
    kind = zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED
    with zipfile.ZipFile(path, "w", kind) as archive, archive.open(f"{name}.npy", "w", force_zip64=True) as file:
        np.lib.format.write_array_header_1_0(file, {"descr": descr, "fortran_order": False, "shape": shape})

        def add(piece: np.ndarray) -> None:
            nonlocal written
            written += file.write(np.ascontiguousarray(piece, dtype).tobytes())

        yield add
        if written != math.prod(shape) * np.dtype(dtype).itemsize:
            raise ValueError(f"{written} bytes of '{name}' were given, which is no array of shape {shape}")
