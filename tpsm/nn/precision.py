"""Keeps coordinates in full precision where the networks compute in bf16.

The 8 bits of bf16 place a point within half a pixel of 256 at best.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import torch
from torch import Tensor

P = ParamSpec("P")
R = TypeVar("R")


def full_precision(function: Callable[P, R]) -> Callable[P, R]:
    """Runs `function` in fp32 also under autocast; tensors among its positional arguments are brought to fp32."""

    @wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        device = next((arg.device.type for arg in args if isinstance(arg, Tensor)), "cpu")
        if not torch.amp.is_autocast_available(device) or not torch.is_autocast_enabled(device):  # "meta" has none
            return function(*args, **kwargs)
        with torch.autocast(device, enabled=False):
            return function(*(_single(arg) for arg in args), **kwargs)  # type: ignore[arg-type]

    return wrapper


def _single(value: Any) -> Any:
    return value.float() if isinstance(value, Tensor) and value.dtype in (torch.bfloat16, torch.float16) else value
