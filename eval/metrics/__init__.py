"""Metrics: one file each, found by its name.

A metric's file has two public names: `METRIC`, which says what the number is, and `score(generated, reference)`, which
gives one value per frame, NaN where the frame does not count. It may be given some successive frames of a clip at a
time, but whole clips where `METRIC.over_time` says that a frame's value depends on other frames. A third one,
`legacy(generated, reference)`, is the number of the papers' evaluation program, where that has the metric. A new metric
is a new file and its name in params.yaml; a module from outside goes by its dotted name, which is the metric's too.
"""

from __future__ import annotations

import importlib
import logging
import pkgutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Literal

import numpy as np
from jaxtyping import Float64

from eval.types import PROTOCOLS, Need, Protocol, ScoredClip
from eval.weights import absent
from tpsm.core.errors import UserError, is_outside, outside_module

log = logging.getLogger(__name__)
PAGE = "docs/extending.md"


@dataclass(frozen=True)
class Metric:
    """What a number means.

    `needs` names what must exist besides the frames: an evaluator (landmarks, identity), predicted `motion` or ground
    `truth`. `reconstruction` says whether same-clip reconstruction is scored, against the real clip; `animation` names
    what an animated clip is scored against, if at all, and `modes` the animation modes where the comparison makes sense
    (None: all).

    `version` goes up with every change of a formula, in either protocol; scores of different versions are never mixed.
    `over_time` says that a frame's value depends on frames before or after it: then whole clips are in memory. `legacy`
    says what the file's function of that name computes; None where pose-evaluation lacks the metric, and there is none.
    `detection` marks a rate at which evaluators find something: it has a table of its own. `packages` are optional ones
    and `weights` files of eval/weights.yaml: without them the metric is not computed.
    """

    name: str
    title: str
    unit: str
    lower_is_better: bool
    decimals: int
    source: str
    needs: tuple[Need, ...] = ()
    reconstruction: bool = True
    animation: Literal["source", "driving"] | None = None
    modes: tuple[str, ...] | None = None
    version: int = 1
    legacy: str | None = None
    detection: bool = False
    over_time: bool = False
    packages: tuple[str, ...] = ()
    weights: tuple[str, ...] = ()

    @property
    def heading(self) -> str:
        """Its title in a table, and which way is better."""
        return f"{self.title} {'↓' if self.lower_is_better else '↑'}"

    def is_better(self, difference: float) -> bool:
        """Whether a value that differs by this much from another is the better one."""
        return difference < 0 if self.lower_is_better else difference > 0

    @property
    def protocols(self) -> tuple[Protocol, ...]:
        return PROTOCOLS if self.legacy is not None else ("strict",)


def install_hint(metric: Metric) -> str | None:
    """The command that gets what `metric` still lacks on this machine, a package or weights; None where it is ready."""
    commands = [f"pip install {package}" for package in metric.packages if find_spec(package) is None]
    return next(iter(commands + absent(metric.weights)), None)


Score = Callable[[ScoredClip, ScoredClip], Float64[np.ndarray, " t"]]


def names() -> tuple[str, ...]:
    """Every metric there is a file for."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(__path__)))


def choices() -> str:
    """What `metrics` in params.yaml may name, for messages."""
    return f"choose among {', '.join(names())}, or name a module of your own as PACKAGE.MODULE ({PAGE})"


def load(name: str) -> tuple[Metric, dict[Protocol, Score]]:
    """The metric in `eval/metrics/<name>.py`, or in the module from outside `name`, and its function for each of its
    protocols.

    Raises:
        UserError: there is no such module, it names itself differently, or has `METRIC.legacy` without the function.
    """
    if is_outside(name):
        module, where = outside_module(name, ("METRIC", "score"), PAGE), f"The module {name}"
        if not isinstance(module.METRIC, Metric) or not callable(module.score):
            raise UserError(f"{where} must define METRIC, an eval.metrics.Metric, and the function score ({PAGE}).")
    elif name in names():
        module, where = importlib.import_module(f"{__name__}.{name}"), f"eval/metrics/{name}.py"
    else:
        raise UserError(f"There is no metric '{name}' (metrics in params.yaml); {choices()}.")
    metric: Metric = module.METRIC
    if metric.name != name:
        raise UserError(f"{where} calls its metric '{metric.name}'; give it the name '{name}'.")
    if (metric.legacy is not None) != hasattr(module, "legacy"):
        raise UserError(f"{where} has one of METRIC.legacy and legacy() without the other; give both.")
    functions = {"strict": "score", "legacy": "legacy"}
    return metric, {protocol: getattr(module, functions[protocol]) for protocol in metric.protocols}


def available_metrics(names: Iterable[str]) -> list[str]:
    """The metrics whose optional packages and weights are there, or that need none; of the others, what to type."""
    found = []
    for name in names:
        if command := install_hint(load(name)[0]):
            log.warning("The metric %s is left out; type `%s` to have it.", name, command)
        else:
            found.append(name)
    return found
