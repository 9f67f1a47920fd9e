"""Arrays in .npz files: read no larger than they may be, and written a piece at a time."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np

from tpsm.data.limits import max_pixels

UNREADABLE = (OSError, ValueError, KeyError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error)
"""What `read_arrays` may raise."""
_HEADERS: dict[tuple[int, int], Callable[[IO[bytes]], tuple[tuple[int, ...], bool, np.dtype[Any]]]] = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


def read_arrays(source: Path | bytes, *names: str, most: int | None = None) -> tuple[np.ndarray, ...]:
    """The arrays of these names. Their sizes are summed up before the first is read, for a small file may declare
    terabytes. They may take `most` bytes or, by default, 16 for each pixel that a frame may have.

    Raises:
        ValueError: they are too large, or no plain arrays. (KeyError, OSError and others of `UNREADABLE`: as it says.)
    """
    most = 16 * max_pixels() if most is None else most
    with zipfile.ZipFile(io.BytesIO(source) if isinstance(source, bytes) else source) as archive:
        infos = [archive.getinfo(f"{name}.npy") for name in names]
        if (size := sum(info.file_size for info in infos)) > most + 4096 * len(infos):  # a header each
            raise ValueError(f"its arrays take {size:,} bytes, more than {most:,}")
        arrays = []
        for info in infos:
            with archive.open(info) as file:
                shape, fortran, dtype = _HEADERS[np.lib.format.read_magic(file)](file)
                wanted = int(np.prod(shape, dtype=object)) * dtype.itemsize
                if dtype.hasobject or wanted != info.file_size - file.tell():
                    raise ValueError(f"{info.filename} is no whole array of numbers")
                array = np.frombuffer(file.read(), dtype)
                arrays.append(array.reshape(shape, order="F" if fortran else "C").copy())
    return tuple(arrays)


@contextmanager
def streamed_array(
    path: Path, name: str, shape: tuple[int, ...], dtype: type, *, compressed: bool = False
) -> Iterator[Callable[[np.ndarray], None]]:
    """A function that adds a piece to the array `name` of `shape` in the new file `path`, in order. Its bytes are those
    that `np.savez` or `np.savez_compressed` writes of the whole.

    Raises:
        ValueError: at the end, the pieces are not as large as the whole.
    """
    descr, written = np.lib.format.dtype_to_descr(np.dtype(dtype)), 0
    kind = zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED
    with zipfile.ZipFile(path, "w", kind) as archive, archive.open(f"{name}.npy", "w", force_zip64=True) as file:
        np.lib.format.write_array_header_1_0(file, {"descr": descr, "fortran_order": False, "shape": shape})

        def add(piece: np.ndarray) -> None:
            nonlocal written
            written += file.write(np.ascontiguousarray(piece, dtype).tobytes())

        yield add
        if written != int(np.prod(shape, dtype=object)) * np.dtype(dtype).itemsize:
            raise ValueError(f"{written} bytes of '{name}' were given, which is no array of shape {shape}")
