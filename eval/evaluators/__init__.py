"""Networks that read joints and identity off a frame: trained on the data set's own training clips, or pretrained.

A kind of evaluator is one file with `Config` (frozen, with a `kind`), `train(config, clips, key)` and
`load(config, path)`; the latter two give an `Evaluator`. A pretrained one's file also names in `NEEDS` its weights of
eval/weights.yaml; `check(config)`, where a file has it, says beforehand what else is missing.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from eval.metrics import Landmarks
from tpsm.core.errors import UserError
from tpsm.core.schema import build
from tpsm.data.clip import ClipFile

Role = Literal["landmarks", "identity"]
ROLES: tuple[Role, ...] = ("landmarks", "identity")
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
    return module, build(module.Config, section, key)


def device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def to_images(frames: UInt8[np.ndarray, "t h w 3"]) -> UInt8[Tensor, "t 3 h w"]:
    return torch.from_numpy(np.ascontiguousarray(frames)).permute(0, 3, 1, 2).contiguous()


def resized(images: Float[Tensor, "t 3 h w"], size: int) -> Float[Tensor, "t 3 {size} {size}"]:
    """Images at an evaluator's input size."""
    if images.shape[-2:] == (size, size):
        return images
    return torch.nn.functional.interpolate(images, (size, size), mode="bilinear", antialias=True, align_corners=False)


def spread(clip: ClipFile, count: int) -> np.ndarray:
    """Indices of at most `count` frames, evenly spread over the clip."""
    return np.unique(np.linspace(0, len(clip) - 1, min(count, len(clip))).round().astype(int))
