"""Who sees what: sheets of comparisons in which pairs of methods, clips and sides come equally often."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True)
class Placed:
    """A pair of methods on a clip, both counted from 0; `first_left`: the pair's first method stands on the left."""

    pair: int
    clip: int
    first_left: bool

    def mirrored(self) -> Placed:
        return replace(self, first_left=not self.first_left)


def sheets(pairs: int, clips: int, questions: int, rng: np.random.Generator) -> list[list[Placed]]:
    """What one rater is asked each, `questions` comparisons, no one of them twice.

    Within a sheet, pairs of methods come equally often, and so do the sides of a pair, as far as the numbers divide
    (they differ by one at most, clips by two). Over all sheets every comparison comes equally often, and as often on
    one side as on the other: each sheet has a twin with its sides changed. The order within a sheet means nothing.

    Raises:
        ValueError: `questions` is not between 1 and `pairs * clips`.
    """
    count = pairs * clips
    if not 1 <= questions <= count:
        raise ValueError(f"questions: must be between 1 and {count}, the number of comparisons there are")
    everything = _diagonals(pairs, clips, rng)
    found = []
    for first in range(0, math.lcm(count, questions), questions):
        chosen = [everything[t % count] for t in range(first, first + questions)]
        seen = rng.integers(2, size=pairs)  # so that not every sheet begins a pair on the same side
        sheet = []
        for pair, clip in chosen:
            sheet.append(Placed(pair, clip, bool(seen[pair] % 2)))
            seen[pair] += 1
        found += [sheet, [placed.mirrored() for placed in sheet]]
    return found


def _diagonals(pairs: int, clips: int, rng: np.random.Generator) -> list[tuple[int, int]]:
    """Every (pair, clip) once, so that stretches of any length have pairs and clips about equally often.

    Both count up together. After lcm(pairs, clips) steps they would meet again as at first: the clip then skips one.
    """
    pair_of, clip_of = rng.permutation(pairs), rng.permutation(clips)
    round_ = math.lcm(pairs, clips)
    return [(int(pair_of[t % pairs]), int(clip_of[(t + t // round_) % clips])) for t in range(pairs * clips)]
