"""Times the released way and ours in turn, so that whatever else a machine does falls on both."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

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
    reference: Callable[[], int],
    ours: Callable[[], int],
    rounds: int = ROUNDS,
    difference: float | None = None,
) -> Comparison:
    """Times both sides in turn. Each returns how many things it did, by which its time is divided."""
    theirs, mine = in_turn(lambda: seconds_each(reference), lambda: seconds_each(ours), rounds)
    return Comparison(case, unit, theirs, mine, goal, difference)


def in_turn(
    reference: Callable[[], float], ours: Callable[[], float], rounds: int
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Returns what each side says that it took, round by round, without a first one for warming up."""
    taken = [(reference(), ours()) for _ in range(rounds + 1)][1:]
    return tuple(theirs for theirs, _ in taken), tuple(mine for _, mine in taken)


def seconds_each(side: Callable[[], int]) -> float:
    """Returns the time of one call of `side`, divided by what it returns."""
    # One thread's own time does not count what else the machine does.
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    began = clock()
    count = side()
    return (clock() - began) / count
