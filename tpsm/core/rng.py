"""The random numbers of a training step: the same whether one process computes the whole batch or many a part each."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor


@dataclass(frozen=True)
class BatchSlice:
    """The rows `start` to `stop` of a batch of `total`: what one process computes, in one turn of accumulation."""

    start: int
    stop: int
    total: int

    @staticmethod
    def split(total: int, count: int) -> tuple[BatchSlice, ...]:
        """A batch in `count` parts, in order, whose sizes differ by one at most."""
        bounds = [index * total // count for index in range(count + 1)]
        return tuple(BatchSlice(start, stop, total) for start, stop in pairwise(bounds))

    @property
    def rows(self) -> slice:
        return slice(self.start, self.stop)

    @property
    def share(self) -> float:
        """Of the batch, from 0 to 1."""
        return (self.stop - self.start) / self.total


class BatchRng:
    """Numbers from a CPU generator. They are drawn for the whole batch, of which a part sees its own rows."""

    def __init__(self, seed: int, part: BatchSlice | None = None) -> None:
        self._generator = torch.Generator().manual_seed(seed)
        self._part = part

    def normal(self, rows: int, *shape: int) -> Tensor:
        """Standard normal numbers for the `rows` samples at hand."""
        part = self._part or BatchSlice(0, rows, rows)
        return torch.randn(part.total, *shape, generator=self._generator)[part.rows]

    def uniform(self, rows: int, *shape: int) -> Tensor:
        """Numbers from 0 to 1 for the `rows` samples at hand."""
        part = self._part or BatchSlice(0, rows, rows)
        return torch.rand(part.total, *shape, generator=self._generator)[part.rows]
