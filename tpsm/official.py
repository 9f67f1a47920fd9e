"""Released checkpoints into our modules. Our names equal the released ones, so the map is the identity, and strict."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from tpsm.errors import UserError


def take(module: nn.Module, modules: Mapping[str, Mapping[str, Tensor]], name: str) -> None:
    """Copies the state dict `modules[name]` into `module`, which is untouched where an entry does not fit.

    Raises:
        UserError: the module, or an entry of it, is missing, superfluous or of another shape.
    """
    if name not in modules:
        raise UserError(f"The checkpoint has no module '{name}'; it has {', '.join(sorted(modules)) or 'none'}.")
    given, own = modules[name], module.state_dict()
    for key in own:
        if key not in given:
            raise UserError(f"The checkpoint has no entry {name}.{key}; is it of this method and configuration?")
    for key in given:
        if key not in own:
            raise UserError(f"The model has no place for the entry {name}.{key}; is its configuration right?")
        if given[key].shape != own[key].shape:
            raise UserError(
                f"The checkpoint's entry {name}.{key} is of shape {tuple(given[key].shape)}, "
                f"the model's of {tuple(own[key].shape)}; is its configuration right?"
            )
    module.load_state_dict(given)
