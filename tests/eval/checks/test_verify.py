"""Reported numbers are drawn again from scores alone, and what differs is named."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from small_pipeline import EVALUATION, configure, make_data, make_outputs

from eval.__main__ import main
from tpsm.core.layout import Layout


@pytest.fixture(scope="module")
def reported(tmp_path_factory: pytest.TempPathFactory) -> Layout:
    """A report without evaluators, of which only what `verify` needs is left: no model, no frames."""
    layout = make_data(tmp_path_factory.mktemp("pipeline"), train=("a#0",))
    make_outputs(layout)
    configure(layout, EVALUATION | {"evaluators": {}, "metrics": ["l1", "epe"]})
    arguments = ["--dataset", "dots", "--root", str(layout.root)]
    for verb in ("features", "score --run still", "score --run exact", "score --run copy-source", "report"):
        assert main([*verb.split(), *arguments]) == 0
    manifest = layout.clips / "manifest.json"
    for folder in ("models", "outputs", "features", "evaluators", *layout.clips.glob("*/")):
        shutil.rmtree(layout.root / folder, ignore_errors=True)
    assert [path for path in layout.clips.rglob("*") if path.is_file()] == [manifest]
    return layout


@pytest.fixture
def layout(reported: Layout, tmp_path: Path) -> Layout:
    shutil.copytree(reported.root, tmp_path / "copy")
    return Layout("dots", tmp_path / "copy")


def verify(layout: Layout) -> int:
    return main(["verify", "--dataset", "dots", "--root", str(layout.root)])


def test_a_report_follows_from_its_scores_alone(layout: Layout, capsys: pytest.CaptureFixture[str]) -> None:
    assert verify(layout) == 0
    lines = capsys.readouterr().out.splitlines()
    named = {line.split()[-1] for line in lines if line.startswith("matches")}
    files = {path.relative_to(layout.report).as_posix() for path in layout.report.rglob("*") if path.is_file()}
    assert {file for file in files if not file.startswith("figures/")} == named
    assert "10" in (layout.report / "tables/k_ablation.csv").read_text(), "the run's keypoints come with its scores"


@pytest.mark.parametrize(
    ("file", "change"),
    [
        ("tables/reconstruction.csv", ("Exact,0,", "Exact,0.1,")),
        ("tables/reconstruction.md", ("| Exact |", "| Fine |")),
        ("tables/k_ablation.tex", ("1,234", "1,235")),
        ("metrics.json", ('"clips": 4', '"clips": 5')),
        ("README.md", ("| 1,234 |", "| 1,235 |")),
        ("tables/old.md", None),
        ("tables/animation.tex", None),
        ("README.md", None),
        ("provenance.json", None),
    ],
)
def test_files_that_differ_are_named(
    file: str, change: tuple[str, str] | None, layout: Layout, capsys: pytest.CaptureFixture[str]
) -> None:
    path = layout.report / file
    if change is not None:
        text = path.read_text()
        assert change[0] in text
        path.write_text(text.replace(*change, 1))
    elif path.exists():
        path.unlink()
    else:
        path.touch()
    assert verify(layout) == 1
    differ = {line.split()[-1] for line in capsys.readouterr().out.splitlines() if line.startswith("differs")}
    assert differ == {file} | (set() if file in ("README.md", "tables/old.md") else {"provenance.json"})


def test_a_changed_score_is_found(layout: Layout, capsys: pytest.CaptureFixture[str]) -> None:
    import pandas as pd

    from eval.scoring.scores_file import about_scores, write_scores

    path = layout.scores("still")
    rows = pd.read_parquet(path)
    rows.loc[rows["metric"] == "l1", "value"] *= 1.05
    write_scores(path, rows, about_scores(path))
    assert verify(layout) == 1
    assert "differs  metrics.json" in capsys.readouterr().out
    assert json.loads((layout.report / "metrics.json").read_text())["still"]


def test_scores_alone_give_a_report_without_pictures_of_frames(layout: Layout) -> None:
    assert main(["report", "--dataset", "dots", "--root", str(layout.root)]) == 0
    assert verify(layout) == 0
    assert not list((layout.report / "figures").glob("reconstruction*"))


@pytest.mark.parametrize("absent", ["scores/dots", "data/clips/dots/manifest.json"])
def test_a_fresh_clone_is_told_what_to_pull(layout: Layout, absent: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = layout.root / absent
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert verify(layout) == 2
    said = capsys.readouterr().err
    assert absent in said and "`dvc pull data/clips/dots/manifest.json score score-control`" in said


def test_a_provenance_that_speaks_of_nothing_or_is_damaged_is_named(
    layout: Layout, capsys: pytest.CaptureFixture[str]
) -> None:
    path = layout.report / "provenance.json"
    for text in ("[]", "{}", '{"files": {}}'):
        path.write_text(text)
        assert verify(layout) == 1
        assert "differs  provenance.json" in capsys.readouterr().out
    path.write_text("{")
    assert verify(layout) == 2
    assert "provenance.json is not valid JSON" in capsys.readouterr().err
