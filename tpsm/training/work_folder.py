"""Keeps what a training goes on from: its working checkpoint, the losses so far, and the previews."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tpsm.core.files import remove_folder
from tpsm.core.fingerprint import fingerprint, training_code_hash
from tpsm.training.config import PLUMBING, TrainConfig

# What decides no result, and what decides none of the steps before it: a run given more epochs goes on.
_LEFT_OUT = (*PLUMBING, "epochs", "milestones")
_HASH = "[0-9a-f]" * 16


@dataclass(frozen=True)
class WorkFolder:
    """A folder that is named by the run and by everything that decides its steps.

    A finished training keeps its folder under another name, so that it can be given more epochs; one for each run.
    """

    work: Path
    name: str
    key: str

    @classmethod
    def of(cls, work: Path, config: TrainConfig, dataset: str, run: str, *decides: Any) -> WorkFolder:
        """Returns a training's folder below `work`; `decides` is all that decides its steps beside the schedule."""
        schedule = {key: value for key, value in asdict(config).items() if key not in _LEFT_OUT}
        return cls(work, _name(dataset, run), fingerprint(schedule, *decides, training_code_hash()))

    @property
    def path(self) -> Path:
        """The folder of the training under way."""
        return self.work / f"{self.name}-{self.key}"

    @property
    def state(self) -> Path:
        """The working checkpoint."""
        return self.path / "state.pt"

    @property
    def finished(self) -> Path:
        """The name of the folder once the training has finished."""
        return self.path.with_name(f"{self.path.name}.finished")

    @property
    def lock(self) -> Path:
        """The lock of all trainings of a run, because they write the same files in the end."""
        return self.work / f"{self.name}.lock"

    def others(self) -> list[Path]:
        """Returns the folders of unfinished trainings of the run whose steps something else decides."""
        return [path for path in sorted(self.work.glob(f"{self.name}-{_HASH}")) if path != self.path]

    def open(self) -> None:
        """Takes back what a finished training kept."""
        if not self.path.exists() and self.finished.exists():
            self.finished.rename(self.path)

    def close(self) -> None:
        """Keeps the folder as that of a finished training, in the place of any other."""
        for path in self.work.glob(f"{self.name}-{_HASH}.finished"):
            remove_folder(path)
        self.path.rename(self.finished)


def unfinished(work: Path, dataset: str, run: str) -> list[Path]:
    """Returns the folders below `work` that interrupted trainings of a run left, whatever decided their steps."""
    return sorted(work.glob(f"{_name(dataset, run)}-{_HASH}"))


def _name(dataset: str, run: str) -> str:
    return "@".join(quote(part, safe="") for part in (dataset, *run.split(", ")))
