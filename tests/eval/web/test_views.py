"""What the page makes of a data set's tables and videos: leaderboard, intervals, matrix, first screen."""

from __future__ import annotations

from dataclasses import replace

from eval.stats.intervals import Estimate
from eval.tables.table import Missing, Table, Value
from eval.web import views
from eval.web.content import table_content
from eval.web.shown import Content, Group, ShownTable, Video
from eval.web.views import Bar

METHODS = {"FOMM": "FOMM", "MRAA": "MRAA"}


def value(mean: float, low: float, high: float, *, best: bool = False) -> Value:
    return Value(Estimate(mean, low, high, 9, 9), 2, best=best)


def group(task: str, *videos: Video) -> Group:
    given = (Video("real", "real.webp"),)
    if task == "animation":
        given = (Video("source", "source.webp"), Video("driving", "driving.webp"))
    return Group(task, "", task, 4, 25.0, 16, 16, len(given), (*given, *videos))


def content(*tables: ShownTable, groups: tuple[Group, ...] = (), protocols: tuple[str, ...] = ("strict",)) -> Content:
    return Content(
        dataset="dots",
        brief="",
        facts=(),
        questions=(),
        reading=(),
        metrics=(),
        methods=(),
        protocols=protocols,
        modes=(),
        tables=tables,
        missing=(),
        figures=(),
        groups=groups,
        failures=(),
        quality={},
        provenance={},
    )


def reconstruction(name: str = "reconstruction") -> ShownTable:
    rows = (
        ("FOMM", value(1.0, 0.0, 2.0, best=True), value(5.0, 4.0, 6.0), Missing("not run")),
        ("MRAA", value(3.0, 2.0, 10.0), value(7.0, 6.0, 8.0), Missing("not run")),
        ("Copy of the source", value(40.0, 39.0, 41.0), value(8.0, 7.0, 30.0), Missing("not run")),
        ("Real frames", value(0.0, 0.0, 0.0), value(0.0, 0.0, 0.0), Missing("not run")),
    )
    protocol = "legacy" if name.endswith("_legacy") else "strict"
    columns = ("Run", "AKD ↓", "AKD to truth ↓", "L1 ↓")
    return table_content(Table(name, "Video reconstruction, dots", columns, rows, protocol=protocol), METHODS)


def test_a_leaderboard_has_the_papers_metrics_on_the_methods_scale() -> None:
    board = views.leaderboard(content(reconstruction()))
    assert board is not None and board.columns == ("AKD ↓", "L1 ↓"), "AKD to truth is this benchmark's"
    assert [(label, control) for label, _, control in board.rows] == [
        ("FOMM", False),
        ("MRAA", False),
        ("Copy of the source", True),
    ]
    # From 0 to 10, and .6 beyond on either side.
    (fomm, first), (mraa, second), (_, far) = (cells[0] for _, cells, _ in board.rows)
    assert first == Bar(5.4, 14.3, 23.2)
    assert second == Bar(23.2, 32.1, 94.6) and far is None, "the copy lies beyond the scale"
    assert fomm["best"] is True and mraa["best"] is False
    assert [cells[1][1] for _, cells, _ in board.rows] == [None] * 3, "not run, so no bar"


def test_a_bar_ends_where_its_scale_does() -> None:
    _, cells, _ = views.plot(reconstruction()).rows[2]
    assert cells[1][1] is not None and cells[1][1].high == 100.0


def test_a_second_protocol_stands_apart_and_an_only_one_does_not() -> None:
    legacy, strict = reconstruction("reconstruction_legacy"), reconstruction()
    both = content(strict, legacy, protocols=("strict", "legacy"))
    assert (views.topic(both, strict), views.topic(both, legacy)) == ("metrics", "protocols")
    alone = content(legacy, protocols=("legacy",))
    assert views.topic(alone, legacy) == "metrics" and views.leaderboard(alone) is not None
    assert "ablations" not in views.sections([alone]) and "provenance" in views.sections([alone])
    assert views.topic(both, replace(strict, name="new")) == "metrics", "a new table has its place"


def test_a_matrix_has_a_row_per_metric_and_a_column_per_pair() -> None:
    columns = ("Metric", "Run", "Less", "Difference", "p", "Corrected p", "Better")
    rows = tuple(
        (metric, run, other, value(1.0, 0.0, 2.0), ".1", ".2", "not decided")
        for metric in ("L1 ↓", "AKD ↓")
        for run, other in (("FOMM", "MRAA"), ("FOMM", "TPSMM"))
    )
    found = views.matrix(content(table_content(Table("comparisons", "", columns, rows), METHODS)))
    assert found is not None and found.headings() == ["FOMM or MRAA", "FOMM or TPSMM"]
    assert [metric for metric, _ in found.rows] == ["L1 ↓", "AKD ↓"]
    assert all(cell is not None and cell[3]["text"] == "not decided" for _, cells in found.rows for cell in cells)
    assert views.matrix(content()) is None


def test_the_first_screen_takes_the_middle_pair_and_a_mode_of_all_methods() -> None:
    videos = [
        Video(f"{run}, {mode}", f"{run}-{mode}.webp", run, mode)
        for run, mode in (("A", "relative"), ("A", "avd"), ("B", "avd"))
    ]
    pairs = tuple(replace(group("animation", *videos), title=title) for title in ("hard", "middle", "easy"))
    clips = (group("reconstruction", Video("A", "a.webp", "A", "reconstruction")),)
    found = views.first([content(groups=clips), content(groups=(*clips, *pairs))])
    assert found is not None
    assert (found[1].group.title, found[1].mode, found[1].still) == ("middle", "avd", False)
    assert [label for label, _ in found[1].videos] == ["source", "driving clip", "A", "B"]


def test_the_first_screen_of_reconstruction_repeats_the_first_frame_as_the_source() -> None:
    videos = (
        Video("A", "a.webp", "A", "reconstruction"),
        Video("A K=2", "a2.webp", "A", "reconstruction", main=False),
    )
    found = views.first([content(groups=(group("reconstruction", *videos),))])
    assert found is not None and found[1].still
    assert found[1].videos == (("source", "real.webp"), ("driving clip", "real.webp"), ("A", "a.webp"))
    assert views.first([content()]) is None
