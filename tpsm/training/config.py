"""Configures the schedule of training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tpsm.core.schema import Count, NotNegative, Positive, Seed, Whole, checked

Precision = Literal["fp32", "bf16"]
PLUMBING = ("workers", "checkpoint_every", "preview_every", "graph")
"""The keys of a schedule that decide no result."""


@checked
@dataclass(frozen=True)
class TrainConfig:
    """The schedule of a training. An epoch passes over the training clips (or identities) `repeats` times.

    `batch` is the number of pairs of a step, over all processes and all `accumulate` turns, in which a small machine
    takes them. The learning rate falls tenfold at each of `milestones` (epochs). `clip_norm` bounds the largest
    gradient entry of each submodule that the method names (the released TPSMM code: 10); None clips nothing. `workers`
    load pairs on each machine. `sync_batch_norm` computes batch statistics over all processes; None does as the
    method's released code (FOMM: yes; TPSMM, MRAA: no). With `graph` a single NVIDIA GPU replays whole steps as a CUDA
    graph, which saves small models most of their time; elsewhere it changes nothing.
    """

    epochs: Count = 100
    repeats: Count = 75
    batch: Count = 28
    learning_rate: Positive = 2e-4
    betas: tuple[float, float] = (0.5, 0.999)
    weight_decay: NotNegative = 0.0
    milestones: tuple[Whole, ...] = (70, 90)
    clip_norm: Positive | None = 10.0
    seed: Seed = 0
    workers: Whole = 0
    checkpoint_every: Count = 500
    preview_every: Count = 500
    precision: Precision = "fp32"
    channels_last: bool = False
    compile: bool = False
    graph: bool = False
    accumulate: Count = 1
    sync_batch_norm: bool | None = None

    def __post_init__(self) -> None:
        if self.accumulate > self.batch:
            raise ValueError(f"accumulate: a batch of {self.batch} cannot be taken in {self.accumulate} turns")

    def rate(self, epoch: int) -> float:
        """Returns the learning rate of `epoch` (from 0), which depends on that alone: resuming shifts nothing."""
        return self.learning_rate * 0.1 ** sum(epoch >= milestone for milestone in self.milestones)
