"""The section `evaluation.<data set>` of params.yaml."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any

from annotated_types import Ge, Le, MinLen

from eval import metrics
from eval.stats.config import BootstrapConfig
from eval.types import PROTOCOLS, Protocol, Role
from tpsm.core.layout import Layout
from tpsm.core.reading import read_section
from tpsm.core.schema import Count, Side, checked, from_mapping

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


@checked
@dataclass(frozen=True)
class FiguresConfig:
    """How many clips or pairs a figure shows, of how many frames, and to what width in pixels frames are enlarged."""

    clips: Count = 3
    frames: Count = 6
    enlarge_to: Side = 128


@checked
@dataclass(frozen=True)
class VideosConfig:
    """What the page plays: how many test clips and animated pairs, from the hardest to the easiest; at most so many
    frames of each, evenly spread, at most so large in pixels; `quality` is WebP's, 1 to 100."""

    clips: Count = 6
    pairs: Count = 6
    frames: Count = 48
    size: Side = 128
    quality: Annotated[int, Ge(1), Le(100)] = 70

    def __post_init__(self) -> None:
        if self.frames * self.size > WEBP_SIDE:
            raise ValueError(
                f"frames: {self.frames} frames of {self.size} px side by side are more than the "
                f"{WEBP_SIDE} px that a WebP image can be wide; lower frames or size"
            )


@dataclass(frozen=True)
class EvalConfig:
    """`metrics` are names of files in eval/metrics, `protocols` how they are taken; `published` is a set of
    eval/tables/published.yaml, whose rows are matched by run name unless `published_as` names another row for the
    run."""

    metrics: Annotated[tuple[str, ...], MinLen(1)] = (
        *("l1", "akd", "mkr", "aed", "akd_truth", "epe_figure", "epe_background", "pose"),
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
        for name in self.metrics:
            if name not in metrics.names():
                raise ValueError(f"metrics: there is no '{name}'; choose among {', '.join(metrics.names())}")
        if not self.protocols or len(set(self.protocols)) < len(self.protocols):
            raise ValueError(f"protocols: name one or both of {', '.join(PROTOCOLS)}, each once")


def read_config(layout: Layout) -> EvalConfig:
    """The resolved section. Raises UserError where the file is missing, or a key in it is wrong."""
    return from_mapping(EvalConfig, read_section(layout, "evaluation"), config_key(layout))


def config_key(layout: Layout) -> str:
    """Where the section stands in params.yaml."""
    return f"evaluation.{layout.dataset}"


def evaluator_key(layout: Layout, role: Role) -> str:
    return f"{config_key(layout)}.evaluators.{role}"
