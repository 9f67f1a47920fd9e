"""Frames of real clips, and what every run makes of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from eval.figures.drawing import save, sheet
from eval.scoring.pairs import common_pairs
from eval.tables.results import Results
from tpsm.data.clip import ClipFile, read_frames, spread, spread_index, times


def reconstruction(results: Results) -> Path | None:
    """Real frames of a few test clips, and every run's reconstruction of them from the first."""
    layout, config = results.layout, results.config.figures
    runs = [run for run in results.config.tables.reconstruction if run in results.scored and layout.has_frames(run)]
    entries = spread(results.manifest.clips("test"), config.clips)
    if not runs:
        return None
    grid, labels = [], []
    for entry in entries:
        when = times(entry.frames, config.frames)
        grid.append([*read_frames(layout.clips / entry.file, when)])
        labels.append("real")
        for run in runs:
            grid.append([*read_frames(layout.generated(run, entry.name), when)])
            labels.append(results.label(run))
    headings = [f"{share:.0%}" for share in np.linspace(0, 1, config.frames)]
    return save(sheet(grid, labels, headings, config.enlarge_to, every=len(runs) + 1), results, "reconstruction")


def animation(results: Results, mode: str) -> Path | None:
    """Source and driving frames on top, and every run's animation below, as in the paper's Figure 6."""
    layout, config = results.layout, results.config.figures
    runs = [run for run in results.config.tables.animation if mode in results.modes(run)]
    runs = [run for run in runs if layout.has_frames(run, mode)]
    if not runs:
        return None

    # A block per pair: the source and driving frames, then every run's.
    pairs = common_pairs(layout, runs, mode)
    grid, labels = [], []
    for _, pair in pairs.iloc[spread_index(len(pairs), config.clips)].iterrows():
        with ClipFile(layout.test_clip(pair["driving"])) as clip:
            when = times(len(clip), config.frames)
        driving = read_frames(layout.test_clip(pair["driving"]), when)
        source = read_frames(layout.test_clip(pair["source"]), [0])
        grid.append([*source, *driving])
        labels.append("driving")
        for run in runs:
            made = read_frames(layout.generated(run, pair["pair"], mode), when)
            grid.append([np.full_like(source[0], 255), *made])
            labels.append(results.label(run))
    if not grid:
        return None
    headings = ["source", *(f"{share:.0%}" for share in np.linspace(0, 1, config.frames))]
    return save(sheet(grid, labels, headings, config.enlarge_to, every=len(runs) + 1), results, f"animation_{mode}")
