"""Every two runs of the table of reconstruction: how far apart they are, and whether chance explains it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

from eval.metrics import Metric
from eval.tables.results import Results, Series
from eval.tables.table import Cell, Missing, Table, Value, number
from eval.types import Protocol

NOTE = (
    "Run less the other, paired over common frames [95 % interval over {unit}]. p: how often swapping the two runs' "
    "names at random, {unit} by {unit}, moves them as far apart; corrected by Holm over a metric's pairs that were "
    "scored. Better: where the interval excludes zero and the corrected p is .05 at most."
)


def comparisons(results: Results, columns: Sequence[Metric], protocol: Protocol) -> Table:
    """Pairs in the table's order, named by the metrics' order. At least two runs are listed."""
    family = [Series(run, protocol=protocol) for run in results.config.tables.reconstruction]
    pairs = list(combinations(family, 2))
    rows = [_row(results, family, metric, *pair) for metric in columns for pair in pairs]
    strict = protocol == "strict"
    return Table(
        "comparisons" if strict else "comparisons_legacy",
        f"Video reconstruction, every two runs, {results.layout.dataset}",
        ("Metric", "Run", "Less", "Difference", "p", "Corrected p", "Better"),
        tuple(rows),
        (NOTE.format(unit=results.bootstrap.unit),),
        protocol,
    )


def _row(results: Results, family: Sequence[Series], metric: Metric, mine: Series, other: Series) -> tuple[Cell, ...]:
    about = (metric.heading, results.label(mine.run), results.label(other.run))
    found = results.comparisons(family, metric.name).get((mine, other))
    if found is None:
        lacking = next((s for s in (mine, other) if results.estimate(s, metric.name) is None), None)
        missing = Missing("no common frame" if lacking is None else results.reason(lacking, metric.name))
        return (*about, missing, missing, missing, missing)
    better = "not decided"
    if found.decided:
        better = results.label((mine if metric.is_better(found.difference.mean) else other).run)
    value = Value(found.difference, metric.decimals, best=found.decided, signed=True)
    return (*about, value, _p(found.p), _p(found.corrected), better)


def _p(p: float) -> str:
    return number(p, 4) if p >= 0.0001 else "<.0001"
