"""A method's published weights: what of its state dict they hold, and how the whole of it comes back."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from tpsm.methods.base import Method


def published_entries(method: Method, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights without what training alone uses."""
    return {name: value for name, value in weights.items() if not _training_only(method, name)}


def with_unpublished(method: Method, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights, and zeros for what training alone uses. `method` tells the shapes of the latter."""
    zeros = {
        name: torch.zeros(value.shape, dtype=value.dtype)
        for name, value in method.state_dict().items()
        if _training_only(method, name)
    }
    return zeros | dict(weights)


def _training_only(method: Method, name: str) -> bool:
    return name.split(".")[0] in method.training_only
