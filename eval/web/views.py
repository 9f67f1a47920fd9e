"""What the page shows first, and where each table and question stands: all of it seen in a data set's content."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from eval.report.modes import common_mode
from eval.report.question import Question
from eval.web.shown import Cell, Content, Group, ShownTable

PAPERS = {"L1": "pixel error", "AKD": "joint error", "MKR": "joints lost", "AED": "identity lost"}
"""The papers' four metrics, and what each measures."""
TOPICS = {
    "comparisons": "pairs",
    "animation": "animation",
    "k_ablation": "ablations",
    "components": "ablations",
    "changes": "ablations",
    "seeds": "seeds",
}
"""Where the page shows a table; any other stands under `metrics`, and one of a second protocol under `protocols`."""
DRAWN = ("reconstruction", "k_ablation", "components", "animation")
"""Tables that stand behind a plot of their intervals."""
SECTIONS = {
    "metrics": "Every metric",
    "pairs": "Pairs compared",
    "animation": "Animation modes",
    "ablations": "Ablations",
    "seeds": "Training seeds",
    "videos": "Videos",
    "failures": "Failures",
    "protocols": "Protocols",
    "figures": "Figures",
    "provenance": "Provenance",
}
"""Of the page, by what links call them."""
MARGIN = 0.06
"""Of a scale, on either side."""


@dataclass(frozen=True)
class First:
    """The videos of a group that the first screen plays: a source, a driving clip and the methods' results, with words
    for each. `still` says that the source is a video's first frame."""

    group: Group
    videos: tuple[tuple[str, str], ...]
    mode: str
    still: bool


@dataclass(frozen=True)
class Bar:
    """Where an interval and its mean lie on a scale, in percent from its left; a mean beyond it stands at its edge."""

    low: float
    mean: float
    high: float


