"""Which frames a run does worst, by a metric."""

from __future__ import annotations

from dataclasses import dataclass

from eval.metrics import Metric
from eval.tables.results import Results, Series


@dataclass(frozen=True)
class Failure:
    """A frame of a clip (of a pair, in animation), and the metric's value there."""

    clip: str
    frame: int
    value: float


def worst_frames(results: Results, series: Series, metric: Metric, count: int) -> list[Failure]:
    """The worst frame of each of the `count` clips that have the worst ones, worst first; none without a fault."""
    rows = results.values(series, metric.name)
    if metric.lower_is_better:
        rows = rows[rows["value"] > 0]
    elif metric.detection:
        rows = rows[rows["value"] < 1]
    rows = rows.sort_values(["value", "clip", "frame"], ascending=[not metric.lower_is_better, True, True])
    rows = rows.drop_duplicates("clip").head(count)
    found = zip(rows["clip"].astype(str), rows["frame"].astype(int), rows["value"].astype(float), strict=True)
    return [Failure(clip, int(frame), float(value)) for clip, frame, value in found]
