"""What the papers print, what their released weights give here, and what was trained here: does it agree?"""

from __future__ import annotations

from dataclasses import replace

from eval.metrics import Metric
from eval.stats.intervals import Estimate
from eval.tables.published import PublishedRow, PublishedSet
from eval.tables.results import RELEASED, Results, Series
from eval.tables.table import Cell, Missing, Table, Value

PRINTED = ("l1", "akd", "mkr", "aed")
NOTE = (
    "Legacy protocol. Difference: this run less the published number. Within the interval: the 95 % interval reaches "
    "what the paper's digits round. Better, worse: it lies beyond them on that side. Not comparable: recalled, the "
    "number was not checked against the paper; other data, it was measured on another data set; of test clips, some of "
    "the set's are missing here; other evaluator, its landmarks or identities were found by another program. Released "
    "weights need not be those behind the paper's tables."
)


def verdicts(results: Results, published: PublishedSet) -> Table:
    """A row for each run of the tables 1 and 4, and each number that a paper prints for it."""
    tables = results.config.tables
    rows = []
    for run in dict.fromkeys((*tables.reconstruction, *tables.components)):
        for entry in results.printed(run):
            for name in PRINTED:
                printed = getattr(entry, name)
                if printed is not None:
                    rows.append(_row(results, published, run, entry, name, printed))
    heads = ("Run", "Metric", "Published", "Released checkpoint", "Its verdict", "This run", "Difference", "Verdict")
    title = f"Against {published.title} as published, {results.layout.dataset}"
    return Table("verdict", title, heads, tuple(rows), (NOTE,), "legacy")


def _row(
    results: Results, published: PublishedSet, run: str, entry: PublishedRow, name: str, printed: str
) -> tuple[Cell, ...]:
    about = (results.label(run), results.metrics[name].heading if name in results.metrics else name.upper())
    cells: list[Cell] = [f"{printed} [{entry.paper}]"]
    released = run if run.endswith(RELEASED.format(run="")) else RELEASED.format(run=run)
    for series in (Series(released, protocol="legacy"), Series(run, protocol="legacy")):
        cells += _judged(results, published, entry, name, printed, series)
    del cells[2]  # the difference of the released checkpoint
    return (*about, *cells)


def _judged(
    results: Results, published: PublishedSet, entry: PublishedRow, name: str, printed: str, series: Series
) -> tuple[Cell, Cell, Cell]:
    """What was estimated, its difference to what is printed, and the verdict."""
    metric = results.metrics.get(name)
    estimate = None if metric is None else results.estimate(series, name)
    if metric is None or estimate is None:
        reason = "not among the metrics" if metric is None else results.reason(series, name)
        if metric is not None and series.run not in results.runs:
            reason = f"{series.run} is not among the runs"
        return (Missing(reason),) * 3
    value = Value(estimate, metric.decimals)
    if obstacle := _obstacle(results, published, entry, metric):
        return value, Missing("not comparable"), f"not comparable: {obstacle}"
    target = float(printed)
    moved = replace(estimate, mean=estimate.mean - target, low=estimate.low - target, high=estimate.high - target)
    return value, Value(moved, metric.decimals, signed=True), verdict(estimate, printed, metric)


def verdict(estimate: Estimate, printed: str, metric: Metric) -> str:
    """`printed` stands for all numbers that round to it: .045 for .0445 to .0455."""
    target, half = float(printed), 0.5 * 10.0 ** -len(printed.partition(".")[2])
    if not estimate.low <= estimate.high:
        return "no interval"
    if estimate.low <= target + half and target - half <= estimate.high:
        return "within the interval"
    return "better" if metric.is_better(estimate.mean - target) else "worse"


def _obstacle(results: Results, published: PublishedSet, entry: PublishedRow, metric: Metric) -> str | None:
    """Why the number cannot be held against the run's; None where it can."""
    if entry.status != "seen":
        return entry.status
    if results.layout.dataset not in published.datasets:
        return "other data"
    clips = len(results.manifest.clips("test"))
    if published.test_clips is not None and clips != published.test_clips:
        return f"{clips:,} of {published.test_clips:,} test clips"
    for role in ("landmarks", "identity"):
        section = results.config.evaluators[role]
        if role in metric.needs and (section is None or section["kind"] != published.evaluators.get(role)):
            return "other evaluator"
    return None
