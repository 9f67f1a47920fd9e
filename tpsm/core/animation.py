"""The modes of animation, and which runs animate in which."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, get_args

from tpsm.core.layout import Layout
from tpsm.core.reading import read_section
from tpsm.core.schema import Count, Seed, checked, from_mapping

Mode = Literal["standard", "relative", "avd"]
MODES: tuple[str, ...] = get_args(Mode)


@checked
@dataclass(frozen=True)
class AnimateConfig:
    """Which runs animate across identities, which of them with AVD too, on which data sets and how many fixed pairs."""

    datasets: tuple[str, ...] = ()
    runs: tuple[str, ...] = ()
    avd: tuple[str, ...] = ()
    pairs: Count = 12
    seed: Seed = 0

    def __post_init__(self) -> None:
        if others := set(self.avd) - set(self.runs):
            raise ValueError(f"avd: '{min(others)}' is not among animate.runs")

    def on(self, dataset: str) -> AnimateConfig:
        """The same configuration as one data set sees it: without runs where the set is not among `datasets`."""
        here = dataset in self.datasets
        return replace(self, datasets=(), runs=self.runs if here else (), avd=self.avd if here else ())


def read_animate(layout: Layout) -> AnimateConfig:
    """Which runs animate across identities, as `tpsm configure` resolved it."""
    return from_mapping(AnimateConfig, read_section(layout, "animate"), "animate")


def animation_modes(animate: AnimateConfig, run: str) -> tuple[str, ...]:
    """The animation modes that the pipeline makes of `run`."""
    return ("standard", "relative") * (run in animate.runs) + ("avd",) * (run in animate.avd)
