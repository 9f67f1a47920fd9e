"""Reads and writes named splits: which clips of a data set are for training and which for testing, for good.

`splits/<data set>/<name>.csv` begins with the hash of what follows. One row per clip has its name, `train` or `test`,
and the hash of its prepared frames, if that is known. A changed split is another one, with the next number in its name.
"""

from __future__ import annotations

import hashlib
import io
import re
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from tpsm.core.errors import UserError
from tpsm.core.files import csv_text, write_text
from tpsm.core.fingerprint import sha256_of_text
from tpsm.core.reading import csv_rows, read_text
from tpsm.data.clip import ClipFile
from tpsm.data.manifest import Manifest

FOLDER = Path("splits")
COLUMNS = ("clip", "split", "sha256")
_NAME = re.compile(r"[A-Za-z0-9][\w.-]*-v[1-9]\d*")
_HEAD = "# sha256 "


@dataclass(frozen=True)
class SplitEntry:
    """A clip of a split; `sha256` is that of its prepared frames, or empty."""

    clip: str
    split: str
    sha256: str = ""


@dataclass(frozen=True)
class Split:
    """A named split."""

    name: str
    rows: tuple[SplitEntry, ...]

    @property
    def sha256(self) -> str:
        """The hash of the rows."""
        return sha256_of_text(_table(self.rows))

    def clips(self, split: str) -> tuple[str, ...]:
        """Returns the names of the clips of `train` or `test`."""
        return tuple(row.clip for row in self.rows if row.split == split)


@dataclass(frozen=True)
class SplitConfig:
    """The split that a data set's stages take, and its hash; both None where the folders train/ and test/ decide."""

    name: str | None = None
    sha256: str | None = None

    def read(self, dataset: str, root: Path = Path()) -> Split | None:
        """Reads the split. Raises UserError where the file is not the one that `tpsm configure` saw."""
        if self.name is None:
            return None
        split = read_split(dataset, self.name, root)
        if split.sha256 != self.sha256:
            raise UserError(
                f"{split_path(dataset, self.name, root)} has changed since `tpsm configure`; type that again."
            )
        return split


def split_path(dataset: str, name: str, root: Path = Path()) -> Path:
    """Returns the file of a split. Raises UserError where the name has no version."""
    if not _NAME.fullmatch(name):
        raise UserError(f"A split is named like protocol-v1, with a version at its end, not {name!r}.")
    return root / FOLDER / dataset / f"{name}.csv"


def read_split(dataset: str, name: str, root: Path = Path()) -> Split:
    """Reads the split as it was published.

    Raises:
        UserError: the file is missing, unreadable, contradicts itself, or was changed.
    """
    path = split_path(dataset, name, root)
    if not path.is_file():
        there = sorted(other.stem for other in path.parent.glob("*.csv"))
        raise UserError(f"There is no split {path}; choose one that is there ({', '.join(there) or 'none yet'}).")
    head, _, table = read_text(path, "split").partition("\n")
    if not head.startswith(_HEAD):
        raise UserError(f"{path} does not begin with '{_HEAD}...'; make it by `tpsm split make`.")
    lines = csv_rows(io.StringIO(table, newline=""), COLUMNS, str(path))
    split = Split(name, tuple(SplitEntry(*(line[column] for column in COLUMNS)) for line in lines))
    if odd := [row.clip for row in split.rows if row.split not in ("train", "test")]:
        raise UserError(f"{path} has {odd[0]} neither in train nor in test; make it by `tpsm split make`.")
    if not split.rows:
        raise UserError(f"{path} names no clip; make it by `tpsm split make`.")
    clip, times = Counter(row.clip for row in split.rows).most_common(1)[0]
    if times > 1:
        raise UserError(f"{path} names the clip {clip} {times} times; make it by `tpsm split make`.")
    if split.sha256 != head.removeprefix(_HEAD).strip():
        raise UserError(
            f"{path} is not what was published: it contradicts the hash in its first line. Restore it, or publish the "
            f"change as another version."
        )
    return split


def make_split(manifest: Manifest, folder: Path, name: str, root: Path = Path()) -> Path:
    """Writes the split of the prepared set `manifest` in `folder`, with the hashes of the clips' frames.

    Raises:
        UserError: there is a split of that name, which is never overwritten.
    """
    path = split_path(manifest.dataset, name, root)
    if path.exists():
        raise UserError(f"There is a split {path}, and a published one does not change; raise the version.")
    hashes = frames_hashes([folder / entry.file for entry in manifest.entries])
    rows = [SplitEntry(entry.name, entry.split, sha) for entry, sha in zip(manifest.entries, hashes, strict=True)]
    split = Split(name, tuple(rows))
    write_text(path, f"{_HEAD}{split.sha256}\n{_table(split.rows)}")
    return path


def frames_hashes(paths: Sequence[Path]) -> list[str]:
    """Returns `frames_sha256` of each clip, computed for several at a time."""
    with ThreadPoolExecutor() as pool:
        return list(tqdm(pool.map(frames_sha256, paths), total=len(paths), desc="hash", unit="clip", disable=None))


def frames_sha256(path: Path) -> str:
    """Returns a hash of a clip's pixels alone: not of its name, its frame rate or how its file was packed."""
    with ClipFile(path) as clip:
        digest = hashlib.sha256(np.array([len(clip), clip.height, clip.width], "<i8").tobytes())
        for index in range(len(clip)):
            digest.update(clip.frame(index).tobytes())
    return digest.hexdigest()


def _table(rows: Sequence[SplitEntry]) -> str:
    return csv_text([COLUMNS, *((row.clip, row.split, row.sha256) for row in rows)])
