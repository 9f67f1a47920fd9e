"""Networks that read joints and identity off a frame: trained on the data set's own training clips, or pretrained.

A kind of evaluator is one file with `Config` (frozen, with a `kind`), `train(config, clips, key)` and
`load(config, path)`; the latter two give an `Evaluator`. A pretrained one's file also names in `NEEDS` its weights of
eval/weights.yaml; `check(config)`, where a file has it, says beforehand what else is missing.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np
from jaxtyping import UInt8

from eval.types import Landmarks, Role
from tpsm.core.errors import UserError, is_outside, outside_module
from tpsm.core.schema import from_mapping

PAGE = "docs/extending.md"
KINDS: dict[Role, dict[str, str]] = {
    "landmarks": {
        "heatmap": "eval.evaluators.heatmap",
        "dlib68": "eval.evaluators.dlib68",
        "fan": "eval.evaluators.fan",
        "rtmpose": "eval.evaluators.rtmpose",
    },
    "identity": {"osnet": "eval.evaluators.osnet", "dlib-face": "eval.evaluators.dlib_face"},
}

Output = TypeVar("Output", covariant=True)


@runtime_checkable
class Evaluator(Protocol[Output]):
    def __call__(self, frames: UInt8[np.ndarray, "t h w 3"]) -> Output: ...

    def save(self, path: Path) -> None: ...


@runtime_checkable
class EvaluatorModule(Protocol):
    """What a kind's file offers. `key` is the evaluator's key in params.yaml, for messages."""

    Config: type

    def train(self, config: Any, clips: Sequence[Path], key: str) -> Evaluator[Any]: ...

    def load(self, config: Any, path: Path) -> Evaluator[Any]: ...


LandmarkDetector = Evaluator[Landmarks]
IdentityEncoder = Evaluator[np.ndarray]


def evaluator_module(role: Role, section: Mapping[str, Any], key: str) -> tuple[EvaluatorModule, Any]:
    """The file of the section's `kind`, or the module from outside of that name, and the section as its `Config`.

    Raises:
        UserError: there is no such kind, the module defines no evaluator, or a key of the section does not fit.
    """
    kinds = KINDS[role]
    kind = section.get("kind")
    if isinstance(kind, str) and is_outside(kind):
        module: Any = outside_module(kind, ("Config", "train", "load"), PAGE)
        if not is_dataclass(module.Config):
            raise UserError(f"{kind}.Config must be a frozen dataclass with a default for every field ({PAGE}).")
    elif kind in kinds:
        module = importlib.import_module(kinds[kind])
    else:
        raise UserError(
            f"{key}.kind is {kind!r}; choose one of {', '.join(kinds)}, name a module of your own as PACKAGE.MODULE "
            f"({PAGE}), or set {key} to null."
        )
    return module, from_mapping(module.Config, section, key)


def is_trained(module: EvaluatorModule, settings: Any) -> bool:
    """Whether an evaluator of this kind learns from the data set's clips; the others bring weights of their own."""
    return not hasattr(module, "NEEDS") and getattr(settings, "file", None) is None
