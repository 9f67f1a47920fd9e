"""The weights that a run's training begins with: those of a file, or of another run."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from tpsm.checkpoints.checkpoint import from_content, is_ours
from tpsm.checkpoints.released import AVD_MODULE, WITH_AVD, by_module, modules_of, naming
from tpsm.core.errors import UserError
from tpsm.core.files import sha256_of
from tpsm.core.tensors import read_torch
from tpsm.methods.base import Method
from tpsm.nn import state_dict as official

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Origin:
    """`train.from`, resolved. `sha256` is the file's, and None where it is not there.

    Another run's file need not be there yet: `run` names that run, of the same data set, and `sha256` is that of its
    own resolved section, so that whatever changes its weights changes this too.
    """

    file: str
    sha256: str | None
    run: str | None = None

    @staticmethod
    def at(file: str) -> Origin:
        return Origin(file, sha256_of(Path(file)) if Path(file).is_file() else None)

    def unchanged(self) -> Path:
        """Raises UserError unless the file is there, and is the one that was meant when this was resolved."""
        path = Path(self.file)
        if self.run is not None:
            command = f"type `dvc repro train@{path.parent.parent.name}-{self.run}` first"
            if not path.is_file():
                raise UserError(f"train.from: the run '{self.run}' has not been trained ({path}); {command}.")
            if _parameters(path.with_name("summary.json"), self.run) != self.sha256:
                raise UserError(f"train.from: {path} was trained with other parameters than it has now; {command}.")
            return path
        if not path.is_file():
            raise UserError(f"train.from: there is no file {path}, and no run of that name; correct it.")
        if sha256_of(path) != self.sha256:
            raise UserError(f"train.from: {path} has changed since `tpsm configure` read it; run that again.")
        return path


def begin_with(method: Method, name: str, path: Path) -> None:
    """Puts the file's weights in the place of the drawn ones, whole modules at a time.

    Modules that the file lacks stay as they were drawn (FOMM's discriminator, where the file's run had none).

    Raises:
        UserError: as `fitting`.
    """
    modules = fitting(method, name, path)
    children = dict(method.named_children())
    for child, entries in modules.items():
        own = children[child].state_dict()
        children[child].load_state_dict({key: value.to(own[key].dtype) for key, value in entries.items()})
    fresh = [child for child, module in children.items() if child not in modules and module.state_dict()]
    log.info("The weights of %s are %s's; %s.", ", ".join(modules), path, f"drawn are {fresh}" if fresh else "all")


def fitting(method: Method, name: str, path: Path) -> Mapping[str, Mapping[str, Tensor]]:
    """Those of the file's modules that `method` has too, which may be on the meta device; `name` is the method's.

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
    with naming(path):
        for child in common:
            official.check(own[child], modules, child)
    return common


def _parameters(summary: Path, run: str) -> str | None:
    """The SHA-256 of the resolved section that a run was trained with, as its summary says."""
    try:
        return str(json.loads(summary.read_text(encoding="utf-8"))["provenance"]["parameters"][f"runs/{run}.yaml"])
    except (OSError, ValueError, LookupError, TypeError):  # none that training wrote
        return None
