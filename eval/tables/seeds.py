"""What another training seed changes, beside what other test identities would."""

from __future__ import annotations

import math
from collections.abc import Sequence

from eval.metrics import Metric
from eval.stats.intervals import UNITS, Estimate
from eval.tables.results import Results, Series
from eval.tables.table import Cell, Missing, Table, Value

NOTE = (
    "SD between seeds: of the means that one training each reaches, so what to expect of another training. SE between "
    "{units}: of one such mean, so what to expect of other test {units} (root mean square over the seeds); the "
    "intervals of other tables know of this alone. A difference between two runs that is no larger than the SD between "
    "seeds may be the seed's."
)


def seeds(results: Results, columns: Sequence[Metric]) -> Table:
    """Three rows for each run that others repeat."""
    units = UNITS[results.bootstrap.unit]
    rows: list[tuple[Cell, ...]] = []
    for original, runs in results.seeds.items():
        about = (results.label(original), ", ".join(str(seed) for seed in runs.values()))
        cells = [_spread(results, tuple(runs), metric) for metric in columns]
        for i, what in enumerate(("mean over seeds", "SD between seeds", f"SE between {units}")):
            rows.append((*about, what, *(column[i] for column in cells)))
    heads = ("Run", "Seeds", "What", *(metric.heading for metric in columns))
    title = f"Seeds, {results.layout.dataset}"
    return Table("seeds", title, heads, tuple(rows), (NOTE.format(units=units),))


def _spread(results: Results, runs: Sequence[str], metric: Metric) -> tuple[Cell, Cell, Cell]:
    """Mean, SD and SE, a digit finer than the metric is printed."""
    found = [(run, results.estimate(Series(run), metric.name)) for run in runs]
    for run, estimate in found:
        if estimate is None:
            missing = Missing(f"{run}: {results.reason(Series(run), metric.name)}")
            return missing, missing, missing
    estimates = [estimate for _, estimate in found if estimate is not None]
    count, middle = len(estimates), sum(estimate.mean for estimate in estimates) / len(estimates)
    between = math.sqrt(sum((estimate.mean - middle) ** 2 for estimate in estimates) / (count - 1))
    error = math.sqrt(sum(estimate.error**2 for estimate in estimates) / count)

    def cell(value: float) -> Cell:
        clips, frames = estimates[0].clips, estimates[0].frames
        return Value(Estimate(value, math.nan, math.nan, clips, frames), metric.decimals + 1)

    lonely = Missing(f"a single {results.bootstrap.unit}")
    return cell(middle), cell(between), lonely if math.isnan(error) else cell(error)


def seed_means(results: Results, metric: Metric, series: Series) -> list[float]:
    """One for each seed of a run, or none."""
    runs = results.seeds.get(series.run, {}) if series.task == "reconstruction" else {}
    found = [results.estimate(Series(run, protocol=series.protocol), metric.name) for run in runs]
    return [] if None in found else [estimate.mean for estimate in found if estimate is not None]
