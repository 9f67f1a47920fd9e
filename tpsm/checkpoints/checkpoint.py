"""Checkpoints: what stands in a file, and how a model comes back out of it. Loading one can run no code."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from torch import Tensor, nn

from tpsm.core.errors import UserError
from tpsm.core.schema import build
from tpsm.core.tensors import read_torch, write_torch
from tpsm.methods import method_module
from tpsm.methods.base import Method

Fit = Literal["crop", "stretch"]


@dataclass(frozen=True)
class Checkpoint:
    """A model's weights beside all that it takes to build it again.

    `method` is a key of `tpsm.methods.base.METHODS`, or `avd`; `model_config` is the section it was built from;
    `optimizer` is absent from a finished run's file; `epoch` and `step` count what is done. `fit` is how frames became
    squares (`DataConfig.fit`), which a file does not say where they were cropped.
    """

    method: str
    run: str
    dataset: str
    size: int
    model_config: dict[str, Any]
    weights: dict[str, Tensor]
    epoch: int
    step: int
    optimizer: dict[str, Any] | None = None
    fit: Fit = "crop"

    def __post_init__(self) -> None:
        if self.fit not in ("crop", "stretch"):
            raise TypeError(f"fit: must be crop or stretch, not {str(self.fit)[:40]!r}")

    def save(self, path: Path) -> None:
        unsaid = {"fit"} if self.fit == "crop" else set()
        write_torch(path, {"format": 1, **{key: value for key, value in vars(self).items() if key not in unsaid}})


def load_checkpoint(path: Path) -> Checkpoint:
    """Raises `UserError` where the file is absent, damaged, or no checkpoint of this project."""
    if not path.is_file():
        raise UserError(f"There is no checkpoint {path}; train the run first, or name the right file.")
    content = read_torch(path)
    if not isinstance(content, dict) or content.pop("format", None) != 1:
        raise UserError(f"{path} is not a checkpoint that `tpsm train` wrote.")
    try:
        return Checkpoint(**content)
    except TypeError as error:
        raise UserError(f"{path} is not a whole checkpoint: {error}.") from error


def load_method(path: Path, expected: str | None = None) -> tuple[Method, Checkpoint]:
    """The trained method in eval mode. `expected` refuses a checkpoint of another method by name."""
    checkpoint = load_checkpoint(path)
    if expected is not None and checkpoint.method != expected:
        raise UserError(f"{path} holds a checkpoint of method '{checkpoint.method}', but '{expected}' is needed here.")
    module = method_module(checkpoint.method)
    method: Method = module.Model(build(module.Config, checkpoint.model_config, f"{path}: model"))
    load_weights(method, checkpoint, path)
    return method.eval().requires_grad_(False), checkpoint


def load_weights(module: nn.Module, checkpoint: Checkpoint, path: Path) -> None:
    """Strictly: the first entry that does not fit is named."""
    own = module.state_dict()
    for key in sorted(own.keys() | checkpoint.weights.keys()):
        if key not in checkpoint.weights:
            raise UserError(f"{path} lacks the entry '{key}' that its configuration asks for.")
        if key not in own:
            raise UserError(f"{path} holds the entry '{key}', which its configuration has no place for.")
        if own[key].shape != checkpoint.weights[key].shape:
            shapes = f"{tuple(checkpoint.weights[key].shape)}, not {tuple(own[key].shape)}"
            raise UserError(f"{path}: the entry '{key}' has the shape {shapes}.")
    module.load_state_dict(checkpoint.weights)
