"""Times the released way and ours in turn, so that whatever else a machine does falls on both."""

from __future__ import annotations

import multiprocessing
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass

import torch

Ready = Callable[[], Callable[[], int]]
"""Makes one side ready, and returns what is timed, which returns how many things it did. It can be pickled."""

ROUNDS = 5
"""How often each side is timed, after once for warming up."""


@dataclass(frozen=True)
class Comparison:
    """What both sides took, in `unit`, round by round; `goal` is how many times as fast ours should be."""

    case: str
    unit: str
    reference: tuple[float, ...]
    ours: tuple[float, ...]
    goal: float
    difference: float | None = None
    """The largest difference between both sides' results, where that is not held by a test alone."""

    @property
    def ratio(self) -> float:
        """How many times as fast ours is: the median of the rounds' ratios."""
        return statistics.median(self.ratios)

    @property
    def ratios(self) -> list[float]:
        """The ratio of each round, both sides of which were timed one right after the other."""
        return [theirs / mine for theirs, mine in zip(self.reference, self.ours, strict=True)]

    @property
    def met(self) -> bool:
        """Whether the goal is met."""
        return self.ratio >= self.goal


def compare(
    case: str,
    unit: str,
    goal: float,
    sides: tuple[Ready, Ready],
    rounds: int = ROUNDS,
    threads: int = 1,
    difference: float | None = None,
) -> Comparison:
    """Times both sides, the reference and ours, in turn, after once each for warming up.

    Each has a process of its own, with so many threads, since ours keeps the memory that it frees.
    """
    taken, spawn = [], multiprocessing.get_context("spawn")
    with ExitStack() as opened:
        processes = [opened.enter_context(ProcessPoolExecutor(1, spawn)) for _ in sides]
        for process, ready in zip(processes, sides, strict=True):
            process.submit(_begin, ready, threads).result()
        for _ in range(rounds + 1):
            taken.append([process.submit(_seconds_each).result() for process in processes])
    reference, ours = zip(*taken[1:], strict=True)
    return Comparison(case, unit, reference, ours, goal, difference)


_timed: list[Callable[[], int]] = []
"""What this process times."""


def _begin(ready: Ready, threads: int) -> None:
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    _timed.append(ready())


def _seconds_each() -> float:
    # One thread's own time does not count what else the machine does.
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    began = clock()
    count = _timed[0]()
    return (clock() - began) / count
