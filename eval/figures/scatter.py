"""One method against another, clip by clip."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from eval.figures.drawing import panels, save, short
from eval.metrics import Metric
from eval.tables.results import Results, Series

MARKERS = ("^", "s", "D")
"""Of the worst clips, from the worst on: numbers beside dots would overlap where the clips are alike."""


def scatter(results: Results, run: str, other: str) -> Path | None:
    """One panel per metric, one dot per test clip: what `run` reads there, and what `other` does. The clips that
    are worst for both together are marked, and named below."""
    shown = []
    for metric in results.measured:
        mine, theirs = (results.by_clip(Series(name, protocol=results.protocol), metric.name) for name in (run, other))
        points = pd.concat({"x": mine, "y": theirs}, axis=1).dropna()
        if len(points):
            shown.append((metric, points))
    if not shown:
        return None
    figure, axes = panels(len(shown), 3.2, 3.7)
    figure.get_layout_engine().set(h_pad=0.12)  # type: ignore[union-attr, call-arg]
    for axis, (metric, points) in zip(axes, shown, strict=True):
        _draw(axis, metric, points, short(results.label(run)), short(results.label(other)))
    return save(figure, results, f"scatter_{run}_{other}")


def _draw(axis: Axes, metric: Metric, points: pd.DataFrame, mine: str, theirs: str) -> None:
    low, high = float(points.min().min()), float(points.max().max())
    margin = 0.08 * (high - low) or 0.1
    limits = (low - margin, high + margin)
    axis.plot(limits, limits, color="gray", linestyle=":", linewidth=1)
    badness = points.sum(axis=1) * (1 if metric.lower_is_better else -1)
    worst = badness.sort_values(ascending=False, kind="stable").index[: len(MARKERS)]
    others = points.drop(worst)
    axis.scatter(others["x"], others["y"], s=16, alpha=0.7, edgecolor="none")
    for clip, marker in zip(worst, MARKERS, strict=False):
        x, y = points.loc[clip, "x"], points.loc[clip, "y"]
        axis.scatter(x, y, s=34, marker=marker, facecolor="none", edgecolor="crimson", label=short(str(clip)))
    wins = int((points["x"] < points["y"]).sum() if metric.lower_is_better else (points["x"] > points["y"]).sum())
    axis.set(xlim=limits, ylim=limits, aspect="equal", ylabel=theirs)
    axis.set_title(f"{short(f'{metric.title}, {metric.unit}')}\n{mine} is better in {wins} of {len(points)}")
    axis.set_xlabel(mine)
    ticks = [tick for tick in MaxNLocator(5).tick_values(*limits) if limits[0] <= tick <= limits[1]]
    axis.set(xticks=ticks, yticks=ticks)
    axis.legend(loc="upper left", bbox_to_anchor=(-0.05, -0.17), frameon=False, labelspacing=0.3, handletextpad=0.2)
    axis.grid(alpha=0.3)
