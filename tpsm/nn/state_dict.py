"""Released checkpoints into our modules. Our names equal the released ones, so the map is the identity, and strict."""

from __future__ import annotations

from collections.abc import Container, Mapping

from torch import Tensor, nn

from tpsm.core.errors import UserError
from tpsm.core.tensors import unlike_numbers

Modules = Mapping[str, Mapping[str, Tensor]]
"""Module name -> state dict."""


def check(module: nn.Module, modules: Modules, name: str, *, hint: str = "is it of this method?") -> None:
    """Holds the entries of `modules[name]` against those of `module`, which may be on the meta device.

    Raises:
        UserError: the module, or an entry of it, is missing, superfluous or of another shape. `hint` says what to do
            about a missing module.
    """
    if not modules.get(name) and module.state_dict():
        if name in modules:
            raise UserError(f"The checkpoint's module '{name}' is empty; {hint}")
        raise UserError(f"The checkpoint has no module '{name}', only {', '.join(sorted(modules)) or 'none'}; {hint}")
    given, own = modules[name], module.state_dict()
    missing, strange = [key for key in own if key not in given], [key for key in given if key not in own]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        instead = f" (but {name}.{strange[0]}, for which the model has no place)" if strange else ""
        raise UserError(
            f"The checkpoint has no entry {name}.{missing[0]}{more}{instead}; is it of this method and configuration?"
        )
    for key in given:
        if key not in own:
            raise UserError(f"The model has no place for the entry {name}.{key}; is its configuration right?")
        check_entry(given[key], own[key], f"{name}.{key}")


def check_entry(given: Tensor, own: Tensor, name: str) -> None:
    """Holds an entry of a file against the model's `own`, which may be on the meta device.

    Raises:
        UserError: it is of another shape, or no array of finite real numbers.
    """
    if given.shape != own.shape:
        raise UserError(
            f"The checkpoint's entry {name} is of shape {tuple(given.shape)}, "
            f"the model's of {tuple(own.shape)}; is its configuration right?"
        )
    if fault := unlike_numbers(given):
        raise UserError(f"The checkpoint's entry {name} {fault}; it must be an array of real numbers.")
    # Programs that convert weights convert the count of batches with them, so a float for a whole number is taken.
    if own.is_floating_point() and not given.is_floating_point():
        raise UserError(f"The checkpoint's entry {name} is of type {given.dtype}, the model's of {own.dtype}.")
    # The anti-aliasing kernel of scale 1 is 0 / 0 in released files, and never used.
    if given.is_floating_point() and not name.endswith("down.weight") and not given.isfinite().all():
        raise UserError(f"The checkpoint's entry {name} holds values that are not finite; they are no trained weights.")


def take(module: nn.Module, modules: Modules, name: str, *, hint: str = "is it of this method?") -> None:
    """Puts the tensors of `modules[name]` in the place of the module's own, without a copy where they have its types.

    So a module on the meta device costs no memory. Where an entry does not fit, the module is left as it was.

    Raises:
        UserError: as `check`.
    """
    check(module, modules, name, hint=hint)
    own = module.state_dict()
    module.load_state_dict({key: value.to(own[key].dtype) for key, value in modules[name].items()}, assign=True)


def refuse_others(modules: Modules, known: Container[str]) -> None:
    """Raises UserError where there is a module that is not `known`; an empty one needs no place."""
    for name, entries in modules.items():
        if entries and name not in known:
            raise UserError(f"The model has no place for the module '{name}'; is its configuration right?")
