"""Reads arrays from .npz files within limits of size, and writes them piece by piece."""

from __future__ import annotations

import io
import math
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
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
    try:
        _check_sizes(path, most)
        with np.load(path, allow_pickle=False) as arrays:
            yield arrays
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
