"""Scores of one run: one row per frame, metric and protocol."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float64

from eval import metrics
from eval.config import EvalConfig, evaluator_key
from eval.evaluators.features import Evaluators, RealClip, load_evaluators
from eval.metrics import Metric, available_metrics
from eval.scoring.controls import CONTROLS, DRIVING_CLIP, SOURCE_COPY, control, repeated
from eval.scoring.legacy_frames import Truncation, with_frames
from eval.scoring.pairs import read_pairs
from eval.scoring.scores_file import ClipScores, read_table
from eval.types import PIECE, ROLES, Protocol, ScoredClip, pieces
from tpsm.core.animation import animation_modes, read_animate
from tpsm.core.errors import UserError
from tpsm.core.layout import Layout
from tpsm.data.arrays import ArrayReader
from tpsm.data.clip import ClipFile
from tpsm.data.manifest import Entry, read_manifest

Piece = tuple[int, ScoredClip, dict[Protocol, ScoredClip]]
"""Where some frames of a clip start, what the real ones show, and the others as each protocol sees them."""


@dataclass(frozen=True)
class ScoringItem:
    """What is scored as one: a test clip's reconstruction (no `mode`), or a pair's animation in one mode.

    `controls`: the two that no model makes are scored on the same pair.
    """

    name: str
    mode: str = ""
    source: str = ""
    driving: str = ""
    controls: bool = False


class Scorer:
    def __init__(self, layout: Layout, config: EvalConfig, run: str) -> None:
        self.layout, self.config, self.run = layout, config, run
        self.metrics = [metrics.load(name) for name in available_metrics(config.metrics)]
        self.entries = {entry.name: entry for entry in read_manifest(layout.clips).clips("test")}
        self._l1 = None if run in CONTROLS else self._read_l1()

    @cached_property
    def evaluators(self) -> Evaluators:
        return Evaluators(None, None) if self.run in CONTROLS else load_evaluators(self.layout, self.config)

    def items(self) -> list[ScoringItem]:
        """Every test clip, and the pairs of every mode that the pipeline makes of the run.

        What lies in `outputs` besides, of a run or a mode that has left the pipeline, is not looked at.
        """
        items = [ScoringItem(name) for name in self.entries]
        animated = self.run not in CONTROLS and "strict" in self.config.protocols
        modes = animation_modes(read_animate(self.layout), self.run) if animated else ()
        for mode in modes:
            pairs = read_pairs(self.layout, self.run, mode).itertuples(index=False)
            items += [ScoringItem(pair, mode, source, driving, mode == modes[0]) for pair, source, driving in pairs]
        return items

    def scores(self, item: ScoringItem) -> Iterator[ClipScores]:
        yield from self.animation(item) if item.mode else self.reconstruction(self.entries[item.name])

    def reconstruction(self, entry: Entry) -> Iterator[ClipScores]:
        about = self._about("reconstruction", "", entry.name, entry)
        with closing(self._real(entry.name)) as real:
            made_of = self._controls(real) if self.run in CONTROLS else self._reconstructed(entry, real)
            for start, shown, seen in made_of:
                for protocol, made in seen.items():
                    for metric, scores in self.metrics:
                        if metric.reconstruction and protocol in scores and computable(metric, made, shown):
                            yield ClipScores(about, metric, protocol, scores[protocol](made, shown), start)

    def animation(self, item: ScoringItem) -> Iterator[ClipScores]:
        with closing(self._real(item.source)) as real:
            still = real.part(slice(0, 1))
        path = self.layout.generated(self.run, item.name, item.mode)
        with closing(self._real(item.driving)) as driving, self._generated(path, len(driving)) as clip:
            for frames in self._pieces(len(driving)):
                moving = driving.part(frames)
                generated = {item.mode: self._seen(clip, frames)}
                if item.controls:
                    generated |= {SOURCE_COPY: repeated(still, len(moving.frames)), DRIVING_CLIP: moving}
                yield from self._animated(item, generated, still, moving, frames.start)

    def _animated(
        self, item: ScoringItem, generated: Mapping[str, ScoredClip], still: ScoredClip, moving: ScoredClip, start: int
    ) -> Iterator[ClipScores]:
        """A metric that makes sense in some modes alone is taken of the controls too."""
        for mode, made in generated.items():
            about = self._about("animation", mode, item.name, self.entries[item.source])
            for metric, scores in self.metrics:
                due = metric.modes is None or mode in (*metric.modes, SOURCE_COPY, DRIVING_CLIP)
                if metric.animation is not None and due:
                    reference = repeated(still, len(made.frames)) if metric.animation == "source" else moving
                    if computable(metric, made, reference):
                        yield ClipScores(about, metric, "strict", scores["strict"](made, reference), start)

    def _pieces(self, count: int) -> Iterator[slice]:
        return pieces(count, count if any(metric.over_time for metric, _ in self.metrics) else PIECE)

    def _about(self, task: str, mode: str, clip: str, shown: Entry) -> dict[str, str]:
        about = {"dataset": self.layout.dataset, "run": self.run, "task": task, "mode": mode}
        return about | {"clip": clip, "identity": shown.identity}

    def _real(self, name: str) -> RealClip:
        if name not in self.entries:
            raise UserError(
                f"Run '{self.run}' animates the clip '{name}', which the test split lacks; run animate again."
            )
        real = RealClip(self.layout, name)
        for role in ROLES:
            if self.config.evaluators[role] is not None and not real.has(role):
                raise UserError(
                    f"The features of '{name}' were made without {evaluator_key(self.layout, role)}; run "
                    f"`python -m eval features --dataset {self.layout.dataset}` again."
                )
        return real

    def _controls(self, real: RealClip) -> Iterator[Piece]:
        """The control's frames, which are 8-bit ones as they stand: there is nothing to truncate."""
        first = real.part(slice(0, 1))
        for frames in self._pieces(len(real)):
            shown = real.part(frames)
            yield frames.start, shown, dict.fromkeys(self.config.protocols, control(self.run, shown, first))

    def _reconstructed(self, entry: Entry, real: RealClip) -> Iterator[Piece]:
        """The run's frames. Truncated ones are needed where an evaluator looks at them."""
        needs = {need for metric, scores in self.metrics if "legacy" in scores for need in metric.needs}
        looking = self.evaluators.only(needs)
        with ExitStack() as opened:
            clip = opened.enter_context(self._generated(self.layout.generated(self.run, entry.name), entry.frames))
            if (len(clip), clip.height, clip.width) != (len(real), *real.size):
                raise UserError(
                    f"Run '{self.run}' made '{entry.name}' at another size or length than the clip has; run "
                    "reconstruct again."
                )
            motion = read_motion(self.layout.motion(self.run, entry.name), (entry.frames, *real.size))
            if motion is not None:
                opened.enter_context(closing(motion))
            truncation, l1 = None, self._l1_of(entry)
            if "legacy" in self.config.protocols and looking != Evaluators(None, None):
                path = self.layout.rounded_up(self.run, entry.name)
                truncation = Truncation(path, entry.frames * math.prod(real.size) * 3, str(self.layout.relative(path)))
                opened.enter_context(closing(truncation))

            for frames in self._pieces(entry.frames):
                moved = None if motion is None else motion.take(frames.stop - frames.start).astype(np.float32)
                made = replace(self._seen(clip, frames), motion=moved, l1=l1[frames])
                seen: dict[Protocol, ScoredClip] = dict.fromkeys(self.config.protocols, made)
                if truncation is not None:
                    seen["legacy"] = with_frames(made, truncation.next(made.frames), looking)
                yield frames.start, real.part(frames), seen

    def _generated(self, path: Path, frames: int) -> ClipFile:
        with ExitStack() as opened:
            clip = opened.enter_context(ClipFile(path))
            if len(clip) != frames:
                raise UserError(
                    f"{self.layout.relative(path)} has {len(clip)} frames where {frames} are due; make it again with "
                    f"the stages reconstruct and animate of run '{self.run}'."
                )
            opened.pop_all()  # it stays open
        return clip

    def _seen(self, clip: ClipFile, frames: slice) -> ScoredClip:
        pictures = clip.frames(frames.start, frames.stop)
        features = self.evaluators(pictures)
        return ScoredClip(pictures, features.landmarks, features.embedding)

    def _read_l1(self) -> pd.DataFrame:
        path = self.layout.outputs(self.run) / "reconstruction" / "l1.parquet"
        if not path.is_file():
            raise UserError(
                f"There is no {self.layout.relative(path)}; run the stage reconstruct of run '{self.run}' on "
                f"'{self.layout.dataset}' first."
            )
        again = f"run the stage reconstruct of run '{self.run}' again."
        rows = read_table(path, {"clip": "text", "frame": "whole", "l1": "number"}, again)
        return rows.sort_values(["clip", "frame"]).set_index("clip")

    def _l1_of(self, entry: Entry) -> Float64[np.ndarray, " t"]:
        assert self._l1 is not None
        rows = self._l1.loc[[entry.name]] if entry.name in self._l1.index else self._l1.iloc[:0]
        if not np.array_equal(rows["frame"], np.arange(entry.frames)):
            raise UserError(f"l1.parquet of run '{self.run}' does not cover '{entry.name}'; run reconstruct again.")
        return rows["l1"].to_numpy(np.float64)


def computable(metric: Metric, generated: ScoredClip, reference: ScoredClip) -> bool:
    """Whether the clip has all that the metric needs: predicted motion, the reference's truth, both's features."""
    of = {"motion": (generated,), "truth": (reference,)}
    return all(side.has(need) for need in metric.needs for side in of.get(need, (generated, reference)))


def read_motion(path: Path, shape: tuple[int, ...]) -> ArrayReader | None:
    """Opens a clip's predicted motion, of `shape` (frames, height, width); None where the run wrote none: the method
    predicts none, or the clip has no truth to hold it against."""
    if not path.is_file():
        return None
    return ArrayReader(path, "grid", (*shape, 2), "run reconstruct again", most=16 * math.prod(shape))
