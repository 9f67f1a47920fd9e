"""Numbers over keypoints, and losses over steps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from cycler import cycler
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, NullFormatter, NullLocator, StrMethodFormatter

from eval.figures.drawing import panels, save, short
from eval.metrics import Metric
from eval.scoring.controls import SOURCE_COPY
from eval.tables.results import Results, Series
from eval.tables.table import number
from tpsm.core.reading import read_curve

STYLES = (("#0072b2", "o"), ("#d55e00", "s"), ("#009e73", "^"), ("#cc79a7", "D"), ("#56b4e9", "v"), ("#e69f00", "P"))
"""Colour and marker of each method; the colours are Okabe and Ito's, told apart by the colour-blind too."""


def k_ablation(results: Results) -> Path | None:
    """One panel per metric, one line per method: the mean over the number of keypoints, with its interval."""
    runs = [run for run in results.config.tables.k_ablation if run in results.scored and results.summary(run)]
    points = pd.DataFrame(
        {
            "run": runs,
            "method": [str(results.summary(run)["method"]) for run in runs],
            "keypoints": [int(results.summary(run)["keypoints"]) for run in runs],
        }
    ).sort_values("keypoints", kind="stable")
    series = [Series(run, protocol=results.protocol) for run in runs]
    shown = [metric for metric in results.measured if any(results.estimate(one, metric.name) for one in series)]
    if not shown:
        return None
    figure, axes = panels(len(shown), 3.2, 2.7)
    for axis, metric in zip(axes, shown, strict=True):
        _draw_metric(axis, results, metric, points)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, frameon=False, loc="outside upper center", ncols=len(labels), fontsize=10)
    return save(figure, results, "k_ablation")


def _draw_metric(axis: Axes, results: Results, metric: Metric, points: pd.DataFrame) -> None:
    for place, (method, group) in enumerate(points.groupby("method")):
        # Means, and how far their intervals reach down and up.
        found = [results.estimate(Series(run, protocol=results.protocol), metric.name) for run in group["run"]]
        known = [(k, e) for k, e in zip(group["keypoints"], found, strict=True) if e is not None]
        mean = np.array([e.mean for _, e in known])
        reach = np.nan_to_num([[e.mean - e.low for _, e in known], [e.high - e.mean for _, e in known]])

        # A little apart, or methods of equally many keypoints hide each other.
        apart = 1.05 ** (place - 1)
        colour, marker = STYLES[place % len(STYLES)]
        axis.errorbar(
            [k * apart for k, _ in known],
            mean,
            reach,
            color=colour,
            marker=marker,
            markersize=5,
            capsize=3,
            label=short(results.method_title(str(method))),
        )

    # The copied source is far from all runs in most metrics, so it is told and not drawn.
    copy = results.estimate(Series(SOURCE_COPY, protocol=results.protocol), metric.name)
    beside = "" if copy is None else f"\ncopied source: {number(copy.mean, metric.decimals)}"
    axis.set_title(f"{short(metric.heading)}, {metric.unit.partition(',')[0]}{beside}")
    ticks = sorted(set(points["keypoints"]))
    axis.set(xlabel="keypoints", xscale="log", xticks=ticks, xticklabels=[f"{k:,}" for k in ticks])
    axis.xaxis.set_minor_locator(NullLocator())
    axis.margins(x=0.1, y=0.12)
    axis.grid(alpha=0.3)


def loss_curves(results: Results) -> Path | None:
    """Total training loss of every run, as a running mean over a fiftieth of the steps; one panel per method, since
    methods minimise different sums."""
    methods: dict[str, list[str]] = {}
    for run in results.config.tables.runs():
        if (results.layout.model(run) / "metrics.csv").is_file():
            methods.setdefault(str(results.summary(run).get("method", "")), []).append(run)
    if not methods:
        return None

    # One panel per method, colours and dashes by run.
    size = (3.3 * len(methods), 3.4 + 0.09 * max(map(len, methods.values())))
    figure, axes = plt.subplots(1, len(methods), figsize=size, squeeze=False, layout="constrained")
    for axis, (method, runs) in zip(axes[0], methods.items(), strict=True):
        axis.set_prop_cycle(cycler(linestyle=("-", "--")) * cycler(color=plt.get_cmap("Dark2").colors))  # type: ignore[attr-defined]
        for run in runs:
            table = pd.DataFrame(read_curve(results.layout.model(run) / "metrics.csv"))
            smooth = table["total"].rolling(max(len(table) // 50, 1), min_periods=1).mean()
            axis.plot(table["step"], smooth, linewidth=1.2, label=short(results.label(run)))
        axis.set(title=short(results.method_title(method)), xlabel="step", yscale="log")

        # Losses that fall by less than a factor of ten would have one tick or two of the usual ones.
        digits = range(1, 10) if np.divide(*axis.get_ylim()[::-1]) < 10 else (1, 2, 5)
        axis.yaxis.set_major_locator(FixedLocator([digit * 10.0**power for power in range(-4, 6) for digit in digits]))
        axis.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axis.yaxis.set_minor_formatter(NullFormatter())
        axis.grid(alpha=0.3, which="both")
        axis.legend(frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.17), ncol=2)
    axes[0][0].set_ylabel("total loss")
    return save(figure, results, "loss_curves")
