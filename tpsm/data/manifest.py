"""Reads and writes the manifest of a folder of clips: which clips it holds, and their hashes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tpsm.core.errors import UserError
from tpsm.core.files import write_json
from tpsm.core.fingerprint import sha256_of_text
from tpsm.core.layout import check_name, file_name
from tpsm.core.reading import read_json
from tpsm.data.config import SPLITS
from tpsm.data.limits import check_fps

LONGEST = 1000


@dataclass(frozen=True)
class Entry:
    """What a manifest says of one clip: its sides in pixels, frames per second, and the SHA-256 of its file."""

    name: str
    identity: str
    split: str
    frames: int
    width: int
    height: int
    fps: float
    sha256: str
    has_truth: bool

    def __post_init__(self) -> None:
        texts, numbers = (self.name, self.identity, self.sha256), (self.frames, self.width, self.height)
        if self.split not in SPLITS or not all(isinstance(text, str) and len(text) <= LONGEST for text in texts):
            raise ValueError(f"the record of the clip {self.name!r:.80} has a text that makes no sense")
        if not all(type(number) is int and 0 < number < 1 << 31 for number in numbers):
            raise ValueError(f"the record of the clip {self.name!r:.80} has a number that makes no sense")
        if type(self.has_truth) is not bool:
            raise ValueError(f"the record of the clip {self.name!r:.80} has a has_truth that is neither true nor false")
        check_fps(self.fps, f"the record of the clip {self.name!r:.80}")

    @property
    def file(self) -> Path:
        """The clip's file, relative to the manifest's folder."""
        return Path(self.split) / file_name(self.name)


@dataclass(frozen=True)
class Manifest:
    """A prepared data set. Its clips are squares of `size` pixels, in `train/` and `test/`."""

    dataset: str
    size: int
    entries: tuple[Entry, ...]

    @property
    def sha256(self) -> str:
        """One hash of all clips' names and files."""
        lines = sorted(f"{entry.split}/{entry.name} {entry.sha256}" for entry in self.entries)
        return sha256_of_text("\n".join(lines))

    def clips(self, split: str) -> tuple[Entry, ...]:
        """Returns the clips of `train` or `test`."""
        return tuple(entry for entry in self.entries if entry.split == split)

    def about(self) -> dict[str, Any]:
        """Returns what a record of provenance says of the set.

        `sha256` is the hash of all clips' files, `split` that of the names in each part alone.
        """
        names = {split: sorted(entry.name for entry in self.clips(split)) for split in ("train", "test")}
        return {
            "name": self.dataset,
            "size": self.size,
            "sha256": self.sha256,
            "clips": len(self.entries),
            "split": {split: sha256_of_text("\n".join(listed)) for split, listed in names.items()},
        }

    def write(self, folder: Path) -> Path:
        """Writes `folder/manifest.json`, and returns its path."""
        content = {
            "dataset": self.dataset,
            "size": self.size,
            "sha256": self.sha256,
            "clips": [asdict(entry) for entry in self.entries],
        }
        path = folder / "manifest.json"
        write_json(path, content)
        return path


def read_manifest(folder: Path) -> Manifest:
    """Reads the manifest of a prepared folder.

    Raises:
        UserError: the manifest is missing, unreadable or altered.
    """
    path = Path(folder) / "manifest.json"
    if not path.is_file():
        raise UserError(f"There is no {path}; prepare the data set first.")
    try:
        values = read_json(path, "manifest")
        clips: Sequence[dict[str, Any]] = values["clips"]
        manifest = Manifest(str(values["dataset"]), int(values["size"]), tuple(Entry(**clip) for clip in clips))
        intact = manifest.sha256 == values["sha256"]
        if odd := [entry for entry in manifest.entries if {entry.width, entry.height} != {values["size"]}]:
            raise ValueError(f"the clip {odd[0].name!r:.80} is not of {values['size']} pixels")
        check_name(manifest.dataset, f"The data set of {path}")
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path} is not a readable manifest ({error}); prepare the data set again.") from error
    if len({entry.file for entry in manifest.entries}) < len(manifest.entries):
        raise UserError(f"{path} names a clip twice; prepare the data set again.")
    if not intact:
        raise UserError(f"{path} contradicts its own hash; prepare the data set again.")
    return manifest
