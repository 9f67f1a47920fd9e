"""Metrics: one file each, found by its name.

A metric's file has two public names: `METRIC`, which says what the number is, and `score(generated, reference)`, which
gives one value a frame, NaN where the frame does not count. A third one, `legacy(generated, reference)`, is the number
of the papers' evaluation program, where that has the metric. A new metric is a new file and its name in params.yaml.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64, UInt8

from eval.weights import absent
from tpsm.core.errors import UserError
from tpsm.core.types import GroundTruth

Need = Literal["landmarks", "identity", "motion", "truth"]
Protocol = Literal["strict", "legacy"]
PROTOCOLS: tuple[Protocol, ...] = ("strict", "legacy")
"""How frames become a number: as it should be, and as the papers' program (pose-evaluation) has it. In the legacy one
metrics see truncated 8-bit frames, and reconstruction counts frame 0, which repeats the source."""


@dataclass(frozen=True)
class Metric:
    """What a number means.

    `needs` names what must exist besides the frames: an evaluator (landmarks, identity), predicted `motion` or ground
    `truth`. `reconstruction` says whether same-clip reconstruction is scored, against the real clip; `animation` names
    what an animated clip is scored against, if at all, and `modes` the animation modes where the comparison makes sense
    (None: all).

    `version` goes up with every change of a formula, in either protocol; scores of different versions are never mixed.
    `legacy` says what the file's function of that name computes; None where pose-evaluation lacks the metric, and there
    is none. `detection` marks a rate at which evaluators find something: it has a table of its own. `packages` are
    optional ones and `weights` files of eval/weights.yaml: without them the metric is not computed.
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
    packages: tuple[str, ...] = ()
    weights: tuple[str, ...] = ()

    @property
    def heading(self) -> str:
        """Its title in a table, and which way is better."""
        return f"{self.title} {'↓' if self.lower_is_better else '↑'}"

    @property
    def protocols(self) -> tuple[Protocol, ...]:
        return PROTOCOLS if self.legacy is not None else ("strict",)


@dataclass(frozen=True)
class Landmarks:
    """Detected joints: xy in [-1, 1] as `tpsm.core.types` defines, and which of them were found."""

    xy: Float32[np.ndarray, "t j 2"]
    found: Bool[np.ndarray, "t j"]

    def pixels(self, height: int, width: int) -> Float64[np.ndarray, "t j 2"]:
        """The joints in pixels; the centre of the first pixel is 0."""
        return to_pixels(self.xy, height, width)

    def __getitem__(self, frames: slice) -> Landmarks:
        return Landmarks(self.xy[frames], self.found[frames])


@dataclass(frozen=True)
class Sequence:
    """All that metrics may look at, for one clip of `t` frames. What does not exist is None.

    `l1` is the error of the predicted frames before they were quantised, a value a frame; `motion` is the backward
    motion from each frame to frame 0, in [-1, 1], at the frames' size.
    """

    frames: UInt8[np.ndarray, "t h w 3"]
    landmarks: Landmarks | None = None
    embedding: Float32[np.ndarray, "t d"] | None = None
    truth: GroundTruth | None = None
    motion: Float32[np.ndarray, "t h w 2"] | None = None
    l1: Float64[np.ndarray, " t"] | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Height and width, in pixels."""
        return self.frames.shape[1], self.frames.shape[2]

    def has(self, need: Need) -> bool:
        held = {"landmarks": self.landmarks, "identity": self.embedding, "motion": self.motion, "truth": self.truth}
        return held[need] is not None


def to_type(metric: Metric) -> str | None:
    """The command that gets what `metric` still lacks on this machine, a package or weights; None where it is ready."""
    commands = [f"pip install {package}" for package in metric.packages if find_spec(package) is None]
    return next(iter(commands + absent(metric.weights)), None)


Score = Callable[[Sequence, Sequence], Float64[np.ndarray, " t"]]


def to_pixels(xy: Float[np.ndarray, "*n 2"], height: int, width: int) -> Float64[np.ndarray, "*n 2"]:
    """[-1, 1] to pixels, the corner pixels' centres at -1 and 1."""
    return (np.asarray(xy, np.float64) + 1) / 2 * (width - 1, height - 1)


def names() -> tuple[str, ...]:
    """Every metric there is a file for."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(__path__)))


def load(name: str) -> tuple[Metric, dict[Protocol, Score]]:
    """The metric in `eval/metrics/<name>.py`, and its function for each of its protocols.

    Raises:
        UserError: there is no such file, it names itself differently, or has `METRIC.legacy` without the function.
    """
    if name not in names():
        raise UserError(f"There is no metric '{name}' (metrics in params.yaml); choose among {', '.join(names())}.")
    module = importlib.import_module(f"{__name__}.{name}")
    if module.METRIC.name != name:
        raise UserError(f"eval/metrics/{name}.py calls its metric '{module.METRIC.name}'; give it the file's name.")
    metric: Metric = module.METRIC
    if (metric.legacy is not None) != hasattr(module, "legacy"):
        raise UserError(f"eval/metrics/{name}.py has one of METRIC.legacy and legacy() without the other; give both.")
    functions = {"strict": "score", "legacy": "legacy"}
    return metric, {protocol: getattr(module, functions[protocol]) for protocol in metric.protocols}
