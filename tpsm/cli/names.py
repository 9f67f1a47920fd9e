"""Checks the options of all commands before a command begins."""

from __future__ import annotations

import math

from typer.core import TyperArgument, TyperOption

from tpsm.core.errors import UserError
from tpsm.core.layout import check_name


def name_option(_: object, option: TyperOption | TyperArgument, value: str | None) -> str | None:
    """Checks the name of a data set or a run. Raises UserError where no folder can have it."""
    return None if value is None else check_name(value, option.opts[0])


def finite_option(_: object, option: TyperOption | TyperArgument, value: float | None) -> float | None:
    """Refuses NaN, which lies within every bound that an option has, and infinity."""
    if value is not None and not math.isfinite(value):
        raise UserError(f"{option.opts[0]} is {value}; give a number.")
    return value
