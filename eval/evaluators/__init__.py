"""Networks that read joints and identity off a frame: trained on the data set's own training clips, or pretrained.

A kind of evaluator is one file with `Config` (frozen, with a `kind`), `train(config, clips, key)` and
`load(config, path)`; the latter two give an `Evaluator`. A pretrained one's file also names in `NEEDS` its weights of
eval/weights.yaml; `check(config)`, where a file has it, says beforehand what else is missing.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np
from jaxtyping import UInt8

from eval.types import Landmarks, Role
from tpsm.core.errors import UserError
from tpsm.core.schema import from_mapping

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
    """The file of the section's `kind`, and the section as that file's `Config`."""
    kinds = KINDS[role]
    kind = section.get("kind")
    if kind not in kinds:
        raise UserError(f"{key}.kind is {kind!r}; choose one of {', '.join(kinds)}, or set {key} to null.")
    module: Any = importlib.import_module(kinds[kind])
    return module, from_mapping(module.Config, section, key)


def is_trained(module: EvaluatorModule, settings: Any) -> bool:
    """Whether an evaluator of this kind learns from the data set's clips; the others bring weights of their own."""
    return not hasattr(module, "NEEDS") and getattr(settings, "file", None) is None
