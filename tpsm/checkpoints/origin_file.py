"""Names the weights that a run's training begins with: those of a file, or of another run. It needs no PyTorch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tpsm.core.errors import UserError
from tpsm.core.files import sha256_if_there, sha256_of
from tpsm.core.reading import read_json


@dataclass(frozen=True)
class Origin:
    """The key `train.from`, resolved. `sha256` is the file's, and None where the file is not there.

    Another run's file need not be there yet: `run` names that run, of the same data set, and `sha256` is that of its
    own resolved section, so that whatever changes its weights changes this too.
    """

    file: str
    sha256: str | None
    run: str | None = None

    @staticmethod
    def at(file: str) -> Origin:
        """Returns the origin `file`, with the hash that it has now."""
        return Origin(file, sha256_if_there(Path(file)))

    def unchanged(self) -> Path:
        """Returns the file. Raises UserError unless it is there, and is the one that was meant."""
        path = Path(self.file)
        if self.run is not None:
            command = f"type `dvc repro train@{path.parent.parent.name}-{self.run}` first"
            if not path.is_file():
                raise UserError(f"train.from: the run '{self.run}' has not been trained ({path}); {command}.")
            if _parameters(path.with_name("summary.json"), self.run) != self.sha256:
                raise UserError(f"train.from: {path} was trained with other parameters than it has now; {command}.")
            return path
        if not path.is_file():
            raise UserError(f"train.from: there is no file {path}, and no run of that name; correct it.")
        if sha256_of(path) != self.sha256:
            raise UserError(f"train.from: {path} has changed since `tpsm configure` read it; run that again.")
        return path


def _parameters(summary: Path, run: str) -> str | None:
    """The SHA-256 of the resolved section that a run was trained with, as its summary says."""
    try:
        return str(read_json(summary, "record of a training")["provenance"]["parameters"][f"runs/{run}.yaml"])
    except (UserError, LookupError, TypeError):  # none that training wrote
        return None
