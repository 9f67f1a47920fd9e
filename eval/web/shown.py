"""What the page shows of a data set: written to `pages/<data set>/content.json` by a report, and read from there."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from eval.report.question import Question
from eval.web import FORMAT
from tpsm.core.schema import Count, Positive, Whole

Cell = dict[str, str | bool]
"""Words (`text`), a reason why there is no number (`missing`), or a `mean` with its `value` at full precision, which
may have an `interval` with its `low` and `high` at full precision, a `sample`, and be the `best`."""
NUMBERS = ("value", "low", "high")


@dataclass(frozen=True)
class MetricInWords:
    title: str
    unit: str
    better: Literal["lower", "higher"]
    source: str


@dataclass(frozen=True)
class Row:
    """`method` (several are joined by '|') and `mode` are what the page filters by; '' where a row has none."""

    method: str
    mode: str
    label: str
    cells: tuple[Cell, ...]

    def __post_init__(self) -> None:
        for cell in self.cells:
            said = cell.keys() & {"missing", "text"} or cell.keys() >= {"value", "mean"}
            if not said or any(type(value) is not (bool if key == "best" else str) for key, value in cell.items()):
                raise ValueError(f"cells: {cell!r:.80} is no cell of a table")
            if ("low" in cell) != ("high" in cell):
                raise ValueError(f"cells: {cell!r:.80} has half an interval")
            for name in NUMBERS:
                if not math.isfinite(float(cell.get(name, 0))):
                    raise ValueError(f"cells: {cell!r:.80} has a {name} that is no number")


@dataclass(frozen=True)
class ShownTable:
    name: str
    title: str
    notes: tuple[str, ...]
    protocol: str
    modes: tuple[str, ...]
    columns: tuple[str, ...]
    rows: tuple[Row, ...]

    def __post_init__(self) -> None:
        for row in self.rows:
            if 1 + len(row.cells) != len(self.columns):
                raise ValueError(f"rows: {row.label!r:.80} has {len(row.cells)} cells for {len(self.columns)} columns")


@dataclass(frozen=True)
class MissingCells:
    """Cells of a table that have no number for the same reason."""

    reason: str
    table: str
    cells: tuple[str, ...]


@dataclass(frozen=True)
class ShownFigure:
    caption: str
    file: str


@dataclass(frozen=True)
class Video:
    """One of a group's: `strip` is the file of its frames; `method` and `mode` are what the page filters by; `main`
    sets the methods apart from ablations; `values` are the run's on this clip, with the metric's title."""

    label: str
    strip: str
    method: str = ""
    mode: str = ""
    main: bool = True
    values: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Group:
    """Videos that belong side by side, of equally many frames. The first `given` of them are real."""

    title: str
    note: str
    task: str
    frames: Count
    fps: Positive
    width: Count
    height: Count
    given: Count
    videos: tuple[Video, ...]

    def __post_init__(self) -> None:
        if self.given > len(self.videos):
            raise ValueError(f"given: {self.given} of {len(self.videos)} videos cannot be real")


@dataclass(frozen=True)
class Card:
    """`strip` holds the real frame and the generated one; in animation the source, the driving frame, the generated."""

    run: str
    method: str
    mode: str
    metric: str
    value: str
    clip: str
    frame: Whole
    strip: str
    shows: tuple[str, ...]


@dataclass(frozen=True)
class Content:
    """`brief`: which method is best at what, in one sentence; `questions`: in full; `facts` and `reading`: what was
    run, and how to read it, in sentences; `quality`: of each evaluator, by its role; `provenance`: what made all
    this."""

    dataset: str
    brief: str
    facts: tuple[str, ...]
    questions: tuple[Question, ...]
    reading: tuple[str, ...]
    metrics: tuple[MetricInWords, ...]
    methods: tuple[str, ...]
    protocols: tuple[str, ...]
    modes: tuple[str, ...]
    tables: tuple[ShownTable, ...]
    missing: tuple[MissingCells, ...]
    figures: tuple[ShownFigure, ...]
    groups: tuple[Group, ...]
    failures: tuple[Card, ...]
    quality: dict[str, Any]
    provenance: dict[str, Any]
    format: int = FORMAT

    def images(self) -> Iterator[str]:
        """Yields the names of the images, which lie beside the file."""
        yield from (figure.file for figure in self.figures)
        yield from (video.strip for group in self.groups for video in group.videos)
        yield from (card.strip for card in self.failures)
