"""State dicts of files into modules: the one place where weights from a file become a network's, and strictly."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from tpsm.core.errors import UserError
from tpsm.core.tensors import unlike_numbers

Module = TypeVar("Module", bound=nn.Module)

COUNTER = "num_batches_tracked"
"""Batch norms' counters of batches: files from before PyTorch 0.4.1 lack them, and nothing here reads them."""


HINT = "is it of this method and configuration?"


def load_strictly(
    module: nn.Module, entries: Mapping[str, Tensor], file: Path, within: str = "", *, hint: str = HINT
) -> None:
    """Puts `entries` into `module`: all of its own are there and no others, each of its shape and a real number.

    A module on the meta device takes the tensors themselves, without a copy where they have its types; any other keeps
    its tensors and gets the values. Where an entry does not fit, the module is left as it was.

    Raises:
        UserError: an entry is missing, superfluous, of another shape, not finite, or no plain array of real numbers.
            The message names `file` and the entry, whose name in the file begins with `within`, and ends with `hint`
            where the file may be another than it should.
    """
    check_strictly(module, entries, file, within, hint=hint)
    own = module.state_dict()
    counters = {key: torch.zeros((), dtype=torch.int64) for key in own if key.endswith(COUNTER)}
    whole = counters | {key: value.to(own[key].dtype) for key, value in entries.items()}
    module.load_state_dict(whole, assign=any(value.is_meta for value in own.values()))


def build_strictly(make: Callable[[], Module], entries: Mapping[str, Tensor], file: Path) -> Module:
    """Returns the module that `make` builds, with `entries`.

    It is first built without memory and held against the entries, so that sizes that a file claims can take no more
    memory than its own weights do.

    Raises:
        UserError: as `load_strictly`; or no module can be of such sizes.
    """
    try:
        with torch.device("meta"):
            check_strictly(make(), entries, file)
    except (ValueError, RuntimeError, OverflowError, TypeError) as error:
        raise UserError(f"{file}: no model can be built from its configuration ({error}).") from error
    module = make()
    load_strictly(module, entries, file)
    return module


def check_strictly(
    module: nn.Module, entries: Mapping[str, Tensor], file: Path, within: str = "", *, hint: str = HINT
) -> None:
    """Raises UserError as `load_strictly`, and loads nothing; `module` may be on the meta device."""
    own, prefix = module.state_dict(), f"{within}." if within else ""
    missing = [key for key in own if key not in entries and not key.endswith(COUNTER)]
    strange = [key for key in entries if key not in own]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        instead = f" (but {prefix}{strange[0]}, for which the model has no place)" if strange else ""
        raise UserError(f"{file} has no entry {prefix}{missing[0]}{more}{instead}; {hint}")
    if strange:
        raise UserError(f"{file} has the entry {prefix}{strange[0]}, for which the model has no place; {hint}")
    for key, value in entries.items():
        if fault := _fault(value, own[key], prefix + key):
            raise UserError(f"{file}: the entry {prefix}{key} {fault}")


def _fault(given: Tensor, own: Tensor, name: str) -> str | None:
    """Returns what speaks against an entry of a file in the place of the model's `own`."""
    if given.shape != own.shape:
        shapes = f"{tuple(given.shape)}, the model's of {tuple(own.shape)}"
        return f"is of shape {shapes}; is its configuration right?"
    if fault := unlike_numbers(given):
        return f"{fault}; it must be an array of real numbers."
    # Programs that convert weights convert the count of batches with them, so a float for a whole number is taken.
    if own.is_floating_point() and not given.is_floating_point():
        return f"is of type {given.dtype}, the model's of {own.dtype}."
    # The anti-aliasing kernel of scale 1 is 0 / 0 in released files, and never used.
    if given.is_floating_point() and not name.endswith("down.weight") and not given.isfinite().all():
        return "holds values that are not finite; they are no trained weights."
    return None


def length_of(entries: Mapping[str, Tensor], key: str, file: Path) -> int:
    """Returns the length of an entry by which a file says how large its network is.

    Raises:
        UserError: there is no such entry, or it has no length.
    """
    if key not in entries or entries[key].ndim == 0:
        raise UserError(f"{file} has no entry {key} with a length; is it a file of this kind of network?")
    return len(entries[key])


@dataclass(frozen=True)
class ReleasedModules:
    """A released file's state dicts by the names of their modules. Our names equal the released ones, so the map of
    entries is the identity."""

    file: Path
    entries: Mapping[str, Mapping[str, Tensor]]

    def load(self, module: nn.Module, name: str, *, hint: str = "is it of this method?") -> None:
        """Puts the module `name` of the file into `module`, as `load_strictly`.

        Raises:
            UserError: as `load_strictly`; or the file has no such module, and then `hint` says what to do.
        """
        load_strictly(module, self._of(module, name, hint), self.file, name)

    def check(self, module: nn.Module, name: str) -> None:
        """Raises UserError as `load`, and loads nothing."""
        check_strictly(module, self._of(module, name, "is it of this method?"), self.file, name)

    def refuse_others(self, known: Container[str]) -> None:
        """Raises UserError where there is a module that is not `known`; an empty one needs no place."""
        for name, entries in self.entries.items():
            if entries and name not in known:
                raise UserError(
                    f"{self.file}: the model has no place for the module '{name}'; is its configuration right?"
                )

    def _of(self, module: nn.Module, name: str, hint: str) -> Mapping[str, Tensor]:
        if not self.entries.get(name) and module.state_dict():
            if name in self.entries:
                raise UserError(f"{self.file}: the module '{name}' is empty; {hint}")
            names = ", ".join(sorted(self.entries)) or "none"
            raise UserError(f"{self.file} has no module '{name}', only {names}; {hint}")
        return self.entries[name]
