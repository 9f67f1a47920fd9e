"""Defines the sections of `params.yaml`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tpsm.checkpoints.frames_folder import FramesFolder
from tpsm.checkpoints.origin_file import Origin
from tpsm.checkpoints.released_file import Released
from tpsm.core.animation import AnimateConfig
from tpsm.core.fingerprint import Outside
from tpsm.core.schema import Side
from tpsm.data.config import DataConfig
from tpsm.inference.config import PLAIN, InferenceConfig
from tpsm.methods import FRAMES
from tpsm.methods.avd_config import AvdConfig
from tpsm.published.card import Published
from tpsm.training.config import TrainConfig


@dataclass(frozen=True)
class MethodSection:
    """What a scale says of a method: parts of its `Config`, of `TrainConfig`, and of `AvdSection` if it has an AVD."""

    model: dict[str, Any] = field(default_factory=dict)
    train: dict[str, Any] = field(default_factory=dict)
    avd: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class RunSection:
    """A run: a method, and what it changes of that method's section of the data set's scale.

    `method` is one of ours, or the module of one from outside by its dotted name. `frames` is no method: the run has
    its frames from the folder that `folder` names ("{dataset}" in it is replaced), and no other key.
    `released` names a released checkpoint ("{dataset}" in it is replaced), which is then taken and not trained.
    `repeat_of` names the run that this one repeats with another `train.seed`, and nothing else. `train` has, beside
    those of `TrainConfig`, the key `from`: the run or the file of weights that training begins with.
    """

    method: str
    label: str
    model: dict[str, Any] = field(default_factory=dict)
    train: dict[str, Any] = field(default_factory=dict)
    released: str | None = None
    repeat_of: str | None = None
    folder: str | None = None


@dataclass(frozen=True)
class DataSection:
    """A data set: the scale its runs have, the named split that it takes, and (all other keys) a `DataConfig`.

    `weights` and `evaluators` are folders of published weights, of its runs and of its evaluators, which are then
    taken and not trained. `inference` says how frames are computed, of every run and in both stages that do.
    """

    raw: DataConfig
    scale: str = "small"
    split: str | None = None
    weights: str | None = None
    evaluators: str | None = None
    inference: InferenceConfig = PLAIN


@dataclass(frozen=True)
class MoreRuns:
    """Runs that are trained on some of the data sets alone."""

    datasets: tuple[str, ...] = ()
    runs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Params:
    """All of `params.yaml`: the pipeline's `datasets` and `runs`, and in `data` and `run` a section for each."""

    datasets: tuple[str, ...]
    runs: tuple[str, ...]
    animate: AnimateConfig
    data: dict[str, Any]
    scales: dict[str, dict[str, MethodSection]]
    run: dict[str, RunSection]
    evaluation: dict[str, dict[str, Any]]
    workers: Any = 1  # of `tpsm.jobs.map.Workers`
    more: MoreRuns = MoreRuns()

    def runs_on(self, dataset: str) -> tuple[str, ...]:
        """Returns all runs that are trained, reconstructed and scored on a data set."""
        return self.runs + (self.more.runs if dataset in self.more.datasets else ())

    def trained_on(self, dataset: str) -> tuple[str, ...]:
        """Returns the same without runs whose weights, or whose frames, the methods' authors made."""
        sections = {run: self.run[run] for run in self.runs_on(dataset)}
        return tuple(run for run, its in sections.items() if its.released is None and its.method != FRAMES)


@dataclass(frozen=True)
class AvdSection:
    """The AVD network of a method and its training; the defaults are TPSMM's."""

    model: AvdConfig = field(default_factory=AvdConfig)
    train: TrainConfig = field(default_factory=lambda: TrainConfig(batch=256, learning_rate=1e-3, clip_norm=None))


@dataclass(frozen=True)
class AvdRun(AvdSection):
    """All that decides the training of a run's AVD network; with `published` it comes out of that file."""

    published: Published | None = None


@dataclass(frozen=True)
class RunConfig:
    """All that decides the training of one run on one data set. `model` is the method's own `Config`.

    With `released` or `published` the run's weights come out of that file, whose hash makes a changed one count.
    `origin` is what `train.from` names: the weights that training begins with, in the place of drawn ones. `code` is
    what is known of a method from outside, so that a changed one counts; `frames` is the folder of a run that has
    nothing else, and no model.
    """

    dataset: str
    run: str
    method: str
    size: Side
    model: Any
    train: TrainConfig
    released: Released | None = None
    origin: Origin | None = None
    published: Published | None = None
    code: Outside | None = None
    frames: FramesFolder | None = None

    @property
    def source(self) -> str | None:
        """The hash of the source of a method from outside, which its checkpoints hold."""
        return None if self.code is None else self.code.sha256
