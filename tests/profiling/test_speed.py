"""The benchmark of speed: its arithmetic, what it writes, and that it goes on where it was."""

import json
from pathlib import Path

import pytest

from tpsm.core.errors import UserError
from tpsm.profiling import speed
from tpsm.profiling.side_by_side import Comparison, compare
from tpsm.profiling.speed import NAMES, bench, line, table
from tpsm.profiling.speed_parts import Part, data, measured, training

PARAMS = Path(__file__).parents[2] / "params.yaml"


def test_a_ratio_is_that_of_rounds_side_by_side() -> None:
    found = Comparison("", "s", (2.0, 40.0, 3.0), (1.0, 10.0, 3.0), goal=2.0)
    assert found.ratios == [2, 4, 1] and found.ratio == 2 and found.met


def test_both_sides_run_in_turn_and_the_first_round_does_not_count() -> None:
    calls: list[str] = []
    found = compare("", "s", 1.0, lambda: calls.append("theirs") or 2, lambda: calls.append("ours") or 1, rounds=2)
    assert calls == ["theirs", "ours"] * 3
    assert len(found.reference) == len(found.ours) == 2


def test_a_line_is_found_and_what_leaves_it() -> None:
    counts = [10, 100, 1000]
    straight = line(counts, [3 + 0.5 * count for count in counts], [7, 8, 9])
    assert straight == pytest.approx({"start": 3, "each": 0.5, "off": 0, "memory": 2})
    assert line(counts, [8.0, 53.0, 2 * 503.0], [7, 7, 7])["off"] == pytest.approx(1)


def test_the_parts_compare_what_they_say() -> None:
    time, memory = measured((PARAMS, Part(training, "small", 64, batch=2, rounds=1)))
    assert time.unit == "s/step" and memory.unit == "bytes"
    assert memory.ours < memory.reference
    names = [found.case for found in measured((PARAMS, Part(data, "small", 16, rounds=1)))]
    assert [name.split(" frames")[0] for name in names] == [f"pairs from clips of {n}" for n in (32, 128, 512)]


def test_it_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[object] = []

    def pretend(_: object, part: Part) -> list[dict[str, object]]:
        made.append(part)
        row = {"case": "x", "unit": "s", "reference": [2.0], "ours": [1.0], "goal": 1.5, "met": True}
        return [row | {"ratio": 2.0, "least": 2.0, "most": 2.0}]

    def point(stage: str, clips: int, frames: int) -> dict[str, object]:
        return {"stage": stage, "clips": clips, "frames": frames, "seconds": clips * frames / 10, "peak": 10**8}

    points = [point("prepare", 1, n) for n in (30, 300, 3000)] + [point("prepare", n, 4) for n in (10, 100, 1000)]
    monkeypatch.setattr(speed, "_compared", pretend)
    monkeypatch.setattr(speed, "run_in_subprocess", lambda function, asked: points if asked == "all" else [])
    monkeypatch.setattr(speed.growth, "points", lambda params: ["all"])
    monkeypatch.setattr(speed, "asdict", lambda value: value)
    path = bench(PARAMS, tmp_path, ["data"])
    assert len(made) == 1
    bench(PARAMS, tmp_path)
    content = json.loads(path.read_text())
    assert set(content["parts"]) == set(NAMES) and len(made) == len(NAMES) - 1
    assert content["hardware"]["cores"] and content["versions"]["torch"]
    assert path.with_suffix(".svg").read_text().startswith("<?xml")
    assert "2.00" in table(path) and "prepare, frames" in table(path)

    # All of it is there; other code measures all anew.
    bench(PARAMS, tmp_path)
    assert len(made) == len(NAMES) - 1
    monkeypatch.setattr(speed, "code_hash", lambda package: "other")
    bench(PARAMS, tmp_path)
    assert len(made) == 2 * (len(NAMES) - 1)


def test_an_unknown_part_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"'speed'; choose among .*growth"):
        bench(PARAMS, tmp_path, ["speed"])
