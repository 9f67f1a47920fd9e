"""What every option of a kind is held against, before a command begins."""

from __future__ import annotations

import math

from typer.core import TyperArgument, TyperOption

from tpsm.core.errors import UserError
from tpsm.core.layout import check_name


def name_option(_: object, option: TyperOption | TyperArgument, value: str | None) -> str | None:
    """For options and arguments that name a data set or a run."""
    return None if value is None else check_name(value, option.opts[0])


def finite_option(_: object, option: TyperOption | TyperArgument, value: float | None) -> float | None:
    """For numbers: NaN lies within every bound that an option has."""
    if value is not None and not math.isfinite(value):
        raise UserError(f"{option.opts[0]} is {value}; give a number.")
    return value
