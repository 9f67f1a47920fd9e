"""Frames from anywhere: clips in any form, paired by name, and what does not fit named."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from small_pipeline import dots

from eval.__main__ import main
from eval.metrics.l1 import l1
from eval.scoring.scores_file import COLUMNS, about_scores
from tpsm.data.clip import write_clip
from tpsm.data.video import write_video

NAMES = ("a#0", "a#1", "b#0", "c#0")


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Real clips in every form; the generated ones are 3 levels off, two are strips and one is a folder."""
    real, made = tmp_path / "real", tmp_path / "method"
    forms = {"a#0": "a#0.real.png", "a#1": "a#1", "b#0": "b#0.gif", "c#0": "c#0.zip"}
    for seed, (name, form) in enumerate(forms.items()):
        clip = dots(name, seed)
        if form.endswith(".zip"):
            write_clip(real, clip)
        else:
            write_video(real / form, clip.frames)
        if name != "c#0":
            write_video(made / (f"{name}.mine.png" if name != "b#0" else name), clip.frames.clip(0, 252) + 3)
    write_video(made / "d#0.png", dots("d#0", 9).frames)
    return real, made


def score(real: Path, made: Path, *more: str) -> int:
    return main(["score", "--real", str(real), "--generated", str(made), *more])


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_clips_of_any_form_are_paired_and_scored(
    suffix: str, folders: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new" / f"scores{suffix}"
    assert score(*folders, "--out", str(out)) == 0
    page = capsys.readouterr().out
    assert "3 of 4 real clips are scored." in page
    assert "Not generated: c#0." in page and "Generated without a real clip: d#0." in page
    assert "L1 is of 8-bit frames in both protocols" in page
    assert page.count("[") >= 2, "two clips of one identity have an interval, over clips"
    rows = pd.read_parquet(out) if suffix == ".parquet" else pd.read_csv(out, keep_default_na=False)
    assert list(rows.columns) == COLUMNS and set(rows.run) == {"method"}
    assert set(rows.metric) - {"lpips"} == {"l1", "psnr", "ssim"}  # LPIPS where its weights are
    rows = rows[rows.metric == "l1"]
    assert {p: set(r.frame) for p, r in rows.groupby("protocol")} == {"legacy": {0, 1, 2, 3}, "strict": {1, 2, 3}}
    for seed, name in enumerate(("a#0", "a#1")):  # a GIF's palette changes the third
        frames = dots(name, seed).frames
        expected = l1(frames.clip(0, 252) + 3, frames)
        np.testing.assert_allclose(rows[(rows["clip"] == name) & (rows.protocol == "legacy")].value, expected)
    strict = rows[rows.protocol == "strict"].value.mean()
    assert (
        next(line for line in page.splitlines() if line.startswith("L1 ↓")).split("[")[0].split()[-1]
        == f"{strict:.4f}"[1:]
    )
    sidecar = out.with_suffix(".provenance.json")
    about = about_scores(out) if suffix == ".parquet" else json.loads(sidecar.read_text())
    assert about["clips"] == {"scored": ["a#0", "a#1", "b#0"], "missing": ["c#0"], "unexpected": ["d#0"]}
    assert about["provenance"]["parameters"].keys() == {"real frames", "generated frames"}
    assert str(tmp_path) not in json.dumps(about)


METRIC = """
from eval.metrics import Metric
METRIC = Metric(__name__, "Brightness", "levels", lower_is_better=False, decimals=1, source="mean of the frame")
def score(generated, reference):
    return generated.frames.mean(axis=(1, 2, 3))
"""


def test_a_metric_from_outside_stands_beside_ours(
    folders: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "atelier").mkdir()
    (tmp_path / "atelier/bright.py").write_text(METRIC)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert score(*folders, "--metric", "atelier.bright", "--out", str(tmp_path / "scores.parquet")) == 0
    assert "Brightness ↑ (levels)" in capsys.readouterr().out
    assert "l1" in set(pd.read_parquet(tmp_path / "scores.parquet").metric)
    made = about_scores(tmp_path / "scores.parquet")["provenance"]
    assert made["outside"].keys() == {"atelier.bright"}
    assert score(*folders, "--metric", "atelier.absent") == 2
    assert "PYTHONPATH" in capsys.readouterr().err
    del sys.modules["atelier.bright"], sys.modules["atelier"]


def test_frames_of_another_size_are_refused_or_resized(
    folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    real, made = folders
    large = dots("a#0", 0).frames.repeat(2, axis=1).repeat(2, axis=2)
    (made / "a#0.mine.png").unlink()
    write_video(made / "a#0.gif", large)
    assert score(real, made) == 2
    assert "a#0.gif is of 64 x 64 px, and " in (message := capsys.readouterr().err) and "say --resize" in message
    assert score(real, made, "--resize") == 0


def test_what_does_not_fit_is_named(
    folders: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    real, made = folders

    def refused(*arguments: str) -> str:
        assert main(["score", *arguments]) == 2
        return capsys.readouterr().err.strip().splitlines()[-1]

    both = ("--real", str(real), "--generated", str(made))
    assert "name --dataset and --run, or --real and --generated" in refused("--dataset", "dots")
    assert "--real and --generated go together" in refused("--real", str(real))
    assert "without --dataset and --run" in refused(*both, "--dataset", "dots")
    assert "--out goes with --real" in refused("--dataset", "dots", "--run", "still", "--out", "scores.csv")
    assert "--workers goes with --dataset" in refused(*both, "--workers", "2")
    assert "neither a kind of evaluator nor a section" in refused(*both, "--landmarks", "68")
    assert "is no folder of clips" in refused("--real", str(real / "none"), "--generated", str(made))
    assert "choose a name in .parquet or .csv" in refused(*both, "--out", str(tmp_path / "scores.txt"))
    assert "--landmarks heatmap is trained on a data set" in refused(*both, "--landmarks", "heatmap")
    assert "--identity.kind is 'openface'; choose one of" in refused(*both, "--identity", "openface")
    assert "neither a kind of evaluator nor a section" in refused(*both, "--identity", "{kind")
    write_video(made / "a#1.mine.png", dots("a#1", 1).frames[:2])
    assert "a#1.mine.png has 2 frames, and" in refused(*both)
    write_video(made / "b#0.gif", dots("b#0", 1).frames)
    assert "have the same name up to the first '.'" in refused(*both)
    (tmp_path / "empty").mkdir()
    assert "holds no clips" in refused("--real", str(real), "--generated", str(tmp_path / "empty"))
    write_video(tmp_path / "other" / "z.gif", dots("a#0", 0).frames)
    assert "is called as one of" in refused("--real", str(real), "--generated", str(tmp_path / "other"))


def test_the_codec_of_each_side_stands_in_the_result(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(2):
        frames = dots(f"a#{number}", number).frames
        write_video(tmp_path / "real" / f"a#{number}.png", frames)
        write_video(tmp_path / "made" / f"a#{number}.mp4", frames)
    assert score(tmp_path / "real", tmp_path / "made", "--out", str(tmp_path / "scores.parquet")) == 0
    page = capsys.readouterr().out
    assert "real: 2 png\n" in page and "generated: 2 h264 (lossy)\n" in page
    assert "the generated clips" in caplog.text and "PSNR" in caplog.text
    codecs = about_scores(tmp_path / "scores.parquet")["codecs"]
    assert codecs == {"real": {"png": 2}, "generated": {"h264 (lossy)": 2}}
    caplog.clear()
    assert score(tmp_path / "real", tmp_path / "real") == 0
    assert "lossy" not in capsys.readouterr().out and "loss" not in caplog.text


@pytest.mark.parametrize("size", [1, 5])
def test_tiny_frames_have_no_ssim(tmp_path: Path, size: int, capsys: pytest.CaptureFixture[str]) -> None:
    for side in ("real", "made"):
        write_video(tmp_path / side / "a", np.full((3, size, size, 3), 7 + len(side), np.uint8))
    assert score(tmp_path / "real", tmp_path / "made") == 0
    lines = capsys.readouterr().out.splitlines()
    assert "n/a" in next(line for line in lines if line.startswith("SSIM"))
    assert ".0000" in next(line for line in lines if line.startswith("L1"))
