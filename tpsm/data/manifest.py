"""Reads and writes the manifest of a folder of clips: which clips it holds, and their hashes."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

from annotated_types import Ge, Lt, MaxLen

from tpsm.core.errors import UserError
from tpsm.core.files import write_json
from tpsm.core.fingerprint import sha256_of_text
from tpsm.core.layout import check_name, file_name
from tpsm.core.reading import read_json
from tpsm.core.schema import checked, from_mapping
from tpsm.data.config import SPLITS, SplitName
from tpsm.data.limits import Fps

Text = Annotated[str, MaxLen(1000)]
Number = Annotated[int, Ge(1), Lt(2**31)]


@checked
@dataclass(frozen=True)
class Entry:
    """What a manifest says of one clip: its sides in pixels, frames per second, and the SHA-256 of its file."""

    name: Text
    identity: Text
    split: SplitName
    frames: Number
    width: Number
    height: Number
    fps: Fps
    sha256: Text
    has_truth: bool

    @property
    def file(self) -> Path:
        """The clip's file, relative to the manifest's folder."""
        return Path(self.split) / file_name(self.name)


@dataclass(frozen=True)
class Manifest:
    """A prepared data set. Its clips are squares of `size` pixels, in `train/` and `test/`."""

    dataset: str
    size: Number
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
        names = {split: sorted(entry.name for entry in self.clips(split)) for split in SPLITS}
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
    values = read_json(path, "manifest")
    try:
        content = {"dataset": values["dataset"], "size": values["size"], "entries": values["clips"]}
        manifest, sha256 = from_mapping(Manifest, content, "it"), values["sha256"]
        if odd := [entry.name for entry in manifest.entries if {entry.width, entry.height} != {manifest.size}]:
            raise UserError(f"the clip {odd[0]!r:.80} is not of {manifest.size} pixels")
    except (UserError, KeyError, TypeError) as error:
        raise UserError(f"{path} is not a readable manifest ({error}); prepare the data set again.") from error
    check_name(manifest.dataset, f"The data set of {path}")
    if len({entry.file for entry in manifest.entries}) < len(manifest.entries):
        raise UserError(f"{path} names a clip twice; prepare the data set again.")
    if manifest.sha256 != sha256:
        raise UserError(f"{path} contradicts its own hash; prepare the data set again.")
    return manifest
