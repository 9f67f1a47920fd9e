"""The random numbers of a training step: the same whether one process computes the whole batch or many a part each."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Part:
    """Which of `parts` equal slices of a batch, in order, a process (or a turn of gradient accumulation) computes."""

    index: int = 0
    parts: int = 1

    def rows(self, count: int) -> slice:
        """The slice's rows, of `count` each."""
        return slice(self.index * count, (self.index + 1) * count)


class Draws:
    """Numbers from a CPU generator. They are drawn for the whole batch, of which a part sees its own rows."""

    def __init__(self, seed: int, part: Part = Part()) -> None:
        self._generator = torch.Generator().manual_seed(seed)
        self._part = part

    def normal(self, rows: int, *shape: int) -> Tensor:
        """Standard normal numbers for the `rows` samples at hand."""
        return torch.randn(rows * self._part.parts, *shape, generator=self._generator)[self._part.rows(rows)]

    def uniform(self, rows: int, *shape: int) -> Tensor:
        """Numbers from 0 to 1 for the `rows` samples at hand."""
        return torch.rand(rows * self._part.parts, *shape, generator=self._generator)[self._part.rows(rows)]
