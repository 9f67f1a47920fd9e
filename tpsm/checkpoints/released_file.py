"""Names the file of a released checkpoint, as a resolved configuration does."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tpsm.core.errors import UserError
from tpsm.core.files import sha256_if_there


@dataclass(frozen=True)
class Released:
    """The file whose weights a run takes in the place of training; `sha256` is None where it was not there."""

    file: str
    sha256: str | None

    @staticmethod
    def at(file: str) -> Released:
        """Returns the released `file`, with the hash that it has now."""
        return Released(file, sha256_if_there(Path(file)))

    def unchanged(self) -> Path:
        """Returns the file. Raises UserError unless it is there, and is the one that was hashed."""
        now = Released.at(self.file).sha256
        if now is None:
            raise UserError(f"There is no released checkpoint {self.file}; put it there, or leave its run out of runs.")
        if now != self.sha256:
            raise UserError(f"{self.file} has changed since `tpsm configure` read it; run that again.")
        return Path(self.file)
