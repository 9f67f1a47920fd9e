"""Pictures of the report. Each function writes one PNG, or returns None where there is nothing to show."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from cycler import cycler
from jaxtyping import UInt8
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from matplotlib.ticker import FixedLocator, NullFormatter, StrMethodFormatter

from eval.config import EvalConfig
from eval.features import real_sequence
from eval.layout import Layout
from eval.metrics import to_pixels
from eval.results import Results, Series
from eval.score import read_pairs
from tpsm.data.clipfile import ClipFile, file_name
from tpsm.files import atomic

plt.rcParams |= {"font.size": 8, "axes.titlesize": 8, "svg.hashsalt": "0"}
# One dot of the figure is one pixel of the file, so that nearest-neighbour enlargement stays exact.
DPI = 100
MARGIN = 4
T = TypeVar("T")


def reconstruction(layout: Layout, results: Results) -> Path | None:
    """Real frames of a few test clips, and every run's reconstruction of them from the first."""
    config = results.config.figures
    runs = [run for run in results.config.tables.reconstruction if run in results.scored]
    entries = _spread(layout.manifest().clips("test"), config.clips)
    if not runs:
        return None
    grid, labels = [], []
    for entry in entries:
        when = _times(entry.frames, config.frames)
        grid.append(_frames(layout.clips / entry.file, when))
        labels.append("real")
        for run in runs:
            grid.append(_frames(layout.outputs(run) / "reconstruction" / file_name(entry.name), when))
            labels.append(results.label(run))
    headings = [f"{share:.0%}" for share in np.linspace(0, 1, config.frames)]
    return _save(_grid(grid, labels, headings, config.enlarge_to, every=len(runs) + 1), layout, "reconstruction")


def animation(layout: Layout, results: Results, mode: str) -> Path | None:
    """Source and driving frames on top, and every run's animation below, as in the paper's Figure 6."""
    config = results.config.figures
    runs = [run for run in results.config.tables.animation if mode in results.modes(run)]
    if not runs:
        return None
    pairs = _common_pairs(layout, runs, mode)
    grid, labels = [], []
    for _, pair in pairs.iloc[_spread_index(len(pairs), config.clips)].iterrows():
        with ClipFile(layout.test_clip(pair["driving"])) as clip:
            when = _times(len(clip), config.frames)
        driving = _frames(layout.test_clip(pair["driving"]), when)
        source = _frames(layout.test_clip(pair["source"]), [0])
        grid.append([*source, *driving])
        labels.append("driving")
        for run in runs:
            made = _frames(layout.outputs(run) / "animation" / mode / file_name(pair["pair"]), when)
            grid.append([np.full_like(source[0], 255), *made])
            labels.append(results.label(run))
    if not grid:
        return None
    headings = ["source", *(f"{share:.0%}" for share in np.linspace(0, 1, config.frames))]
    return _save(_grid(grid, labels, headings, config.enlarge_to, every=len(runs) + 1), layout, f"animation_{mode}")


def k_ablation(layout: Layout, results: Results) -> Path | None:
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
    shown = [m for m in results.metrics.values() if any(results.estimate(Series(run), m.name) for run in runs)]
    shown = [m for m in shown if m.reconstruction and not m.detection]
    figure, axes = plt.subplots(1, len(shown), figsize=(2.4 * len(shown), 2.4), squeeze=False, layout="constrained")
    for axis, metric in zip(axes[0], shown, strict=True):
        for shift, (method, group) in enumerate(points.groupby("method")):
            found = [
                (k, results.estimate(Series(run), metric.name))
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
                label=str(method).upper(),
            )
        copy = results.estimate(Series("copy-source"), metric.name)
        if copy is not None:
            axis.axhline(copy.mean, color="gray", linestyle=":", linewidth=1, label="copy")
        axis.set(title=f"{metric.title} {'↓' if metric.lower_is_better else '↑'}", xlabel="keypoints")
        axis.set_xticks(sorted(set(points.keypoints)))
        axis.set_ylim(bottom=0)
        axis.grid(alpha=0.3)
    figure.legend(*axes[0][0].get_legend_handles_labels(), frameon=False, loc="outside right center")
    return _save(figure, layout, "k_ablation")


