"""A method that only exists as a folder of frames: it enters the tables, and what is missing or odd is named."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from commands import tpsm
from typer.testing import CliRunner

from eval.cli import app
from tpsm.core.errors import UserError
from tpsm.core.fingerprint import folder_hash
from tpsm.core.layout import Layout
from tpsm.data.clip import read_clip
from tpsm.data.manifest import read_manifest
from tpsm.data.video import write_video
from tpsm.sources.puppets.generate import synthesize
from tpsm.stages.animate import cross_identity_pairs
from tpsm.stages.reconstruct import reconstruct_run
from tpsm.stages.train import train_run

LAYOUT, RAW = Layout("drawn"), Path("data/raw/drawn")
PARAMS = {
    "datasets": ["drawn"],
    "runs": ["theirs"],
    "animate": {"datasets": ["drawn"], "runs": ["theirs"], "pairs": 2},
    "data": {"drawn": {"size": 64, "scale": "none"}},
    "run": {"theirs": {"method": "frames", "label": "Theirs", "folder": "sent/{dataset}"}},
    "scales": {"none": {}},
    "evaluation": {
        "drawn": {
            "metrics": ["l1", "akd", "epe"],
            "evaluators": {"landmarks": {"kind": "lab.brightest"}},
            "tables": {"reconstruction": ["theirs"], "animation": ["theirs"]},
        }
    },
}

EVALUATOR = """
from dataclasses import dataclass
import numpy as np
from eval.types import Landmarks

@dataclass(frozen=True)
class Config:
    kind: str = "lab.brightest"

class Brightest:
    def __call__(self, frames):
        lit = frames.sum(axis=-1, dtype=np.int64).reshape(len(frames), -1).argmax(axis=1)
        y, x = np.divmod(lit, frames.shape[2])
        xy = 2 * np.stack([x, y], axis=-1)[:, None] / (np.array(frames.shape[2:0:-1]) - 1) - 1
        return Landmarks(xy.astype(np.float32), np.ones((len(frames), 1), bool))

    def save(self, path):
        path.write_bytes(b"")

def train(config, clips, key):
    return Brightest()

def load(config, path):
    return Brightest()
"""


def evaluate(*arguments: str) -> None:
    done = CliRunner().invoke(app, [*arguments, "--dataset", "drawn"], catch_exceptions=False)
    assert done.exit_code == 0, done.output


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder in which frames were sent, and taken, scored and reported: the real clips, one level brighter."""
    folder = tmp_path_factory.mktemp("project")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.syspath_prepend(str(folder))
        Path("lab").mkdir()
        Path("lab/brightest.py").write_text(EVALUATOR)
        Path("params.yaml").write_text(yaml.safe_dump(PARAMS))
        synthesize(RAW, size=64, train_identities=2, test_identities=2, clips_per_identity=1, frames=3, seed=1)
        Path("sent/drawn").mkdir(parents=True)
        tpsm("configure")
        tpsm("prepare", "--dataset", "drawn")
        send(Path("sent/drawn"))
        tpsm("configure")
        tpsm("train", "--dataset", "drawn", "--run", "theirs")
        tpsm("reconstruct", "--dataset", "drawn", "--run", "theirs")
        tpsm("animate-pairs", "--dataset", "drawn", "--run", "theirs", "--mode", "standard", "--mode", "relative")
        evaluate("evaluators")
        evaluate("features")
        evaluate("score", "--run", "theirs")
        evaluate("report")
        yield folder
        for module in ("lab.brightest", "lab"):
            sys.modules.pop(module)


def send(folder: Path) -> None:
    """Every test clip as a folder of PNGs or an animated strip, and every pair in one mode."""
    manifest = read_manifest(LAYOUT.clips)
    for number, entry in enumerate(manifest.clips("test")):
        frames = read_clip(LAYOUT.test_clip(entry.name)).frames.clip(0, 254) + np.uint8(1)
        write_video(folder / "reconstruction" / (entry.name + ("" if number else ".png")), frames)
    for source, driving in cross_identity_pairs(manifest, 2, 0):
        frames = read_clip(LAYOUT.test_clip(driving.name)).frames
        write_video(folder / "animation/standard" / f"{source.name}--{driving.name}", frames)


