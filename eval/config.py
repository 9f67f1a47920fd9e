"""The section `evaluation.<data set>` of params.yaml."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from eval import metrics
from eval.evaluators import ROLES, Role, evaluator_module
from eval.metrics import PROTOCOLS, Protocol
from eval.stats.intervals import BootstrapConfig
from eval.tables.published import read_published
from eval.weights import locate
from tpsm.config.params import AnimateConfig, read_yaml
from tpsm.core.errors import UserError
from tpsm.core.layout import Layout
from tpsm.core.schema import build

log = logging.getLogger(__name__)
WEBP_SIDE = 16383


@dataclass(frozen=True)
class EvaluatorsConfig:
    """A section with a `kind` each, or null: then the metrics that need it are not computed."""

    landmarks: dict[str, Any] | None = None
    identity: dict[str, Any] | None = None

    def __getitem__(self, role: Role) -> dict[str, Any] | None:
        return self.landmarks if role == "landmarks" else self.identity


@dataclass(frozen=True)
class TablesConfig:
    """The runs of each table, in order: the paper's Table 1, 3 and 4, and animation across identities."""

    reconstruction: tuple[str, ...] = ()
    k_ablation: tuple[str, ...] = ()
    components: tuple[str, ...] = ()
    animation: tuple[str, ...] = ()

    def runs(self) -> tuple[str, ...]:
        """Every run that a table names, once."""
        return tuple(dict.fromkeys(self.reconstruction + self.k_ablation + self.components + self.animation))


@dataclass(frozen=True)
class FiguresConfig:
    """How many clips or pairs a figure shows, of how many frames, and to what width in pixels frames are enlarged."""

    clips: int = 3
    frames: int = 6
    enlarge_to: int = 128

    def __post_init__(self) -> None:
        for name in ("clips", "frames", "enlarge_to"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: must be at least 1")


@dataclass(frozen=True)
class VideosConfig:
    """What the page plays: how many test clips and animated pairs, from the hardest to the easiest; at most so many
    frames of each, evenly spread, at most so large in pixels; `quality` is WebP's, 1 to 100."""

    clips: int = 6
    pairs: int = 6
    frames: int = 48
    size: int = 128
    quality: int = 80

    def __post_init__(self) -> None:
        for name in ("clips", "pairs", "frames", "size", "quality"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: must be at least 1")
        if self.quality > 100:
            raise ValueError("quality: must be at most 100")
        if self.frames * self.size > WEBP_SIDE:
            raise ValueError(
                f"frames: {self.frames} frames of {self.size} px side by side are more than the "
                f"{WEBP_SIDE} px that a WebP picture can be wide; lower frames or size"
            )


@dataclass(frozen=True)
class EvalConfig:
    """`metrics` are names of files in eval/metrics, `protocols` how they are taken; `published` is a set of
    eval/published.yaml, whose rows are matched by run name unless `published_as` names another row for the run."""

    metrics: tuple[str, ...] = (
        *("l1", "akd", "mkr", "aed", "akd_truth", "epe", "pose"),
        *("landmarks_found", "joints_found", "identity_found"),
    )
    protocols: tuple[Protocol, ...] = PROTOCOLS
    evaluators: EvaluatorsConfig = EvaluatorsConfig()
    bootstrap: BootstrapConfig = field(default_factory=BootstrapConfig)
    tables: TablesConfig = TablesConfig()
    figures: FiguresConfig = FiguresConfig()
    videos: VideosConfig = VideosConfig()
    published: str | None = None
    published_as: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.metrics:
            raise ValueError("metrics: name at least one")
        for name in self.metrics:
            if name not in metrics.names():
                raise ValueError(f"metrics: there is no '{name}'; choose among {', '.join(metrics.names())}")
        if not self.protocols or len(set(self.protocols)) < len(self.protocols):
            raise ValueError(f"protocols: name one or both of {', '.join(PROTOCOLS)}, each once")


def read_config(layout: Layout) -> EvalConfig:
    """The resolved section.

    Raises:
        UserError: the file is missing, or a key in it is wrong.
    """
    return build(EvalConfig, read_yaml(layout.config), config_key(layout))


def read_animate(layout: Layout) -> AnimateConfig:
    """Which runs animate across identities, as `tpsm configure` resolved it."""
    return build(AnimateConfig, read_yaml(layout.animate), "animate")


def due_modes(animate: AnimateConfig, run: str) -> tuple[str, ...]:
    """The animation modes that the pipeline makes of `run`."""
    return ("standard", "relative") * (run in animate.runs) + ("avd",) * (run in animate.avd)


def config_key(layout: Layout) -> str:
    """Where the section stands in params.yaml."""
    return f"evaluation.{layout.dataset}"


def evaluator_key(layout: Layout, role: Role) -> str:
    return f"{config_key(layout)}.evaluators.{role}"


def check(root: Path) -> list[str]:
    """The data sets under `configs/` whose evaluation section, and that of every evaluator, is in order.

    Raises:
        UserError: the first key that is wrong, or the first file of weights that is not there. Rows of runs that the
            data set does not train are only told: they will say n/a.
    """
    datasets = sorted(path.parent.name for path in (root / "configs").glob("*/runs"))
    for dataset in datasets:
        layout = Layout(dataset, root)
        config = read_config(layout)
        for role in ROLES:
            if (section := config.evaluators[role]) is not None:
                module, settings = evaluator_module(role, section, evaluator_key(layout, role))
                for name in getattr(module, "NEEDS", ()):
                    locate(name, Path(settings.weights))
                getattr(module, "check", lambda _: None)(settings)
        ready(config.metrics)
        trained = {path.stem for path in (layout.config.parent / "runs").glob("*.yaml")}
        check_tables(layout, config, trained)
        check_published(layout, config, trained)
    return datasets


def ready(names: Iterable[str]) -> list[str]:
    """The metrics whose optional packages and weights are there, or that need none; of the others, what to type."""
    found = []
    for name in names:
        if command := metrics.to_type(metrics.load(name)[0]):
            log.warning("The metric %s is left out; type `%s` to have it.", name, command)
        else:
            found.append(name)
    return found


def check_tables(layout: Layout, config: EvalConfig, trained: Set[str]) -> None:
    key = f"{config_key(layout)}.tables"
    for run in config.tables.runs():
        if run not in trained:
            log.warning("%s names the run '%s', which `runs` does not train: its cells will say n/a.", key, run)
    animated = read_animate(layout).runs
    for run in config.tables.animation:
        if run in trained and run not in animated:
            log.warning("%s.animation names '%s', which is not among `animate.runs`: its cells will say n/a.", key, run)


def check_published(layout: Layout, config: EvalConfig, trained: Set[str]) -> None:
    key = f"{config_key(layout)}.published"
    published = None if config.published is None else read_published(config.published, key)
    for run, row in config.published_as.items():
        if run not in trained:
            log.warning("%s_as names the run '%s', which `runs` does not train.", key, run)
        if published is None:
            raise UserError(f"{key}_as needs {key}; name a set there, or leave both out.")
        if row not in published.rows:
            raise UserError(f"{key}_as.{run} is '{row}'; choose one of {', '.join(published.rows)}.")
