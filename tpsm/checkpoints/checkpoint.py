"""Reads and writes this project's checkpoints, and builds models from them. Loading one can run no code."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from torch import Tensor

from tpsm.core.errors import UserError
from tpsm.core.schema import Side, Step, from_mapping
from tpsm.core.tensors import read_torch, write_torch
from tpsm.methods import METHODS, method_module
from tpsm.methods.base import Method
from tpsm.nn.state_dict import build_strictly

Fit = Literal["crop", "stretch"]


@dataclass(frozen=True)
class Checkpoint:
    """A model's weights, with all that it takes to build the model again.

    `method` is a key of `tpsm.methods.METHODS`, or `avd`; `model_config` is the section that it was built from;
    `optimizer` is absent from a finished run's file; `epoch` and `step` count what is done. `fit` is how frames became
    squares (`DataConfig.fit`), which a file does not say where they were cropped.
    """

    method: str
    run: str
    dataset: str
    size: Side
    model_config: dict[str, Any]
    weights: dict[str, Tensor]
    epoch: Step
    step: Step
    optimizer: dict[str, Any] | None = None
    fit: Fit = "crop"
    __pydantic_config__: ClassVar = {"arbitrary_types_allowed": True}  # tensors

    def save(self, path: Path) -> None:
        """Writes the checkpoint; equal ones make equal files."""
        unsaid = {"fit"} if self.fit == "crop" else set()
        write_torch(path, {"format": 1, **{key: value for key, value in vars(self).items() if key not in unsaid}})


def load_checkpoint(path: Path) -> Checkpoint:
    """Reads a checkpoint. Raises UserError where the file is absent, damaged, or no checkpoint of this project."""
    if not path.is_file():
        raise UserError(f"There is no checkpoint {path}; train the run first, or name the right file.")
    content = read_torch(path)
    if not is_ours(content):
        raise UserError(
            f"{path} is not a checkpoint that `tpsm train` wrote; `tpsm import` takes those of the released programs."
        )
    return from_content(content, path)


def is_ours(content: Any) -> bool:
    """Whether what was read from a file claims to be a checkpoint of this project."""
    return isinstance(content, dict) and content.get("format") == 1


def from_content(content: dict[str, Any], path: Path) -> Checkpoint:
    """Raises UserError, naming `path`, where a part is missing, superfluous or of another type."""
    return from_mapping(Checkpoint, {key: value for key, value in content.items() if key != "format"}, str(path))


def load_method(path: Path, expected: str | None = None) -> tuple[Method, Checkpoint]:
    """Returns the trained method in eval mode, and its checkpoint.

    Raises:
        UserError: the file is no checkpoint of a method, or of another than `expected`, or its entries do not fit.
    """
    checkpoint = load_checkpoint(path)
    if expected is not None and checkpoint.method != expected:
        raise UserError(f"{path} holds a checkpoint of method '{checkpoint.method}', but '{expected}' is needed here.")
    return build_method(checkpoint, path), checkpoint


def build_method(checkpoint: Checkpoint, path: Path) -> Method:
    """Returns the method of a checkpoint, which was read from `path`, in eval mode.

    Raises:
        UserError: it is no checkpoint of a method, or its entries do not fit.
    """
    if checkpoint.method not in METHODS:
        raise UserError(f"{path} holds a checkpoint of '{checkpoint.method:.80}', which is no method here.")
    module = method_module(checkpoint.method)
    config = from_mapping(module.Config, checkpoint.model_config, f"{path}: model")
    method: Method = build_strictly(lambda: module.Model(config), checkpoint.weights, path)
    return method.eval().requires_grad_(False)
