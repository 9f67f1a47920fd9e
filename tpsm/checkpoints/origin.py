"""Puts a file's weights in the place of drawn ones, for a training to begin with."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from tpsm.checkpoints.checkpoint import from_content, is_ours
from tpsm.checkpoints.released import AVD_MODULE, WITH_AVD, by_module, modules_of
from tpsm.core.errors import UserError
from tpsm.core.tensors import read_torch
from tpsm.methods.base import Method
from tpsm.nn.state_dict import check_strictly, load_strictly

log = logging.getLogger(__name__)


def begin_with(method: Method, name: str, path: Path) -> None:
    """Puts the file's weights in the place of the drawn ones, whole modules at a time.

    Modules that the file lacks stay as they were drawn (FOMM's discriminator, where the file's run had none).

    Raises:
        UserError: as `fitting`.
    """
    modules = fitting(method, name, path)
    children = dict(method.named_children())
    for child, entries in modules.items():
        load_strictly(children[child], entries, path, child)
    fresh = [child for child, module in children.items() if child not in modules and module.state_dict()]
    log.info("The weights of %s are %s's; %s.", ", ".join(modules), path, f"drawn are {fresh}" if fresh else "all")


def fitting(method: Method, name: str, path: Path) -> Mapping[str, Mapping[str, Tensor]]:
    """Returns those modules of the file that `method` has too, which may be on the meta device; `name` is the method's.

    Raises:
        UserError: the file is no checkpoint, or one of another method or configuration.
    """
    content = read_torch(path, mmap=True)
    if is_ours(content):
        checkpoint = from_content(content, path)
        if checkpoint.method != name:
            raise UserError(f"train.from: {path} holds a checkpoint of '{checkpoint.method:.80}', not of '{name}'.")
        modules = by_module(checkpoint.weights, path)
    else:
        modules = {key: dict(entries) for key, entries in modules_of(content, path).items()}
        if name in WITH_AVD:
            modules.pop(AVD_MODULE, None)
    own = {child: module for child, module in method.named_children() if module.state_dict()}
    common = {child: modules[child] for child in own if modules.get(child)}
    if not common:
        raise UserError(f"train.from: {path} holds {', '.join(modules)}, and none of {', '.join(own)} of '{name}'.")
    for child, entries in common.items():
        check_strictly(own[child], entries, path, child)
    return common
