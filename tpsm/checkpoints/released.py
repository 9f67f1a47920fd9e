"""Reads the checkpoints that the papers' authors released: every entry is accounted for, none copied in memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tpsm.core.errors import UserError
from tpsm.core.tensors import read_torch, state_dict_in, unwrapped
from tpsm.core.types import Keypoints
from tpsm.methods import method_module
from tpsm.methods.avd import AVD
from tpsm.methods.avd_config import AvdConfig
from tpsm.methods.base import Method
from tpsm.nn.state_dict import ReleasedModules

# What the released programs save beside the modules; training alone goes on from it.
TRAINING_STATE = frozenset(
    {"epoch", "epoch_avd", "epoch_reconstruction", "optimizer", "optimizer_avd", "optimizer_bg_predictor"}
    | {"optimizer_discriminator", "optimizer_generator", "optimizer_kp_detector", "optimizer_reconstruction"}
)
AVD_MODULE = "avd_network"
WITH_AVD = ("tps", "mraa")
"""Methods whose released files may hold an AVD network."""


@dataclass(frozen=True)
class ReleasedCheckpoint:
    """The state dicts of a released file, by module; `avd` is that of the AVD network, if the file has one."""

    path: Path
    modules: Mapping[str, Mapping[str, Tensor]]
    avd: Mapping[str, Tensor] | None

    def method(self, name: str, config: Any) -> Method:
        """Returns the method `name`, built from `config`, whose state dict is the file's.

        What a state dict leaves out is on the meta device: the method can be written, but cannot run.

        Raises:
            UserError: a module or an entry is missing, superfluous or of another shape.
        """
        method = skeleton(name, config)
        method.load_released(ReleasedModules(self.path, self.modules))
        return method

    def avd_network(self, keypoints: Keypoints, config: AvdConfig) -> AVD:
        """Returns the AVD network for keypoints such as these.

        Raises:
            UserError: the file has none, or an entry is missing, superfluous or of another shape.
        """
        if self.avd is None:
            raise UserError(f"{self.path} holds no AVD network; take its run out of animate.avd in params.yaml.")
        with torch.device("meta"):
            network = AVD.like(keypoints, config)
        ReleasedModules(self.path, {AVD_MODULE: self.avd}).load(network, AVD_MODULE)
        return network


def read_released(path: Path, method: str) -> ReleasedCheckpoint:
    """Reads a file that the released code of `method` wrote, with PyTorch of any age.

    Files of today's format are mapped into memory and not read; those from before PyTorch 1.6 are read once.

    Raises:
        UserError: the file is absent or damaged, would run code, or holds something that is no module.
    """
    if not path.is_file():
        raise UserError(f"There is no released checkpoint {path}; name the right file.")
    modules = modules_of(read_torch(path, mmap=True), path)
    avd = modules.pop(AVD_MODULE, None) if method in WITH_AVD else None
    return ReleasedCheckpoint(path, modules, avd)


def modules_of(content: Any, path: Path) -> dict[str, Mapping[str, Tensor]]:
    """Returns the modules' state dicts in what was read from a file, without what only training needs.

    The file may have the form of the released programs, or one that is common elsewhere: all below `state_dict`, all
    entries in one mapping by their whole names (as in safetensors), or every name below `module.`, as PyTorch's
    parallel training leaves it.

    Raises:
        UserError: there are no modules by name, or something among them that is no weights.
    """
    content = state_dict_in(content)
    if not isinstance(content, Mapping) or not content:
        raise UserError(f"{path} holds no modules by name; is it a released checkpoint?")
    content = {str(name): value for name, value in content.items() if not is_training_state(str(name), value)}
    if content and all(isinstance(value, Tensor) for value in content.values()):
        content = by_module(unwrapped(content), path)
    for name, entries in content.items():
        if not isinstance(entries, Mapping) or not all(isinstance(value, Tensor) for value in entries.values()):
            raise UserError(f"{path}: '{name}' is neither a module's weights nor known from released files.")
    return {name: unwrapped({str(key): value for key, value in entries.items()}) for name, entries in content.items()}


def is_training_state(name: str, value: Any) -> bool:
    """Whether an entry only serves training: by its name, or as a number or text such as `best_loss` or `rank1`."""
    return name in TRAINING_STATE or value is None or isinstance(value, (bool, int, float, str, np.generic))


def by_module(entries: Mapping[str, Tensor], path: Path) -> dict[str, dict[str, Tensor]]:
    """Returns `{"a.b.c": x}` as `{"a": {"b.c": x}}`. Raises UserError where an entry has no module."""
    modules: dict[str, dict[str, Tensor]] = {}
    for key, value in entries.items():
        module, _, entry = key.partition(".")
        if not entry:
            raise UserError(f"{path}: the entry '{key}' belongs to no module; is it a released checkpoint?")
        modules.setdefault(module, {})[entry] = value
    return modules


def skeleton(name: str, config: Any) -> Method:
    """Returns the method without memory for its weights: it knows their shapes, and takes meta tensors."""
    with torch.device("meta"):
        method: Method = method_module(name).Model(config)
    return method.eval().requires_grad_(False)