def loss_curves(layout: Layout, results: Results) -> Path | None:
    """Total training loss of every run, as a running mean over a fiftieth of the steps; a panel a method, since methods
    minimise different sums."""
    methods: dict[str, list[str]] = {}
    for run in results.config.tables.runs():
        if (layout.model(run) / "metrics.csv").is_file():
            methods.setdefault(str(results.summary(run).get("method", "")), []).append(run)
    if not methods:
        return None
    size = (3.3 * len(methods), 3.0 + 0.09 * max(map(len, methods.values())))
    figure, axes = plt.subplots(1, len(methods), figsize=size, squeeze=False, layout="constrained")
    for axis, (method, runs) in zip(axes[0], methods.items(), strict=True):
        axis.set_prop_cycle(cycler(linestyle=("-", "--")) * cycler(color=plt.get_cmap("Dark2").colors))  # type: ignore[attr-defined]
        for run in runs:
            table = pd.read_csv(layout.model(run) / "metrics.csv")
            smooth = table["total"].rolling(max(len(table) // 50, 1), min_periods=1).mean()
            axis.plot(table["step"], smooth, linewidth=1.2, label=results.label(run))
        axis.set(title=method.upper(), xlabel="step", yscale="log")
        axis.yaxis.set_major_locator(
            FixedLocator([digit * 10.0**power for power in range(-4, 6) for digit in (1, 2, 3, 5)])
        )
        axis.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axis.yaxis.set_minor_formatter(NullFormatter())
        axis.grid(alpha=0.3, which="both")
        axis.legend(frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.17), ncol=2)
    axes[0][0].set_ylabel("total loss")
    return _save(figure, layout, "loss_curves")


def detections(layout: Layout, config: EvalConfig) -> Path | None:
    """Joints that the landmark evaluator finds in real test frames (dots), true joints that it misses (crosses)."""
    if config.evaluators.landmarks is None:
        return None
    entries = _spread(layout.manifest().clips("test"), 2 * config.figures.frames)
    columns = config.figures.frames
    rows = -(-len(entries) // columns)
    size = config.figures.enlarge_to * 1.5 / DPI
    figure, axes = plt.subplots(
        rows, columns, figsize=(columns * size, rows * size), squeeze=False, layout="constrained"
    )
    for axis in axes.flat:
        axis.axis("off")
    for axis, entry in zip(axes.flat, entries, strict=False):
        _draw_joints(axis, layout, entry.name, entry.frames // 2)
    return _save(figure, layout, "detections")


def _draw_joints(axis: Axes, layout: Layout, name: str, frame: int) -> None:
    real = real_sequence(layout, name)
    if real.landmarks is None:
        return
    axis.imshow(real.frames[frame], interpolation="nearest")
    found, points = real.landmarks.found[frame], real.landmarks.pixels(*real.size)[frame]
    colours = plt.get_cmap("hsv")(np.linspace(0, 0.9, len(found)))
    for joint in np.flatnonzero(found):
        axis.add_patch(Circle(tuple(points[joint]), 1.1, facecolor=colours[joint], edgecolor="black", linewidth=0.6))
    if real.truth is not None and real.truth.joints.shape == real.landmarks.xy.shape:
        true = to_pixels(real.truth.joints, *real.size)[frame]
        for joint in np.flatnonzero(real.truth.visible[frame] & ~found):
            axis.plot(*true[joint], marker="x", color="white", markersize=7, markeredgewidth=3)
            axis.plot(*true[joint], marker="x", color=colours[joint], markersize=6, markeredgewidth=1.5)
    axis.set_title(name, fontsize=7)


def _grid(
    rows: Sequence[Sequence[UInt8[np.ndarray, "h w 3"]]],
    labels: Sequence[str],
    headings: Sequence[str],
    enlarge_to: int,
    every: int,
) -> Figure:
    """Frames side by side, whole multiples of their size, a little apart; a wider gap after each `every` rows."""
    factor = max(round(enlarge_to / rows[0][0].shape[1]), 1)
    tiles = [[frame.repeat(factor, axis=0).repeat(factor, axis=1) for frame in row] for row in rows]
    height, width = tiles[0][0].shape[:2]
    tops = [i * (height + MARGIN) + i // every * 4 * MARGIN for i in range(len(rows))]
    canvas = np.full((tops[-1] + height, len(headings) * (width + MARGIN) - MARGIN, 3), 255, np.uint8)
    for top, row in zip(tops, tiles, strict=True):
        for column, tile in enumerate(row):
            left = column * (width + MARGIN)
            canvas[top : top + height, left : left + width] = tile
    # Margins in pixels, for the words; the picture itself is drawn dot for dot.
    left_margin, top_margin = max(110, 16 + 8 * max(map(len, labels))), 22
    total = (canvas.shape[1] + left_margin, canvas.shape[0] + top_margin)
    figure = plt.figure(figsize=(total[0] / DPI, total[1] / DPI))
    figure.figimage(canvas, xo=left_margin, yo=0)
    for top, label in zip(tops, labels, strict=True):
        y = 1 - (top_margin + top + height / 2) / total[1]
        figure.text((left_margin - 6) / total[0], y, label, ha="right", va="center", fontsize=9)
    for column, heading in enumerate(headings):
        x = (left_margin + column * (width + MARGIN) + width / 2) / total[0]
        figure.text(x, 1 - 11 / total[1], heading, ha="center", va="center", fontsize=9)
    return figure


def _common_pairs(layout: Layout, runs: Sequence[str], mode: str) -> pd.DataFrame:
    """The pairs that every run has animated."""
    tables = [read_pairs(layout.outputs(run) / "animation" / mode / "pairs.csv") for run in runs]
    common = set.intersection(*(set(table["pair"]) for table in tables))
    return tables[0][tables[0]["pair"].isin(common)].reset_index(drop=True)


def _frames(path: Path, when: Sequence[int]) -> list[UInt8[np.ndarray, "h w 3"]]:
    with ClipFile(path) as clip:
        return [clip.frame(index) for index in when]


def _times(frames: int, count: int) -> list[int]:
    return [int(i) for i in np.linspace(0, frames - 1, count).round()]


def _spread_index(size: int, count: int) -> list[int]:
    return sorted({int(i) for i in np.linspace(0, size - 1, min(count, size)).round()}) if size else []


def _spread(items: Sequence[T], count: int) -> list[T]:
    """At most `count` of the items, evenly spread."""
    return [items[i] for i in _spread_index(len(items), count)]


def _save(figure: Figure, layout: Layout, name: str) -> Path:
    path = layout.report / "figures" / f"{name}.png"
    with atomic(path) as draft:
        # No software version inside: the same picture is the same file.
        figure.savefig(draft, dpi=DPI, metadata={"Software": None})
    plt.close(figure)
    return path
