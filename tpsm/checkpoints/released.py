"""Checkpoints that the papers' authors released: every entry accounted for, and no second copy in memory."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tpsm.core.errors import UserError
from tpsm.core.tensors import read_torch
from tpsm.core.types import Keypoints
from tpsm.methods import method_module
from tpsm.methods.avd import AVD
from tpsm.methods.avd_config import AvdConfig
from tpsm.methods.base import Method
from tpsm.nn import state_dict as official

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
    path: Path
    modules: official.Modules
    avd: Mapping[str, Tensor] | None

    def method(self, name: str, config: Any) -> Method:
        """The method `name`, built from `config`, whose state dict is the file's.

        What a state dict leaves out is on the meta device: the method can be written, but cannot run.

        Raises:
            UserError: a module or an entry is missing, superfluous or of another shape.
        """
        method = skeleton(name, config)
        with _naming(self.path):
            method.load_official(self.modules)
        return method

    def avd_network(self, keypoints: Keypoints, config: AvdConfig) -> AVD:
        """The AVD network for keypoints such as these.

        Raises:
            UserError: there is none, or an entry is missing, superfluous or of another shape.
        """
        if self.avd is None:
            raise UserError(f"{self.path} holds no AVD network; take its run out of animate.avd in params.yaml.")
        with torch.device("meta"):
            network = AVD.like(keypoints, config)
        with _naming(self.path):
            official.take(network, {AVD_MODULE: self.avd}, AVD_MODULE)
        return network


def read_released(path: Path, method: str) -> ReleasedCheckpoint:
    """A file that the released code of `method` wrote, by PyTorch of any age.

    Files of today's format are mapped into memory and not read; those from before PyTorch 1.6 are read once.

    Raises:
        UserError: the file is absent or damaged, would run code, or holds something that is no module.
    """
    if not path.is_file():
        raise UserError(f"There is no released checkpoint {path}; name the right file.")
    content = read_torch(path, mmap=zipfile.is_zipfile(path))
    if not isinstance(content, Mapping):
        raise UserError(f"{path} holds no modules by name; is it a released checkpoint?")
    modules = {str(name): value for name, value in content.items() if name not in TRAINING_STATE}
    for name, entries in modules.items():
        if not isinstance(entries, Mapping) or not all(isinstance(value, Tensor) for value in entries.values()):
            raise UserError(f"{path}: '{name}' is neither a module's weights nor known from released files.")
    avd = modules.pop(AVD_MODULE, None) if method in WITH_AVD else None
    return ReleasedCheckpoint(path, modules, avd)


def skeleton(name: str, config: Any) -> Method:
    """The method without memory for its weights: it knows shapes, and can be sent meta tensors."""
    with torch.device("meta"):
        method: Method = method_module(name).Model(config)
    return method.eval().requires_grad_(False)


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    try:
        yield
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
