"""Says which entries of a method's state dict are published, and completes published weights again."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from tpsm.methods.base import Method


def published_entries(method: Method, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Returns the weights without those that only training uses."""
    return {name: value for name, value in weights.items() if not _training_only(method, name)}


def with_unpublished(method: Method, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Returns the weights, and zeros for those that only training uses, in the shapes that `method` has."""
    zeros = {
        name: torch.zeros(value.shape, dtype=value.dtype)
        for name, value in method.state_dict().items()
        if _training_only(method, name)
    }
    return zeros | dict(weights)


def _training_only(method: Method, name: str) -> bool:
    return name.split(".")[0] in method.training_only
