"""Arrays from elsewhere are no larger than they may be, and a piece at a time makes the bytes that the whole makes."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from tpsm.core.errors import UserError
from tpsm.data.arrays import ArrayReader, opened_arrays, read_arrays, streamed_array


@pytest.mark.parametrize("compressed", [False, True])
def test_pieces_make_the_bytes_that_numpy_makes_of_the_whole(tmp_path: Path, compressed: bool) -> None:
    whole = np.random.default_rng(0).normal(size=(37, 5, 7)).astype(np.float16)
    (np.savez_compressed if compressed else np.savez)(tmp_path / "whole.npz", grid=whole)
    with streamed_array(tmp_path / "pieces.npz", "grid", whole.shape, np.float16, compressed=compressed) as add:
        for start in range(0, 37, 4):
            add(whole[start : start + 4])
    assert (tmp_path / "pieces.npz").read_bytes() == (tmp_path / "whole.npz").read_bytes()
    with (
        pytest.raises(ValueError, match="no array of shape"),
        streamed_array(tmp_path / "short.npz", "grid", whole.shape, np.float16) as add,
    ):
        add(whole[:4])


@pytest.mark.parametrize("compressed", [False, True])
def test_an_array_is_read_in_pieces(tmp_path: Path, compressed: bool) -> None:
    whole = np.random.default_rng(0).normal(size=(37, 5, 7)).astype(np.float16)
    (np.savez_compressed if compressed else np.savez)(tmp_path / "whole.npz", grid=whole, other=whole[:2])
    reader = ArrayReader(tmp_path / "whole.npz", "grid", whole.shape, "make it again")
    assert (reader.shape, reader.dtype) == (whole.shape, whole.dtype)
    found = [reader.take(count) for count in (1, 10, 20, 10)]
    reader.close()
    assert [len(piece) for piece in found] == [1, 10, 20, 6], "the last is as long as there is something left"
    np.testing.assert_array_equal(np.concatenate(found), whole)


def test_damage_is_told_when_a_piece_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, grid=np.zeros((64, 100)), columns=np.asfortranarray(np.ones((3, 4))))
    for name, shape in (("elsewhere", (1,)), ("columns", (3, 4))):
        with pytest.raises(UserError, match=r"a\.npz is damaged .*; make it again\."):
            ArrayReader(path, name, shape, "make it again")
    with pytest.raises(UserError, match=r"a\.npz holds .* 'grid' of shape \(64, 100\), not \(9,\); make it again"):
        ArrayReader(path, "grid", (9,), "make it again")
    data = bytearray(path.read_bytes())
    data[30_000] ^= 1  # within the array
    path.write_bytes(data)
    reader = ArrayReader(path, "grid", (64, 100), "make it again")
    with pytest.raises(UserError, match=r"a\.npz is damaged .*; make it again\."):
        reader.take(64)
        reader.take(1)  # the checksum is compared at the end


def npz(header: str, content: bytes) -> bytes:
    """One array 'a' whose header is `header`."""
    packed, buffer = header.encode().ljust(117) + b"\n", io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", b"\x93NUMPY\x01\x00" + len(packed).to_bytes(2, "little") + packed + content)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (npz("{'descr': '<f8', 'fortran_order': False, 'shape': (1000000, 1000000)}", b""), "no whole array"),
        (npz("{'descr': '|u1', 'fortran_order': False, 'shape': (50000000,)}", bytes(50_000_000)), "more than"),
        (npz("{'descr': '|O', 'fortran_order': False, 'shape': (1,)}", bytes(8)), "array"),
        (npz("{'descr': '|u1', 'fortran_order': False, 'shape': (-1,)}", b""), "array"),
        (b"PK", "zip"),
    ],
    ids=["declares terabytes", "unpacks to 50 MB", "objects", "a negative side", "no archive"],
)
def test_what_declares_too_much_is_refused_before_it_is_read(tmp_path: Path, data: bytes, match: str) -> None:
    path = tmp_path / "a.npz"
    path.write_bytes(data)
    assert len(data) < 60_000
    with pytest.raises((ValueError, zipfile.BadZipFile), match=match):
        read_arrays(data, "a", most=10_000_000)
    with (
        pytest.raises(UserError, match=r"a\.npz is damaged .*; make it again\."),
        opened_arrays(path, "make it again", most=10_000_000) as arrays,
    ):
        arrays["a"]
    with pytest.raises(UserError, match=r"a\.npz is damaged .*; make it again\."):
        ArrayReader(path, "a", (1,), "make it again", most=10_000_000)


def test_an_array_that_is_not_there_is_told(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", b=np.arange(3))
    with opened_arrays(tmp_path / "a.npz", "make it again") as arrays:
        np.testing.assert_array_equal(arrays["b"], np.arange(3))
    with pytest.raises(UserError, match="make it again"), opened_arrays(tmp_path / "a.npz", "make it again") as arrays:
        arrays["a"]
