"""How often evaluators find anything, and how many frames each metric counts: what the other tables leave out."""

from __future__ import annotations

from eval.metrics import Metric
from eval.scoring.controls import CONTROLS
from eval.tables.results import Results, Series
from eval.tables.table import Cell, Missing, Table, Value


def detection(results: Results) -> Table:
    """Rates of the table of reconstruction's runs; those of the real frames stand in that control's row."""
    rates = [metric for metric in results.metrics.values() if metric.reconstruction and metric.detection]
    counted = results.measured

    # One row per run and control: rates, then frames that count.
    rows = []
    for run in (*results.config.tables.reconstruction, *CONTROLS):
        rows.append(
            (
                results.label(run),
                *(estimated(results, Series(run), metric) for metric in rates),
                *(_frames(results, Series(run), metric) for metric in counted),
            )
        )

    # Its heads and its note.
    heads = (*(f"{metric.title} ↑" for metric in rates), *(f"{metric.title}: frames" for metric in counted))
    notes = (
        "Shares of the generated frames, and in the last row of the real ones [95 % interval, resampled by "
        f"{results.bootstrap.unit}]; then the frames whose value counts in each metric, of all that were scored. "
        "Frames drop out where no joint was found in both frames (AKD) or in the real one (MKR), or a frame has no "
        "embedding (AED).",
    )
    title = f"Detection, and frames that count, {results.layout.dataset}"
    return Table("detection", title, ("Run", *heads), tuple(rows), notes)


def estimated(results: Results, series: Series, metric: Metric, *, best: bool = False) -> Cell:
    """The estimate, or the reason why there is none."""
    estimate = results.estimate(series, metric.name)
    if estimate is None:
        return Missing(results.reason(series, metric.name))
    return Value(estimate, metric.decimals, best=best)


def _frames(results: Results, series: Series, metric: Metric) -> Cell:
    estimate, scored = results.estimate(series, metric.name), results.frames(series, metric.name)
    if estimate is None and not scored:
        return Missing(results.reason(series, metric.name))
    return f"{0 if estimate is None else estimate.frames:,} of {scored:,}"
