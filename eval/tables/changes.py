"""What changes from one run to another, metric by metric: paired differences, beside what training seeds change."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from eval.metrics import Metric
from eval.stats.intervals import Estimate
from eval.stats.pairwise import Comparison
from eval.tables.results import Results, Series
from eval.tables.seeds import seed_means
from eval.tables.table import Cell, Missing, Table, Value
from eval.types import Protocol

Pair = tuple[str, str]
"""The run before, and the run after."""
NOTE = (
    "The run after less the run before, paired over common frames [95 % interval, resampled by {unit}]. Bold: the "
    "interval excludes zero, and the sign-flip test, corrected for a metric's pairs (Holm), stays below .05. Between "
    "seeds: how far apart the means of a method's training seeds lie; a difference no larger may be the seed's."
)


@dataclass(frozen=True)
class Change:
    """`comparison` is the run after less the run before. `seeds` is how far apart the means of training seeds lie, of
    that method of the two whose means lie further apart; None where neither was trained from several seeds."""

    metric: Metric
    comparison: Comparison
    seeds: float | None

    @property
    def significant(self) -> bool:
        return self.comparison.decided

    @property
    def better(self) -> bool:
        """Whether the run after has the better mean, significantly or not."""
        return self.metric.is_better(self.comparison.difference.mean)

    @property
    def by_seed(self) -> bool:
        """Whether the difference is no larger than one between seeds."""
        return self.seeds is not None and abs(self.comparison.difference.mean) <= self.seeds


def changes(results: Results, pairs: Sequence[Pair], protocol: Protocol) -> dict[Pair, list[Change]]:
    """Of each pair, the change in every metric of reconstruction that both have; p is corrected for all its pairs."""
    found: dict[Pair, list[Change]] = {pair: [] for pair in pairs}
    repeated = {run: _repeated(results, run) for pair in pairs for run in pair}
    series = {
        (before, after): (Series(after, protocol=protocol), Series(before, protocol=protocol))
        for before, after in pairs
    }
    for metric in results.measured:
        compared = results.compared(list(series.values()), metric.name)
        for pair, key in series.items():
            if key in compared:
                originals = {original for run in pair if (original := repeated[run])}
                means = [seed_means(results, metric, Series(run, protocol=protocol)) for run in originals]
                seeds = max((max(values) - min(values) for values in means if values), default=None)
                found[pair].append(Change(metric, compared[key], seeds))
    return found


def _repeated(results: Results, run: str) -> str | None:
    """The run itself or another of its method, whichever was trained from several seeds."""
    if run in results.seeds:
        return run
    method = results.summary(run).get("method")
    same = (original for original in results.seeds if results.summary(original).get("method") == method)
    return next(same, None) if method else None


def keypoint_pairs(results: Results) -> dict[Pair, tuple[int, int]]:
    """Of each method, its run with the fewest keypoints and that with the most, and how many these are."""
    methods: dict[str, list[tuple[int, str]]] = {}
    for run in results.config.tables.k_ablation:
        about = results.summary(run)
        if run in results.scored and about.get("keypoints") is not None:
            methods.setdefault(str(about.get("method", "")), []).append((int(about["keypoints"]), run))
    ends = [(min(runs), max(runs)) for runs in methods.values()]
    return {(few[1], many[1]): (few[0], many[0]) for few, many in ends if few[0] < many[0]}


def component_pairs(results: Results) -> list[Pair]:
    """Each part beside those before it, and where there are several all beside none; the full model's method alone."""
    listed = [run for run in results.config.tables.components if run in results.scored]
    methods = {run: results.summary(run).get("method") for run in listed}
    runs = [run for run in listed if methods[run] == methods[listed[-1]]]
    steps = list(pairwise(runs))
    return [*steps, (runs[0], runs[-1])] if len(steps) > 1 else steps


def ablation_changes(results: Results, columns: Sequence[Metric], protocol: Protocol) -> Table:
    """Two rows for each pair of ablations: the difference, and what training seeds differ by."""
    found = changes(results, list(keypoint_pairs(results)), protocol)
    found |= changes(results, component_pairs(results), protocol)

    # A pair's differences, and below them its seeds'.
    rows: list[tuple[Cell, ...]] = []
    for pair, its in found.items():
        about = tuple(map(results.label, pair))
        by_name = {change.metric.name: change for change in its}
        cells: list[tuple[Cell, Cell]] = []
        for metric in columns:
            if (change := by_name.get(metric.name)) is None:
                cells.append((Missing("not in both"), Missing("not in both")))
            else:
                difference = change.comparison.difference
                value = Value(difference, metric.decimals, best=change.significant, signed=True)
                cells.append((value, _between_seeds(change)))
        rows.append((*about, "difference", *(cell[0] for cell in cells)))
        rows.append((*about, "between seeds", *(cell[1] for cell in cells)))

    # The table, with what is bold in it.
    return Table(
        "changes" if protocol == "strict" else f"changes_{protocol}",
        f"Ablations, before and after, {results.layout.dataset}",
        ("From", "To", "What", *(metric.heading for metric in columns)),
        tuple(rows),
        (NOTE.format(unit=results.bootstrap.unit),),
        protocol,
    )


def _between_seeds(change: Change) -> Cell:
    if change.seeds is None:
        return Missing("one seed")
    of = change.comparison.difference
    return Value(Estimate(change.seeds, math.nan, math.nan, of.clips, of.frames), change.metric.decimals)
