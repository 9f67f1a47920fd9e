"""The section `evaluation.<data set>` of params.yaml."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from eval import metrics
from eval.evaluators import ROLES, Role, evaluator_module
from eval.layout import Layout
from eval.statistics import BootstrapConfig
from tpsm.errors import UserError
from tpsm.strict import build


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
class EvalConfig:
    """`metrics` are names of files in eval/metrics; `published` is a set of eval/published.yaml, whose rows are matched
    by run name unless `published_as` names another row for the run."""

    metrics: tuple[str, ...] = ("l1", "akd", "mkr", "aed", "akd_truth", "epe", "pose")
    evaluators: EvaluatorsConfig = EvaluatorsConfig()
    bootstrap: BootstrapConfig = field(default_factory=BootstrapConfig)
    tables: TablesConfig = TablesConfig()
    figures: FiguresConfig = FiguresConfig()
    published: str | None = None
    published_as: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.metrics:
            raise ValueError("metrics: name at least one")
        for name in self.metrics:
            if name not in metrics.names():
                raise ValueError(f"metrics: there is no '{name}'; choose among {', '.join(metrics.names())}")


def read_config(layout: Layout) -> EvalConfig:
    """The resolved section.

    Raises:
        UserError: the file is missing, or a key in it is wrong.
    """
    if not layout.config.is_file():
        raise UserError(f"There is no {layout.relative(layout.config)}; run `tpsm configure` first.")
    try:
        values = yaml.safe_load(layout.config.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        problem = " ".join(str(error).split())
        raise UserError(f"{layout.relative(layout.config)} is not valid YAML: {problem}.") from error
    return build(EvalConfig, values, config_key(layout))


def config_key(layout: Layout) -> str:
    """Where the section stands in params.yaml."""
    return f"evaluation.{layout.dataset}"


def evaluator_key(layout: Layout, role: Role) -> str:
    return f"{config_key(layout)}.evaluators.{role}"


def check(root: Path) -> list[str]:
    """The data sets under `configs/` whose evaluation section, and that of every evaluator, is in order.

    Raises:
        UserError: the first key that is wrong, or a table of a run that no data set trains.
    """
    datasets = sorted(path.parent.name for path in (root / "configs").glob("*/runs"))
    for dataset in datasets:
        layout = Layout(dataset, root)
        config = read_config(layout)
        for role in ROLES:
            if (section := config.evaluators[role]) is not None:
                evaluator_module(role, section, evaluator_key(layout, role))
        trained = {path.stem for path in (layout.config.parent / "runs").glob("*.yaml")}
        if unknown := [run for run in config.tables.runs() if run not in trained]:
            raise UserError(
                f"{config_key(layout)}.tables names the run '{unknown[0]}', which `runs` does not train; add it there."
            )
    return datasets