@dataclass(frozen=True)
class Plot:
    """Rows of a table as intervals: of each row its label; by column, its cell and its bar, None where the cell has no
    interval or lies beyond the scale; and whether it is a control. A column's scale is that of the runs alone."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[tuple[Cell, Bar | None], ...], bool], ...]


@dataclass(frozen=True)
class Matrix:
    """Who wins: a row per metric, a column per pair of runs, and in each cell the comparison's cells, in order
    difference, p, corrected p and better."""

    pairs: tuple[tuple[str, str], ...]
    rows: tuple[tuple[str, tuple[tuple[Cell, ...] | None, ...]], ...]

    def headings(self) -> list[str]:
        return [f"{run} or {other}" for run, other in self.pairs]


def first(contents: Sequence[Content]) -> tuple[Content, First] | None:
    """The middle pair of the first data set that has any, in the first mode that all its methods animate in; without
    animation the middle clip that was rebuilt."""
    for task in ("animation", "reconstruction"):
        for content in contents:
            groups = [group for group in content.groups if group.task == task]
            if groups and (found := _first(groups[len(groups) // 2])) is not None:
                return content, found
    return None


def _first(group: Group) -> First | None:
    """None where no mode has a result of every method."""
    results = [video for video in group.videos[group.given :] if video.main]
    mode = common_mode([(video.label.removesuffix(f", {video.mode}"), video.mode) for video in results])
    videos = [(video.label.removesuffix(f", {mode}"), video.strip) for video in results if video.mode == mode]
    if not videos:
        return None
    source, driving = group.videos[0].strip, group.videos[group.given - 1].strip
    return First(group, (("source", source), ("driving clip", driving), *videos), mode, source == driving)


def main_protocol(content: Content) -> str:
    return "strict" if "strict" in content.protocols else content.protocols[0]


def topic(content: Content, shown: ShownTable | Question) -> str:
    """The section of the page in which a table or a question stands."""
    if shown.protocol != main_protocol(content):
        return "protocols"
    if isinstance(shown, ShownTable):
        return TOPICS.get(shown.name.removesuffix("_legacy"), "metrics")
    if not shown.main:
        return "ablations"
    if shown.mode != "reconstruction":
        return "animation"
    return "metrics" if shown.findings else "pairs"


def on_topic(contents: Iterable[Content], name: str) -> list[Content]:
    """The data sets that have a table or a question there."""
    return [
        one
        for one in contents
        if any(topic(one, shown) == name for shown in one.tables)
        or any(topic(one, asked) == name for asked in one.questions)
    ]


def sections(contents: Sequence[Content]) -> dict[str, str]:
    """Those that there is something for."""
    topics = {"metrics", "protocols", *TOPICS.values()}
    always = SECTIONS.keys() - topics | {"protocols"}
    return {name: title for name, title in SECTIONS.items() if name in always or on_topic(contents, name)}


def table(content: Content, name: str) -> ShownTable | None:
    """That of the protocol which counts first."""
    names = (name, f"{name}_legacy")
    protocol = main_protocol(content)
    return next((one for one in content.tables if one.name in names and one.protocol == protocol), None)


def leaderboard(content: Content) -> Plot | None:
    """The papers' four metrics of reconstruction, as far as they were measured; without the real frames, which have no
    error. None where none was measured."""
    shown = table(content, "reconstruction")
    if shown is None:
        return None
    found = plot(replace(shown, rows=tuple(row for row in shown.rows if row.label != "Real frames")))
    kept = [i for i, column in enumerate(found.columns) if column.partition(" ")[0] in PAPERS and column[:-2] in PAPERS]
    rows = tuple((label, tuple(cells[i] for i in kept), control) for label, cells, control in found.rows)
    return Plot(tuple(found.columns[i] for i in kept), rows) if kept else None


def plot(shown: ShownTable) -> Plot:
    """Every column of a table whose head says which way is better."""
    which = [i for i, column in enumerate(shown.columns) if column.endswith(("↓", "↑"))]
    runs = [row for row in shown.rows if row.method] or shown.rows
    scales = {i: _scale(row.cells[i - 1] for row in runs) for i in which}
    rows = []
    for row in shown.rows:
        cells = tuple((row.cells[i - 1], _bar(row.cells[i - 1], scales[i])) for i in which)
        label = f"{row.label}, {row.mode}" if row.mode else row.label
        rows.append((label, cells, row not in runs))
    return Plot(tuple(shown.columns[i] for i in which), tuple(rows))


def _scale(cells: Iterable[Cell]) -> tuple[float, float] | None:
    """From the lowest bound to the highest, and a little beyond; None where no cell has one."""
    bounds = [float(cell[key]) for cell in cells for key in ("low", "value", "high") if key in cell]
    if not bounds:
        return None
    margin = MARGIN * (max(bounds) - min(bounds)) or 1.0
    return min(bounds) - margin, max(bounds) + margin


def _bar(cell: Cell, scale: tuple[float, float] | None) -> Bar | None:
    if scale is None or "low" not in cell:
        return None
    start, end = scale
    low, mean, high = ((float(cell[key]) - start) / (end - start) * 100 for key in ("low", "value", "high"))
    if not 0 <= mean <= 100:
        return None
    return Bar(round(max(low, 0.0), 1), round(mean, 1), round(min(high, 100.0), 1))


def matrix(content: Content) -> Matrix | None:
    """None where fewer than two runs are compared."""
    shown = table(content, "comparisons")
    if shown is None:
        return None
    named = [(row, str(row.cells[0].get("text", "")), str(row.cells[1].get("text", ""))) for row in shown.rows]
    pairs = tuple(dict.fromkeys((run, other) for _, run, other in named))
    cells = {(row.label, run, other): row.cells[2:] for row, run, other in named}
    metrics = dict.fromkeys(row.label for row, _, _ in named)
    return Matrix(pairs, tuple((metric, tuple(cells.get((metric, *pair)) for pair in pairs)) for metric in metrics))
