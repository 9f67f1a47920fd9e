"""What the landmark evaluator sees."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.patches import Circle

from eval.evaluators.features import RealClip
from eval.figures.drawing import DPI, save
from eval.tables.results import Results
from eval.types import to_pixels
from tpsm.core.layout import Layout
from tpsm.data.clip import spread


def detections(results: Results) -> Path | None:
    """Joints that the landmark evaluator finds in real test frames (dots), true joints that it misses (crosses)."""
    config, layout = results.config, results.layout
    if config.evaluators.landmarks is None or not (layout.clips / "test").is_dir():
        return None
    entries = spread(results.manifest.clips("test"), 2 * config.figures.frames)
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
    return save(figure, results, "detections")


def _draw_joints(axis: Axes, layout: Layout, name: str, frame: int) -> None:
    with closing(RealClip(layout, name)) as clip:
        real = clip.part(slice(frame, frame + 1))
    if real.landmarks is None:
        return
    axis.imshow(real.frames[0], interpolation="nearest")
    found, points = real.landmarks.found[0], real.landmarks.pixels(*real.size)[0]
    colours = plt.get_cmap("hsv")(np.linspace(0, 0.9, len(found)))
    for joint in np.flatnonzero(found):
        axis.add_patch(Circle(tuple(points[joint]), 1.1, facecolor=colours[joint], edgecolor="black", linewidth=0.6))
    if real.truth is not None and real.truth.joints.shape == real.landmarks.xy.shape:
        true = to_pixels(real.truth.joints, *real.size)[0]
        for joint in np.flatnonzero(real.truth.visible[0] & ~found):
            axis.plot(*true[joint], marker="x", color="white", markersize=7, markeredgewidth=3)
            axis.plot(*true[joint], marker="x", color=colours[joint], markersize=6, markeredgewidth=1.5)
    axis.set_title(name, fontsize=7)
