"""Draws the random numbers of a training step, which do not depend on how many processes share the batch."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor


@dataclass(frozen=True)
class BatchSlice:
    """The rows from `start` to before `stop` of a batch of `total`: what one process computes in one turn."""

    start: int
    stop: int
    total: int

    @staticmethod
    def split(total: int, count: int) -> tuple[BatchSlice, ...]:
        """Cuts a batch into `count` parts, in order, whose sizes differ by one at most."""
        bounds = [index * total // count for index in range(count + 1)]
        return tuple(BatchSlice(start, stop, total) for start, stop in pairwise(bounds))

    @property
    def rows(self) -> slice:
        """The rows as an index into the batch."""
        return slice(self.start, self.stop)


class BatchRng:
    """Draws numbers on the CPU. They are drawn for the whole batch, and a part sees its own rows of them."""

    def __init__(self, seed: int, part: BatchSlice | None = None) -> None:
        self._generator = torch.Generator().manual_seed(seed)
        self._part = part

    def normal(self, rows: int, *shape: int) -> Tensor:
        """Returns standard normal numbers of shape (`rows`, *`shape`) for the samples at hand."""
        part = self._part or BatchSlice(0, rows, rows)
        return torch.randn(part.total, *shape, generator=self._generator)[part.rows]

    def uniform(self, rows: int, *shape: int) -> Tensor:
        """Returns numbers from [0, 1) of shape (`rows`, *`shape`) for the samples at hand."""
        part = self._part or BatchSlice(0, rows, rows)
        return torch.rand(part.total, *shape, generator=self._generator)[part.rows]
