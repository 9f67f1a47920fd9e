"""Names a folder of frames that stands in the place of a method, as a resolved configuration does."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tpsm.core.errors import UserError
from tpsm.core.fingerprint import folder_hash


@dataclass(frozen=True)
class FramesFolder:
    """The folder whose frames a run takes; `sha256` is that of all files in it, by name."""

    folder: str
    sha256: str

    @staticmethod
    def at(folder: str, where: str) -> FramesFolder:
        """Returns the folder, with the hash that it has now. Raises UserError, which names the key `where`, where there
        is no such folder."""
        if not Path(folder).is_dir():
            raise UserError(
                f"{where} is {folder}, which is no folder; name one that holds reconstruction/CLIP/000.png."
            )
        return FramesFolder(folder, folder_hash(Path(folder)))

    def unchanged(self) -> Path:
        """Returns the folder. Raises UserError unless it is there, and holds what was hashed."""
        if FramesFolder.at(self.folder, "The folder of frames") != self:
            raise UserError(f"{self.folder} has changed since `tpsm configure` read it; run that again.")
        return Path(self.folder)
