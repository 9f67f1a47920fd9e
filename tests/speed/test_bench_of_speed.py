"""The benchmark of speed: its arithmetic, what it writes, and that it goes on where it was."""

import itertools
import json
import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch

from eval.stages.bench import Cost
from tpsm.core.errors import UserError
from tpsm.core.layout import Layout
from tpsm.speed import bench as speed
from tpsm.speed import growth, parts
from tpsm.speed.bench import NAMES, bench, line, table
from tpsm.speed.parts import Part, data, measured, scoring, training
from tpsm.speed.side_by_side import Comparison, compare

PARAMS = Path(__file__).parents[2] / "params.yaml"


def test_a_ratio_is_that_of_rounds_side_by_side() -> None:
    found = Comparison("", "s", (2.0, 40.0, 3.0), (1.0, 10.0, 3.0), goal=2.0)
    assert found.ratios == [2, 4, 1] and found.ratio == 2 and found.met


def notes_calls(file: Path, side: str) -> Callable[[], int]:
    """A side that writes down its calls, with its process and threads; it can be pickled."""

    def call() -> int:
        with file.open("a") as calls:
            print(side, os.getpid(), torch.get_num_threads(), file=calls)
        time.sleep(0.02)
        return 2

    return call


def test_both_sides_run_in_turn_and_the_first_round_does_not_count(tmp_path: Path) -> None:
    sides = partial(notes_calls, tmp_path / "calls", "theirs"), partial(notes_calls, tmp_path / "calls", "ours")
    found = compare("", "s", 1.0, sides, rounds=2, threads=2)
    calls = [line.split() for line in (tmp_path / "calls").read_text().splitlines()]
    assert [side for side, *_ in calls] == ["theirs", "ours"] * 3
    assert len({process for _, process, _ in calls}) == 2 and {threads for *_, threads in calls} == {"2"}
    assert len(found.reference) == len(found.ours) == 2 and min(found.reference) >= 0.01, "of two things in 20 ms"


def test_a_line_is_found_and_what_leaves_it() -> None:
    counts = [10, 100, 1000]
    straight = line(counts, [3 + 0.5 * count for count in counts], [7, 8, 9])
    assert straight == pytest.approx({"start": 3, "each": 0.5, "off": 0, "memory": 2})
    assert line(counts, [8.0, 53.0, 2 * 503.0], [7, 7, 7])["off"] == pytest.approx(1)


def test_the_parts_compare_what_they_say() -> None:
    step, memory = measured((PARAMS, Part(training, "small", 64, batch=2, rounds=1)))
    assert step.unit == "s/step" and memory.unit == "bytes"
    assert memory.ours < memory.reference
    names = [found.case for found in measured((PARAMS, Part(data, "small", 16, rounds=1)))]
    assert [name.split(" frames")[0] for name in names] == [f"pairs from clips of {n}" for n in (32, 128, 512)]


def test_it_goes_on_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    made: list[object] = []

    def pretend(_: object, part: Part) -> list[dict[str, object]]:
        made.append(part)
        row = {"case": "x", "unit": "s", "reference": [2.0], "ours": [1.0], "goal": 1.5, "met": True}
        return [row | {"ratio": 2.0, "least": 2.0, "most": 2.0}]

    seconds = itertools.cycle((1.0, 7.0, 2.0))  # of a point's three rounds, whose median counts

    def round_of(_: object, asked: object) -> list[growth.Point]:
        each, shapes = next(seconds), [*((1, n) for n in (30, 300, 3000)), *((n, 4) for n in (10, 100, 1000))]
        points = [growth.Point("prepare", clips, frames, each * clips * frames, 10**8) for clips, frames in shapes]
        return points if asked == "all" else []

    monkeypatch.setattr(speed, "_compared", pretend)
    monkeypatch.setattr(speed, "run_in_subprocess", round_of)
    monkeypatch.setattr(speed.growth, "points", lambda params: ["all"])
    path = bench(PARAMS, tmp_path, ["data"])
    assert len(made) == 1
    bench(PARAMS, tmp_path)
    content = json.loads(path.read_text())
    assert set(content["parts"]) == set(NAMES) and len(made) == len(NAMES) - 1
    fit = content["parts"]["growth"]["fits"]["prepare"]["frames"]
    assert (fit["each"], fit["off"]) == pytest.approx((2, 0)) and fit["memory"] == 0
    assert content["hardware"]["cores"] and content["versions"]["torch"]
    assert path.with_suffix(".svg").read_text().startswith("<?xml")
    assert "2.00" in table(path) and "prepare, frames" in table(path)

    # All of it is there; other code measures all anew.
    bench(PARAMS, tmp_path)
    assert len(made) == len(NAMES) - 1
    monkeypatch.setattr(speed, "code_hash", lambda *packages: "other")
    with caplog.at_level("INFO"):
        bench(PARAMS, tmp_path)
    assert len(made) == 2 * (len(NAMES) - 1) and "are measured anew" in caplog.text

    # A file of another form is measured anew too; a damaged one is refused.
    path.write_text('{"rows": [1]}')
    bench(PARAMS, tmp_path, ["data"])
    assert list(json.loads(path.read_text())["parts"]) == ["data"]
    for text in ("[1]", "{", json.dumps(json.loads(path.read_text()) | {"parts": 1})):
        path.write_text(text)
        with pytest.raises(UserError, match=path.name):
            bench(PARAMS, tmp_path)


def test_an_unknown_part_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"'speed'; choose among .*growth"):
        bench(PARAMS, tmp_path, ["speed"])


def test_scoring_is_held_against_its_evaluators(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, ...]] = []

    def pretend(layout: Layout, run: str, frames: int, metrics: tuple[str, ...]) -> Cost:
        assert (layout.dataset, layout.root, run) == ("puppets", PARAMS.parent, "tps")
        asked.append(metrics)
        return Cost(frames=10, seen={}, forward=2.0, total=2.1 if metrics else 4.0)

    monkeypatch.setattr(parts, "bench", pretend)
    every, papers = scoring(PARAMS, Part(scoring, "long", 64, rounds=2))
    assert every.reference == (0.2, 0.2) and every.ours == (0.4, 0.4) and not every.met
    assert papers.met and asked == [()] * 3 + [("l1", "akd", "mkr", "aed")] * 3


def test_growth_measures_every_stage_from_raw_clips_to_a_report() -> None:
    here, threads = Path.cwd(), torch.get_num_threads()
    points = growth.measured((PARAMS, 2, 3))
    torch.set_num_threads(threads)
    assert Path.cwd() == here
    assert [point.stage for point in points] == ["prepare", "reconstruct", "features", "score", "report"]
    assert all(point.seconds > 0 and point.peak > 10**7 for point in points)
    assert {(point.clips, point.frames) for point in points} == {(2, 3)}
