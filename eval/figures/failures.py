"""The frames that every run does worst."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from eval.figures.drawing import save, sheet
from eval.metrics import Metric
from eval.report.worst import worst_frames
from eval.tables.results import Results, Series
from eval.tables.table import number
from tpsm.data.clip import read_frames

COUNT = 4
SMALLEST = 128
"""Pixels of a frame: two side by side leave room for the words below."""


def failures(results: Results, metric: Metric) -> Path | None:
    """One row per run: the worst frame of each of its worst clips by the metric, the real one beside the generated."""
    layout = results.layout
    grid, labels, captions = [], [], []

    # Of every run, its worst frames with their values.
    for run in filter(layout.has_frames, results.config.tables.reconstruction):
        tiles, words = [], []
        for failure in worst_frames(results, Series(run, protocol=results.protocol), metric, COUNT):
            real = read_frames(layout.test_clip(failure.clip), [failure.frame])[0]
            made = read_frames(layout.generated(run, failure.clip), [failure.frame])[0]
            tiles.append(np.concatenate([real, made], axis=1))
            words.append(f"{failure.clip}, frame {failure.frame}: {number(failure.value, metric.decimals)}")
        if tiles:
            blank = np.full_like(tiles[0], 255)
            grid.append([*tiles, *[blank] * (COUNT - len(tiles))])
            labels.append(results.label(run))
            captions.append(words)

    # As wide as the run with the most.
    if not grid:
        return None
    columns = max(map(len, captions))
    grid = [row[:columns] for row in grid]
    size = max(results.config.figures.enlarge_to, SMALLEST)
    figure = sheet(grid, labels, ["real | generated"] * columns, size, 1, captions)
    return save(figure, results, f"failures_{metric.name}")
