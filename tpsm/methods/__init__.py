import importlib
from typing import Any

from tpsm.core.errors import UserError

"""The methods by name; each is found when it is asked for."""

METHODS = {"tps": "tpsm.methods.tps", "fomm": "baselines.fomm", "mraa": "baselines.mraa"}


def method_module(name: str) -> Any:
    """The module that holds a method's `Config` and `Model`. Its code is only imported when it is asked for."""
    if name not in METHODS:
        raise UserError(f"There is no method '{name}'; choose one of {', '.join(METHODS)}.")
    return importlib.import_module(METHODS[name])
