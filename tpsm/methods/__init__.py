"""Finds the animation methods by name; the code of a method is imported only when it is asked for."""

import importlib
from dataclasses import is_dataclass
from typing import Any

from tpsm.core.errors import UserError, is_outside, outside_module

METHODS = {"tps": "tpsm.methods.tps", "fomm": "baselines.fomm", "mraa": "baselines.mraa"}
FRAMES = "frames"
"""What a run is called in the place of its method where all there is of it is a folder of frames."""
PAGE = "docs/extending.md"


def check_method(name: str, where: str) -> None:
    """Raises UserError, which names the key `where`, unless `name` is a method, or a module from outside."""
    if name not in METHODS and not is_outside(name):
        raise UserError(
            f"{where} is '{name}'; choose one of {', '.join(METHODS)}, or name a module of your own as PACKAGE.MODULE "
            f"({PAGE})."
        )


def method_module(name: str) -> Any:
    """Returns the module that holds a method's `Config` and `Model`: one of ours, or one from outside by its dotted
    name.

    Raises:
        UserError: there is no such method, or the module from outside does not hold one.
    """
    if name == FRAMES:
        raise UserError("The method 'frames' is a folder of frames: there is no model to build, train or run.")
    check_method(name, "A method")
    if not is_outside(name):
        return importlib.import_module(METHODS[name])
    module = outside_module(name, ("Config", "Model"), PAGE)
    from tpsm.methods.base import Method  # Here: it needs PyTorch, as any method does.

    if not is_dataclass(module.Config):
        raise UserError(f"{name}.Config must be a frozen dataclass with a default for every field ({PAGE}).")
    if not (isinstance(module.Model, type) and issubclass(module.Model, Method)):
        raise UserError(f"{name}.Model must be a class that derives from tpsm.methods.base.Method ({PAGE}).")
    return module