def test_the_frames_are_scored_as_they_are(project: Path) -> None:
    rows = pd.read_parquet(project / "scores/drawn/theirs.parquet")
    l1 = rows[(rows.metric == "l1") & (rows.task == "reconstruction")]
    assert {protocol: len(of) for protocol, of in l1.groupby("protocol")} == {"strict": 4, "legacy": 6}
    np.testing.assert_allclose(l1.value, 1 / 255, atol=2e-4)  # but where a channel is white already
    assert set(rows.metric) == {"l1", "akd"}, "there is no motion, so no EPE"


def test_the_tables_have_the_run_and_say_what_it_lacks(project: Path) -> None:
    tables = project / "reports/drawn/tables"
    rows = {
        name: [line for line in (tables / f"{name}.md").read_text().splitlines() if line.startswith("| Theirs")]
        for name in ("reconstruction", "animation")
    }
    assert "n/a (predicts no motion)" in rows["reconstruction"][0]
    assert len(rows["animation"]) == 1 and "standard" in rows["animation"][0], "relative was not sent"


def test_the_folders_hash_is_on_record(project: Path) -> None:
    made = json.loads((project / "reports/drawn/provenance.json").read_text())
    assert made["weights"] == {"frames of theirs": folder_hash(project / "sent/drawn")}
    assert "/sent" not in (project / "reports/drawn/provenance.json").read_text()


def test_an_evaluator_from_outside_is_on_record(project: Path) -> None:
    quality = json.loads((project / "evaluators/drawn/quality.json").read_text())
    scores = json.loads((project / "reports/drawn/provenance.json").read_text())["scores"]["theirs"]
    known = quality["provenance"]["outside"]["lab.brightest"]
    assert scores["outside"] == {"lab.brightest": known} and known["package"] == "lab"
    assert known["sha256"] in (project / "configs/drawn/evaluators.yaml").read_text()


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (lambda clips: (clips / "extra").mkdir(), None),
        (lambda clips: shutil.rmtree(clips), "put the frames there"),
        (lambda clips: shutil.rmtree(next(path for path in clips.iterdir() if path.is_dir())), "lacks 1 of 2 clips"),
        (lambda clips: next(clips.glob("*/*")).unlink(), "has 2 frames where the clip has 3"),
        (lambda clips: write_video(next(clips.glob("*.png")), np.zeros((3, 32, 32, 3), np.uint8)), "32 x 32 px"),
        (
            lambda clips: write_video(next(clips.glob("*.png")).with_suffix(".gif"), np.zeros((3, 8, 8, 3), np.uint8)),
            "both",
        ),
        (lambda clips: next(clips.glob("*.png")).write_bytes(b"no image"), "cannot be read"),
    ],
)
def test_odd_folders_are_named(
    project: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    spoil: Callable[[Path], object],
    expected: str | None,
) -> None:
    shutil.copytree(project, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    spoil(Path("sent/drawn/reconstruction"))
    tpsm("configure")
    if expected is None:
        train_run("drawn", "theirs")
        return
    with pytest.raises(UserError, match=expected):
        train_run("drawn", "theirs")
        reconstruct_run("drawn", "theirs")


def test_a_folder_that_changes_unseen_is_refused(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(project, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    first = next(Path("sent/drawn/reconstruction").glob("*/*"))
    shutil.copy(next(Path("sent/drawn/animation/standard").glob("*/*")), first)
    with pytest.raises(UserError, match="tpsm configure"):
        train_run("drawn", "theirs")


@pytest.mark.parametrize(
    ("run", "key"),
    [
        ({"method": "frames"}, "folder is missing"),
        ({"method": "frames", "folder": "absent"}, "absent"),
        ({"method": "frames", "folder": "sent/{dataset}", "model": {"width": 8}}, "theirs.model"),
        ({"method": "tps", "folder": "sent/{dataset}"}, "theirs.folder"),
    ],
)
def test_a_wrong_section_is_named(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: dict, key: str
) -> None:
    monkeypatch.chdir(project)
    params = tmp_path / "params.yaml"
    params.write_text(yaml.safe_dump(PARAMS | {"run": {"theirs": run | {"label": "Theirs"}}}))
    with pytest.raises(UserError, match=key):
        tpsm("configure", "--params", str(params), "--out", str(tmp_path / "configs"))


def test_an_avd_network_is_refused(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    params = tmp_path / "params.yaml"
    params.write_text(yaml.safe_dump(PARAMS | {"animate": PARAMS["animate"] | {"avd": ["theirs"]}}))
    with pytest.raises(UserError, match=r"animate\.avd"):
        tpsm("configure", "--params", str(params), "--out", str(tmp_path / "configs"))
