"""What every option of a kind is held against, before a command begins."""

from __future__ import annotations

import math
from collections.abc import Callable

from tpsm.core.errors import UserError
from tpsm.core.layout import check_name


def name_option(option: str) -> Callable[[str | None], str | None]:
    """For what names a data set or a run."""
    return lambda value: None if value is None else check_name(value, option)


def finite_option(option: str) -> Callable[[float | None], float | None]:
    """For numbers: NaN lies within every bound that an option has."""

    def check(value: float | None) -> float | None:
        if value is not None and not math.isfinite(value):
            raise UserError(f"{option} is {value}; give a number.")
        return value

    return check
