"""Configures the schedule of training."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

Precision = Literal["fp32", "bf16"]


@dataclass(frozen=True)
class TrainConfig:
    """The schedule of a training. An epoch passes over the training clips (or identities) `repeats` times.

    `batch` is the number of pairs of a step, over all processes and all `accumulate` turns, in which a small machine
    takes them. The learning rate falls tenfold at each of `milestones` (epochs). `clip_norm` bounds the largest
    gradient entry of each submodule that the method names (the released TPSMM code: 10); None clips nothing. `workers`
    load pairs on each machine. `sync_batch_norm` computes batch statistics over all processes; None does as the
    method's released code (FOMM: yes; TPSMM, MRAA: no).
    """

    epochs: int = 100
    repeats: int = 75
    batch: int = 28
    learning_rate: float = 2e-4
    betas: tuple[float, float] = (0.5, 0.999)
    weight_decay: float = 0.0
    milestones: tuple[int, ...] = (70, 90)
    clip_norm: float | None = 10.0
    seed: int = 0
    workers: int = 0
    checkpoint_every: int = 500
    preview_every: int = 500
    precision: Precision = "fp32"
    channels_last: bool = False
    compile: bool = False
    accumulate: int = 1
    sync_batch_norm: bool | None = None

    def __post_init__(self) -> None:
        for field in ("epochs", "repeats", "batch", "accumulate", "checkpoint_every", "preview_every"):
            if getattr(self, field) < 1:
                raise ValueError(f"{field}: must be at least 1")
        if self.accumulate > self.batch:
            raise ValueError(f"accumulate: a batch of {self.batch} cannot be taken in {self.accumulate} turns")
        if not 0 < self.learning_rate < math.inf:
            raise ValueError("learning_rate: must be above 0")
        if self.clip_norm is not None and not self.clip_norm > 0:
            raise ValueError("clip_norm: must be above 0, or null to clip nothing")
        if self.weight_decay < 0 or self.workers < 0:
            raise ValueError(f"{'weight_decay' if self.weight_decay < 0 else 'workers'}: must not be negative")

    def rate(self, epoch: int) -> float:
        """Returns the learning rate of `epoch` (from 0), a function of the epoch alone, so that resuming cannot
        shift it."""
        return self.learning_rate * 0.1 ** sum(epoch >= milestone for milestone in self.milestones)
