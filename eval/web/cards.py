"""The frames that runs do worst, as cards of the page."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from eval.report.worst import Failure, worst_frames
from eval.scoring.pairs import common_pairs
from eval.tables.results import Results, Series
from eval.tables.table import number
from eval.web.shown import Card
from eval.web.strips import write_strip
from eval.web.videos import method_of
from tpsm.core.layout import Layout, file_name
from tpsm.data.clip import read_frames

COUNT = 3
"""Cards of a run, mode and metric."""


def write_failures(results: Results) -> Iterator[Card]:
    """Of every method and mode, the worst frames by every metric: images into `pages/<data set>/`, their words."""
    series = [Series(run, protocol=results.protocol) for run in results.config.tables.reconstruction]
    for one in (*series, *results.animations):
        if results.layout.has_frames(one.run, one.mode):
            yield from _cards(results, one)


def _cards(results: Results, series: Series) -> Iterator[Card]:
    layout, pairs = results.layout, None
    if series.task == "animation":
        pairs = common_pairs(layout, [series.run], series.mode).set_index("pair")

    # A card per metric and failure.
    for metric in results.metrics.values():
        for failure in worst_frames(results, series, metric, COUNT):
            clip = Path(file_name(failure.clip)).stem
            # A `!` stands in no run's or file's name, so no two cards share a strip.
            strip = f"failure!{series.run}!{series.mode or 'reconstruction'}!{clip}!{failure.frame}.webp"
            frames, shows = _frames(layout, series, failure, pairs)
            if not (layout.page / strip).is_file():
                write_strip(layout.page / strip, frames, results.config.videos)
            yield Card(
                results.label(series.run),
                method_of(results, series.run),
                series.mode or "reconstruction",
                metric.title,
                number(failure.value, metric.decimals),
                failure.clip,
                failure.frame,
                strip,
                shows,
            )


def _frames(
    layout: Layout, series: Series, failure: Failure, pairs: pd.DataFrame | None
) -> tuple[np.ndarray, tuple[str, ...]]:
    when = [failure.frame]
    made = (layout.generated(series.run, failure.clip, series.mode), when)
    if pairs is None:
        paths = [(layout.test_clip(failure.clip), when), made]
        shows: tuple[str, ...] = ("real", "generated")
    else:
        source, driving = (layout.test_clip(str(pairs.loc[failure.clip, end])) for end in ("source", "driving"))
        paths = [(source, [0]), (driving, when), made]
        shows = ("source", "driving", "generated")
    return np.concatenate([read_frames(path, frames) for path, frames in paths]), shows
