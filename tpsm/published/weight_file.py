"""Reads and writes published weights: safetensors in half precision.

Reading runs no code, and equal content makes equal files.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
from safetensors import torch as safetensors
from torch import Tensor

from tpsm.core.errors import UserError
from tpsm.core.files import sha256_of_bytes
from tpsm.core.tensors import read_state_dict
from tpsm.published.card import Card, Published, card_of, card_text, read_card


def pack(weights: Mapping[str, Tensor]) -> bytes:
    """Returns the bytes of a safetensors file of `weights`.

    Matrices and kernels are stored in half precision, where their values fit. Tensors of one dimension (biases, the
    statistics of norms) are a hundredth of a network, and stay as they are; so do integers.

    Raises:
        UserError: a value is not finite.
    """
    stored = {}
    for name, value in weights.items():
        value = value.detach().cpu().contiguous()
        if value.is_floating_point() and not value.isfinite().all():
            raise UserError(f"The entry '{name}' is not finite, so it cannot be published; train again.")
        half = value.half() if value.is_floating_point() and value.ndim > 1 else value
        stored[name] = half.clone() if half.isfinite().all() else value.clone()
    return safetensors.save(stored)


def packed(file: Path, card: Card, weights: Mapping[str, Tensor]) -> dict[Path, bytes]:
    """Returns the contents of `file` and of its card, which gets the file's hash."""
    content = pack(weights)
    described = replace(card, sha256=sha256_of_bytes(content))
    return {file: content, card_of(file): card_text(described).encode()}


def read_published(published: Published, method: str) -> tuple[Card, dict[str, Tensor]]:
    """Reads the card, and the weights in single precision.

    Raises:
        UserError: a file is absent, damaged or changed, or holds other weights than those of a `method`.
    """
    path = published.unchanged()
    card = read_card(card_of(path))
    if card.method != method:
        raise UserError(f"{path} holds weights of '{card.method}', but '{method}' is needed here; publish it anew.")
    if card.sha256 != published.sha256:
        raise UserError(f"{path} is not the file that {card_of(path).name} describes; publish it anew.")
    weights = read_state_dict(path)
    return card, {name: value.float() if value.dtype == torch.float16 else value for name, value in weights.items()}
