"""Finds the animation methods by name; the code of a method is imported only when it is asked for."""

import importlib
from typing import Any

from tpsm.core.errors import UserError

METHODS = {"tps": "tpsm.methods.tps", "fomm": "baselines.fomm", "mraa": "baselines.mraa"}


def method_module(name: str) -> Any:
    """Returns the module that holds a method's `Config` and `Model`. Raises UserError where there is no such method."""
    if name not in METHODS:
        raise UserError(f"There is no method '{name}'; choose one of {', '.join(METHODS)}.")
    return importlib.import_module(METHODS[name])
