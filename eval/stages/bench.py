"""What scoring costs beside the evaluators' own time."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from itertools import cycle
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from jaxtyping import UInt8

from eval.config import read_config
from eval.evaluators import Evaluator
from eval.evaluators.features import Evaluators
from eval.scoring.controls import CONTROLS
from eval.scoring.scorer import Scorer
from eval.scoring.scores_file import frame_rows
from tpsm.core.errors import UserError
from tpsm.core.layout import Layout

BOUND = 1.1
"""Scoring should take at most so many times the evaluators' own time."""


@dataclass(frozen=True)
class Cost:
    """Seconds of evaluators alone, and of scoring as a whole: from clips on disk to rows on disk, with evaluators
    loaded and features of real clips stored. `seen` are the frames that went through an evaluator, in every protocol
    that needs them."""

    frames: int
    seen: dict[str, int]
    forward: float
    total: float

    @property
    def ratio(self) -> float:
        return self.total / self.forward

    def text(self) -> str:
        seen = ", ".join(f"{count:,} frames through {role}" for role, count in self.seen.items())
        verdict = "within" if self.ratio <= BOUND else "above"
        return (
            f"evaluators  {self.forward:8.2f} s  {seen}\n"
            f"scoring     {self.total:8.2f} s  {self.frames:,} generated frames\n"
            f"ratio       {self.ratio:8.3f}    {verdict} the bound of {BOUND}"
        )


class Timed:
    """An evaluator that counts its seconds and frames."""

    def __init__(self, evaluator: Evaluator[Any]) -> None:
        self.evaluator = evaluator
        self.seconds, self.frames = 0.0, 0

    def __call__(self, frames: UInt8[np.ndarray, "t h w 3"]) -> Any:
        start = time.perf_counter()
        found = self.evaluator(frames)
        self.seconds += time.perf_counter() - start
        self.frames += len(frames)
        return found

    def save(self, path: Path) -> None:
        self.evaluator.save(path)


def bench(layout: Layout, run: str, frames: int = 1000, metrics: tuple[str, ...] = ()) -> Cost:
    """Scores about so many frames that `run` rebuilt, its clips again where they are too few, by `metrics` or else by
    all that params.yaml names; keeps no scores.

    Raises:
        UserError: the run is a control, or the set has no evaluators: nothing goes through any then.
    """
    if run in CONTROLS:
        raise UserError(f"'{run}' is a control, whose features are the real clips' stored ones; name a run of a model.")
    config = read_config(layout)
    scorer = Scorer(layout, replace(config, metrics=metrics or config.metrics), run)
    timed = {role: Timed(found) for role, found in vars(scorer.evaluators).items() if found is not None}
    if not timed:
        raise UserError(f"'{layout.dataset}' has no evaluators, so there is nothing to hold the time against.")
    scorer.evaluators = Evaluators(timed.get("landmarks"), timed.get("identity"))
    if not any(entry.frames for entry in scorer.entries.values()):
        raise UserError(f"'{layout.dataset}' has no test clips; there is nothing to score.")
    done, start = 0, time.perf_counter()
    with TemporaryDirectory() as folder:
        for entry in cycle(scorer.entries.values()):
            rows = frame_rows(scorer.reconstruction(entry))
            rows.to_parquet(Path(folder) / "scores.parquet", index=False)
            done += entry.frames
            if done >= frames:
                break
    total = time.perf_counter() - start
    seen = {role: each.frames for role, each in timed.items()}
    return Cost(done, seen, sum(each.seconds for each in timed.values()), total)
