"""One method against another, clip by clip."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from eval.figures.drawing import save, short
from eval.metrics import Metric
from eval.tables.results import Results, Series

COLUMNS, NAMED = 3, 3


def scatter(results: Results, run: str, other: str) -> Path | None:
    """A panel a metric, a dot a test clip: what `run` reads there, and what `other` does. The clips that are worst for
    both together are numbered, and named below."""
    panels = []
    for metric in results.metrics.values():
        mine, theirs = (results.by_clip(Series(name, protocol=results.protocol), metric.name) for name in (run, other))
        points = pd.concat({"x": mine, "y": theirs}, axis=1).dropna()
        if metric.reconstruction and not metric.detection and len(points):
            panels.append((metric, points))
    if not panels:
        return None
    rows = -(-len(panels) // COLUMNS)
    size = (3.1 * min(len(panels), COLUMNS), 3.5 * rows)
    figure, axes = plt.subplots(rows, min(len(panels), COLUMNS), figsize=size, squeeze=False, layout="constrained")
    figure.get_layout_engine().set(h_pad=0.12)  # type: ignore[union-attr, call-arg]
    for axis in axes.flat[len(panels) :]:
        axis.axis("off")
    for axis, (metric, points) in zip(axes.flat, panels, strict=False):
        _draw(axis, metric, points, short(results.label(run)), short(results.label(other)))
    return save(figure, results, f"scatter_{run}_{other}")


def _draw(axis: Axes, metric: Metric, points: pd.DataFrame, mine: str, theirs: str) -> None:
    low, high = float(points.min().min()), float(points.max().max())
    margin = 0.08 * (high - low) or 0.1
    limits = (low - margin, high + margin)
    axis.plot(limits, limits, color="gray", linestyle=":", linewidth=1)
    axis.scatter(points["x"], points["y"], s=14, alpha=0.7, edgecolor="none")
    badness = points.sum(axis=1) * (1 if metric.lower_is_better else -1)
    worst = badness.sort_values(ascending=False, kind="stable").index[:NAMED]
    for rank, clip in enumerate(worst, 1):
        place = (points.loc[clip, "x"], points.loc[clip, "y"])
        axis.annotate(str(rank), place, (4, 3), textcoords="offset points", fontsize=8, color="crimson")
    names = "\n".join(f"{rank} {clip}" for rank, clip in enumerate(worst, 1))
    wins = int((points["x"] < points["y"]).sum() if metric.lower_is_better else (points["x"] > points["y"]).sum())
    axis.set(xlim=limits, ylim=limits, aspect="equal", ylabel=theirs)
    axis.set_title(f"{short(f'{metric.title}, {metric.unit}')}\n{mine} is better in {wins} of {len(points)}")
    axis.set_xlabel(mine)
    axis.text(0.0, -0.2, names, transform=axis.transAxes, ha="left", va="top", fontsize=7, color="crimson")
    axis.grid(alpha=0.3)
