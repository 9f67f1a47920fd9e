"""Loads what training left of a run: the method, and its AVD network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tpsm.checkpoints.checkpoint import load_checkpoint, load_method
from tpsm.core.device import device
from tpsm.core.errors import UserError
from tpsm.core.files import sha256_of
from tpsm.core.schema import from_mapping
from tpsm.core.types import Keypoints
from tpsm.methods.avd import AVD, AvdTraining
from tpsm.methods.avd_config import AvdConfig
from tpsm.methods.base import Method
from tpsm.nn.state_dict import build_strictly


@dataclass(frozen=True)
class CheckpointRef:
    """Names a run's checkpoint, which is loaded where it is needed, once per process and per state of the file."""

    file: Path
    method: str
    sha256: str

    @classmethod
    def at(cls, file: Path, method: str) -> CheckpointRef:
        """Returns the reference to `file`. Where there is none it has no hash, and loading it raises a UserError."""
        return cls(file, method, sha256_of(file) if file.is_file() else "")

    def load(self) -> Method:
        """Returns the method, in eval mode and on this process's device."""
        return _loaded(self)[0]

    def steps(self) -> int:
        """Returns how many steps of training made the method."""
        return _loaded(self)[1]

    def load_avd(self, method: CheckpointRef, size: int) -> AVD:
        """Returns this file's AVD network, for `method` on images of `size` pixels."""
        return _avd(self, method, size)


@lru_cache(maxsize=1)
def _loaded(checkpoint: CheckpointRef) -> tuple[Method, int]:
    method, content = load_method(checkpoint.file, checkpoint.method)
    return method.to(device()), content.step


@lru_cache(maxsize=1)
def _avd(checkpoint: CheckpointRef, method: CheckpointRef, size: int) -> AVD:
    return load_avd(checkpoint.file, method.load(), size)


def load_avd(path: Path, method: Method, size: int) -> AVD:
    """Returns the AVD network in `path`, for `method` on images of `size` pixels. Raises UserError where it cannot."""
    if not path.is_file():
        raise UserError(
            f"The run '{path.parent.name}' has no AVD network; `animate.avd` in params.yaml names those that get one."
        )
    checkpoint = load_checkpoint(path)
    if checkpoint.method != "avd":
        raise UserError(f"{path} holds a checkpoint of method '{checkpoint.method}', not an AVD network.")
    return build_avd(checkpoint.model_config, checkpoint.weights, method, size, path)


def build_avd(model: Mapping[str, Any], weights: Mapping[str, Tensor], method: Method, size: int, path: Path) -> AVD:
    """Returns the AVD network of the section `model` with the weights read from `path`, for `method` on images of
    `size` pixels. Raises UserError where they do not fit."""
    config = from_mapping(AvdConfig, model, f"{path}: model")
    keypoints = example_keypoints(method, size)
    task = build_strictly(lambda: AvdTraining(method, AVD.like(keypoints, config), config), weights, path)
    return task.avd.to(device()).eval().requires_grad_(False)


@torch.inference_mode()
def example_keypoints(method: Method, size: int) -> Keypoints:
    """Returns keypoints such as the method finds, for their number and their parts, on an image of `size` pixels."""
    return method.keypoints(torch.zeros(1, 3, size, size, device=next(method.parameters()).device))
