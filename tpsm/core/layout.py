"""Where everything lies, relative to the repository, for one data set."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

CLIPS, MODELS, AVDS, OUTPUTS, CONFIGS = (Path(p) for p in ("data/clips", "models", "avd", "outputs", "configs"))
SUFFIX = ".zip"


def array_file(name: str) -> str:
    """The file of what belongs to the clip `name` and is no clip, named as the clip's is."""
    return Path(file_name(name)).with_suffix(".npz").name


@dataclass(frozen=True)
class Layout:
    dataset: str
    root: Path = Path()

    @property
    def config(self) -> Path:
        return self.root / "configs" / self.dataset / "evaluation.yaml"

    @property
    def animate(self) -> Path:
        return self.config.with_name("animate.yaml")

    @property
    def labels(self) -> Path:
        return self.config.with_name("labels.yaml")

    @property
    def seeds(self) -> Path:
        return self.config.with_name("seeds.yaml")

    @property
    def clips(self) -> Path:
        return self.root / "data" / "clips" / self.dataset

    @property
    def evaluators(self) -> Path:
        return self.root / "evaluators" / self.dataset

    @property
    def networks(self) -> Path:
        """The evaluators' weights alone: what scores depend on, and no measure or record of them."""
        return self.evaluators / "networks"

    @property
    def features(self) -> Path:
        return self.root / "features" / self.dataset

    @property
    def report(self) -> Path:
        return self.root / "reports" / self.dataset

    @property
    def coverage(self) -> Path:
        return self.report / "coverage.json"

    def model(self, run: str) -> Path:
        return self.root / "models" / self.dataset / run

    def outputs(self, run: str) -> Path:
        return self.root / "outputs" / self.dataset / run

    def scores(self, run: str) -> Path:
        return self.root / "scores" / self.dataset / f"{run}.parquet"

    def test_clip(self, name: str) -> Path:
        return self.clips / "test" / file_name(name)

    def has_frames(self, run: str, task: str = "reconstruction") -> bool:
        """Whether the frames that `run` made are here, and the real ones: a reviewer may hold scores alone.

        `task` is reconstruction, or animation/MODE.
        """
        return (self.outputs(run) / task).is_dir() and (self.clips / "test").is_dir()

    def motion(self, run: str, name: str) -> Path:
        """The motion that `run` predicted for the test clip `name`."""
        return self.outputs(run) / "reconstruction" / "motion" / array_file(name)

    def rounded_up(self, run: str, name: str) -> Path:
        """Where rounding went up in the test clip `name` that `run` rebuilt."""
        return self.outputs(run) / "reconstruction" / "rounded_up" / array_file(name)

    def insides(self, run: str, name: str) -> Path:
        """What `run` computed on the way to some frames of the test clip `name`; there for a few clips."""
        return self.outputs(run) / "reconstruction" / "insides" / array_file(name)

    @property
    def page(self) -> Path:
        """What the data set's part of reports/index.html is made from."""
        return self.root / "pages" / self.dataset

    def relative(self, path: Path) -> str:
        """A path as messages name it."""
        return path.relative_to(self.root).as_posix() if path.is_relative_to(self.root) else path.name


def raw_folder(dataset: str) -> Path:
    """Where a data set's raw clips are: put there or linked by hand, or brought by DVC."""
    return Path("data/raw") / dataset


def identity_of(name: str) -> str:
    """What stands before the first '#', or the whole name where there is none."""
    return name.split("#", 1)[0] or name


def file_name(name: str) -> str:
    """The file of the clip `name`: unusual characters are percent-encoded, so that distinct names stay distinct."""
    safe = re.sub(r"[^\w#@+=,().~ -]|^\.", lambda match: quote(match[0], safe="").replace(".", "%2E"), name)
    return safe + SUFFIX
