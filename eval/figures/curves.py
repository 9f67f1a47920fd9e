"""Numbers over keypoints, and losses over steps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from cycler import cycler
from matplotlib import pyplot as plt
from matplotlib.ticker import FixedLocator, NullFormatter, StrMethodFormatter

from eval.figures.drawing import save, short
from eval.tables.results import Results, Series
from tpsm.core.errors import UserError
from tpsm.core.reading import read_csv


def k_ablation(results: Results) -> Path | None:
    """Each metric over the number of keypoints, with intervals."""
    runs = [run for run in results.config.tables.k_ablation if run in results.scored and results.summary(run)]
    if not runs:
        return None
    points = pd.DataFrame(
        {
            "run": runs,
            "method": [str(results.summary(run)["method"]) for run in runs],
            "keypoints": [int(results.summary(run)["keypoints"]) for run in runs],
        }
    ).sort_values("keypoints", kind="stable")
    series = {run: Series(run, protocol=results.protocol) for run in runs}
    shown = [m for m in results.metrics.values() if any(results.estimate(series[run], m.name) for run in runs)]
    shown = [m for m in shown if m.reconstruction and not m.detection]
    figure, axes = plt.subplots(1, len(shown), figsize=(2.4 * len(shown), 2.4), squeeze=False, layout="constrained")
    for axis, metric in zip(axes[0], shown, strict=True):
        for shift, (method, group) in enumerate(points.groupby("method")):
            found = [
                (k, results.estimate(series[run], metric.name))
                for run, k in zip(group.run, group.keypoints, strict=True)
            ]
            known = [(k, e) for k, e in found if e is not None]
            mean = np.array([e.mean for _, e in known])
            reach = np.nan_to_num([[e.mean - e.low for _, e in known], [e.high - e.mean for _, e in known]])
            axis.errorbar(
                # A little apart, or methods of equally many keypoints hide each other.
                [k + 0.9 * (shift - 1) for k, _ in known],
                mean,
                reach,
                marker="o",
                markersize=4,
                capsize=3,
                label=short(results.method_title(str(method))),
            )
        copy = results.estimate(Series("copy-source", protocol=results.protocol), metric.name)
        if copy is not None:
            axis.axhline(copy.mean, color="gray", linestyle=":", linewidth=1, label="copy")
        axis.set(title=short(metric.heading), xlabel="keypoints")
        axis.set_xticks(sorted(set(points.keypoints)))
        axis.set_ylim(0, 1.03 * axis.get_ylim()[1])
        axis.grid(alpha=0.3)
    figure.legend(*axes[0][0].get_legend_handles_labels(), frameon=False, loc="outside right center")
    return save(figure, results, "k_ablation")


def loss_curves(results: Results) -> Path | None:
    """Total training loss of every run, as a running mean over a fiftieth of the steps; a panel a method, since methods
    minimise different sums."""
    methods: dict[str, list[str]] = {}
    for run in results.config.tables.runs():
        if (results.layout.model(run) / "metrics.csv").is_file():
            methods.setdefault(str(results.summary(run).get("method", "")), []).append(run)
    if not methods:
        return None
    size = (3.3 * len(methods), 3.0 + 0.09 * max(map(len, methods.values())))
    figure, axes = plt.subplots(1, len(methods), figsize=size, squeeze=False, layout="constrained")
    for axis, (method, runs) in zip(axes[0], methods.items(), strict=True):
        axis.set_prop_cycle(cycler(linestyle=("-", "--")) * cycler(color=plt.get_cmap("Dark2").colors))  # type: ignore[attr-defined]
        for run in runs:
            table = read_curve(results.layout.model(run) / "metrics.csv")
            smooth = table["total"].rolling(max(len(table) // 50, 1), min_periods=1).mean()
            axis.plot(table["step"], smooth, linewidth=1.2, label=short(results.label(run)))
        axis.set(title=short(results.method_title(method)), xlabel="step", yscale="log")
        axis.yaxis.set_major_locator(
            FixedLocator([digit * 10.0**power for power in range(-4, 6) for digit in (1, 2, 3, 5)])
        )
        axis.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axis.yaxis.set_minor_formatter(NullFormatter())
        axis.grid(alpha=0.3, which="both")
        axis.legend(frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.17), ncol=2)
    axes[0][0].set_ylabel("total loss")
    return save(figure, results, "loss_curves")


def read_curve(path: Path) -> pd.DataFrame:
    """The columns `step` and `total`, the summed loss, of a training.

    Raises:
        UserError: the file is no table that has them, or a number is none.
    """
    columns = ["step", "total"]
    try:
        return pd.DataFrame(read_csv(path, "training curve", columns), columns=columns).astype(float)
    except ValueError as error:
        raise UserError(f"{path} is no training curve ({error}); get it anew, or train the run again.") from error
