"""Two files of scores on their common clips: closed-form differences, and refusals."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from eval.__main__ import main
from eval.checks import compare
from eval.stats.config import BootstrapConfig

QUICK = BootstrapConfig(samples=200)


def scores(root: Path, values: dict[str, float], run: str = "tps", metric: str = "l1", **columns: object) -> Path:
    """Three frames a clip, of the clip's value and .1 more and less; `columns` are set in all rows."""
    path = root / "scores" / "dots" / f"{run}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    about = {"dataset": "dots", "run": run, "task": "reconstruction", "mode": "", "metric": metric}
    about |= {"protocol": "strict", "version": 1, **columns}
    table = pd.concat(
        pd.DataFrame(
            about
            | {"clip": clip, "identity": clip[0], "frame": np.arange(3), "value": value + np.array([-0.1, 0, 0.1])}
        )
        for clip, value in values.items()
    )
    if path.is_file():
        table = pd.concat([pd.read_parquet(path), table])
    table.to_parquet(path, index=False)
    return path


def certify(root: Path, content: dict[str, str]) -> None:
    path = root / "reports" / "dots" / "coverage.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"content": content}))


def test_the_difference_is_that_of_the_common_clips(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mine = scores(tmp_path / "a", {"a#0": 1.0, "a#1": 2.0, "b#0": 3.0, "mine#0": 100})
    other = scores(tmp_path / "b", {"a#0": 1.5, "a#1": 2.7, "b#0": 3.6, "x#0": -50, "x#1": -50})
    assert main(["compare", str(mine), str(other)]) == 0
    page = capsys.readouterr().out
    assert "3 clips and pairs are common, 0 known to have the same frames" in page
    assert "1 that A alone has, 2 that B alone has, 0 of one name" in page
    row = compare.rows(compare.read_side(mine), compare.read_side(other), frozenset({"a#0", "a#1", "b#0"}), QUICK)
    assert [(r.metric, r.protocol) for r in row] == [("l1", "strict")]
    assert row[0].mine.mean == pytest.approx(2) and row[0].other.mean == pytest.approx(2.6)
    assert row[0].difference.mean == pytest.approx(-0.6) and row[0].difference.frames == 9
    assert -0.7 <= row[0].difference.low <= row[0].difference.high <= -0.5  # no clip differs by more or less
    assert "| L1 strict | 2 | 2.6 | -0.6 [" in page and page.count("A better") == 1
    assert main(["compare", str(mine), str(mine)]) == 0
    assert "+0 [+0, +0] | 4 | no difference shown" in capsys.readouterr().out


def test_clips_of_one_name_with_other_frames_are_left_out(tmp_path: Path) -> None:
    values = {"a#0": 1.0, "b#0": 2.0, "c#0": 3.0, "a#0--b#0": 1.0, "b#0--c#0": 1.0, "b--x--c": 1.0}
    for lab in ("a", "b"):
        scores(tmp_path / lab, values)
    certify(tmp_path / "a", {"a#0": "1", "b#0": "2", "b": "5", "x--c": "6"})
    certify(tmp_path / "b", {"a#0": "1", "b#0": "other", "c#0": "3", "b": "5", "x--c": "6"})
    sides = [compare.read_side(tmp_path / lab / "scores/dots/tps.parquet") for lab in ("a", "b")]
    found = compare.common_clips(sides[0], sides[1])
    assert found.unlike == {"b#0", "a#0--b#0"} and found.verified == {"a#0", "b--x--c"}
    assert found.clips == {"a#0", "c#0", "b#0--c#0", "b--x--c"} and not found.mine_alone | found.other_alone
    certified = tmp_path / "a" / "reports/dots/coverage.json"
    certified.write_text("[]")
    assert main(["compare", str(sides[0].path), str(sides[1].path)]) == 2


def test_protocols_are_apart_and_versions_must_agree(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    values = {"a#0": 1.0, "b#0": 2.0}
    mine = scores(tmp_path / "a", values)
    scores(tmp_path / "a", {clip: 3.0 for clip in values}, protocol="legacy")
    other = scores(tmp_path / "b", values)
    scores(tmp_path / "b", {clip: 4.0 for clip in values}, protocol="legacy", version=2)
    scores(tmp_path / "b", values, metric="akd", version=7)  # A has none: not compared, and no matter
    assert main(["compare", str(mine), str(other)]) == 2
    assert "l1 has version 1 in" in (said := capsys.readouterr().err) and "and 2 in" in said
    scores(tmp_path / "a", values, metric="akd", version=7, run="fomm")
    table = pd.read_parquet(other).assign(version=1)
    table.to_parquet(other)
    assert main(["compare", str(mine), str(other)]) == 0
    page = capsys.readouterr().out
    assert "| L1 legacy | 3 | 4 | -1 [-1, -1] | 2 | A better |" in page and "| L1 strict | 1.5 | 1.5 | +0" in page
    pd.read_parquet(mine).query("protocol == 'strict'").drop(columns=["version", "protocol"]).to_parquet(mine)
    assert main(["compare", str(mine), str(other)]) == 2
    assert "does not say the version of its metrics" in capsys.readouterr().err


def test_folders_are_compared_run_by_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for lab, runs in (("a", ("tps", "fomm", "mraa")), ("b", ("tps", "fomm"))):
        for run in runs:
            scores(tmp_path / lab, {"a#0": 1.0, "b#0": 2.0}, run=run)
    folders = [str(tmp_path / lab / "scores" / "dots") for lab in ("a", "b")]
    assert main(["compare", *folders, "--unit", "identity"]) == 0
    page = capsys.readouterr().out
    assert page.count("## dots: ") == 2 and "## dots: fomm and fomm" in page and "mraa" not in page


def test_what_cannot_be_compared_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mine = scores(tmp_path / "a", {"a#0": 1.0})
    stranger = scores(tmp_path / "b", {"b#0": 1.0}, run="fomm")
    elsewhere = scores(tmp_path / "c", {"a#0": 1.0}, dataset="faces")
    akd = scores(tmp_path / "d", {"a#0": 1.0}, metric="akd")
    broken, narrow = tmp_path / "broken.parquet", tmp_path / "narrow.parquet"
    broken.write_bytes(b"PAR1")
    pd.DataFrame({"clip": ["a"]}).to_parquet(narrow)
    for other, message in (
        (stranger, "no clip in common"),
        (elsewhere, "of dots, and .* of faces"),
        (akd, "no metric in common"),
        (broken, "cannot be read as scores"),
        (tmp_path / "gone.parquet", "There is no file .*gone.parquet"),
        (narrow, "lacks the column 'dataset'"),
        (mine.parent, "two files of scores or two folders"),
    ):
        assert main(["compare", str(mine), str(other)]) == 2
        assert re.search(message, capsys.readouterr().err)
    assert main(["compare", str(mine.parent), str(stranger.parent)]) == 2
    assert "have no run in common" in capsys.readouterr().err
