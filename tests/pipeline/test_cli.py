"""What a user meets who gets something wrong: one sentence, exit status 2, and nothing left behind."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from eval.__main__ import main as evaluate
from tpsm.cli.main import main
from tpsm.config.params import merge

ROOT = Path(__file__).parents[2]
RAW = "data/raw/puppets"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the committed parameters of runs that are trained, pointed at one good clip in each split."""
    monkeypatch.chdir(tmp_path)
    for split in ("train", "test"):
        Path(RAW, split).mkdir(parents=True)
        Image.fromarray(np.zeros((64, 192, 3), np.uint8)).save(f"{RAW}/{split}/{split}#0.png")
    Path("scales").symlink_to(ROOT / "scales")
    trained = {"puppets": {"scale": "small", "weights": None, "evaluators": None}}
    change({"datasets": ["puppets"], "more": {"datasets": []}, "data": trained})
    return tmp_path


def change(changes: dict[str, Any]) -> None:
    source = Path("params.yaml") if Path("params.yaml").exists() else ROOT / "params.yaml"
    Path("params.yaml").write_text(yaml.safe_dump(merge(yaml.safe_load(source.read_text()), changes)))


def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    monkeypatch.setattr(sys, "argv", ["tpsm", *arguments])
    with pytest.raises(SystemExit) as stop:
        main()
    message = capsys.readouterr().err.strip().splitlines()
    return int(stop.value.code or 0), message[-1] if message else ""


def empty_clip() -> None:
    Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(f"{RAW}/test/still#0.png")


def corrupt_video() -> None:
    Path(f"{RAW}/train/broken#0.mp4").write_bytes(b"\x00" * 999)


@pytest.mark.parametrize(
    ("breakage", "message"),
    [
        (lambda: shutil.rmtree(RAW), "tpsm: There is no folder data/raw/puppets"),
        (lambda: shutil.rmtree(f"{RAW}/test"), f"{RAW}/test"),
        (empty_clip, "still#0.png has a single frame"),
        (corrupt_video, "broken#0.mp4 cannot be read"),
    ],
)
def test_bad_data_is_named(
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    breakage: Callable[[], Any],
    message: str,
) -> None:
    assert run(monkeypatch, capsys, "configure")[0] == 0
    breakage()
    code, said = run(monkeypatch, capsys, "prepare", "--dataset", "puppets")
    assert (code, message in said) == (2, True), said
    assert not list(project.glob("data/clips/puppets/manifest.json"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"colour": 1}, "tpsm: Unknown key params.yaml.colour"),
        ({"run": {"tps": {"model": {"num_tsp": 4}}}}, "tpsm: Unknown key params.yaml.run.tps.model.num_tsp"),
        ({"run": {"tps": {"model": {"num_tps": 0}}}}, "params.yaml.run.tps.model.num_tps: must be at least 1"),
        (
            {"run": {"mraa": {"model": {"num_regions": -3}}}},
            "params.yaml.run.mraa.model.num_regions: must be at least 1",
        ),
        ({"run": {"fomm": {"model": {"num_keypoints": 2.5}}}}, "num_keypoints must be of type int, not 2.5"),
    ],
)
def test_bad_parameters_are_named(
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    changes: dict[str, Any],
    message: str,
) -> None:
    change(changes)
    code, said = run(monkeypatch, capsys, "configure")
    assert (code, message in said) == (2, True), said
    assert not Path("configs").exists()


def test_a_checkpoint_of_another_method_is_named(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fields = {"format": 1, "method": "fomm", "run": "x", "dataset": "puppets", "size": 64, "model_config": {}}
    Path("models/puppets/tps").mkdir(parents=True)
    torch.save(fields | {"weights": {}, "epoch": 0, "step": 0, "optimizer": None}, "models/puppets/tps/last.pt")
    assert run(monkeypatch, capsys, "configure")[0] == 0
    code, said = run(monkeypatch, capsys, "reconstruct", "--dataset", "puppets", "--run", "tps")
    assert code == 2
    assert "holds a checkpoint of method 'fomm', but 'tps' is needed here" in said


@pytest.mark.parametrize(
    ("command", "meant"),
    [
        ("train --dataset puppets --run tpsmm", "tps"),
        ("train --dataset pupets --run tps", "puppets"),
        ("reconstruct --dataset puppets --run FOMM", "fomm"),
        ("animate-pairs --dataset puppets --run fom --mode avd", "fomm"),
        ("train-avd --dataset puppets --run mra", "mraa"),
        ("prepare --dataset puppet", "puppets"),
        ("params puppets tpsmm", "tps"),
        ("params pupets tps", "puppets"),
        ("publish --dataset puppets --run tpsmm", "tps"),
        ("train-all --dataset pupets", "puppets"),
        ("animate --source a --driving b --out c.gif --run tpsmm", "tps"),
        ("animate --source a --driving b --out c.gif --run tps --dataset pupets", "puppets"),
    ],
)
def test_a_mistyped_name_is_told_its_neighbour(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str, meant: str
) -> None:
    Path("weights").symlink_to(ROOT / "weights")
    assert run(monkeypatch, capsys, "configure")[0] == 0
    code, said = run(monkeypatch, capsys, *command.split())
    assert code == 2 and f" (did you mean '{meant}'?)" in said, said


@pytest.mark.parametrize("command", ["train --dataset puppets --run zebra", "prepare --dataset zebra"])
def test_a_name_without_a_neighbour_is_told_none(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    assert run(monkeypatch, capsys, "configure")[0] == 0
    code, said = run(monkeypatch, capsys, *command.split())
    assert code == 2 and "did you mean" not in said


@pytest.mark.parametrize("name", ["../../../../evil", "a b", "a/b", "..", "x" * 300, "a\nb", "/etc", ""])
@pytest.mark.parametrize(
    "command",
    [
        ["train", "--dataset", "NAME", "--run", "tps"],
        ["train", "--dataset", "puppets", "--run", "NAME"],
        ["train-avd", "--dataset", "puppets", "--run", "NAME"],
        ["prepare", "--dataset", "NAME"],
        ["reconstruct", "--dataset", "puppets", "--run", "NAME"],
        ["animate-pairs", "--dataset", "NAME", "--run", "tps", "--mode", "avd"],
        ["animate", "--source", "a", "--driving", "b", "--run", "NAME", "--out", "c.gif"],
        ["animate", "--source", "a", "--driving", "b", "--run", "tps", "--dataset", "NAME", "--out", "c.gif"],
        ["import", "file", "--dataset", "puppets", "--run", "NAME"],
        ["params", "puppets", "NAME"],
        ["split", "make", "NAME", "protocol-v1"],
    ],
    ids=" ".join,
)
def test_a_name_that_leads_elsewhere_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: list[str], name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    code, said = run(monkeypatch, capsys, *(name if word == "NAME" else word for word in command))
    assert code == 2 and " is '" in said and ("a name is of letters" in said or "a name of 300" in said), said
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("value", ["inf", "-inf", "nan", "1e999", "-1", "9" * 5000, "x"])
@pytest.mark.parametrize(
    "command",
    [["fetch", "mgif", option] for option in ("--pause", "--rate", "--max-gb", "--jobs")]
    + [["synthesize", "out", option] for option in ("--size", "--frames", "--clips", "--seed", "--train")]
    + [["cost", "puppets", "tps", "--tflops"], ["bench-gpu", "--steps"]],
    ids=" ".join,
)
def test_numbers_of_options_have_bounds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: list[str], value: str
) -> None:
    monkeypatch.chdir(tmp_path)
    code, said = run(monkeypatch, capsys, *command[:-1], f"{command[-1]}={value}")
    assert code == 2 and not list(tmp_path.iterdir()), said


def test_help_names_every_command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["tpsm", "--help"])
    with pytest.raises(SystemExit):
        main()
    text = capsys.readouterr().out
    commands = (
        "configure",
        "params",
        "synthesize",
        "fetch",
        "prepare",
        "train",
        "import",
        "reconstruct",
        "animate",
        "weights",
    )
    for command in commands:
        assert command in text


def test_root_is_the_folder_of_the_pipelines_files(
    project: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    assert run(monkeypatch, capsys, "--root", str(project), "configure")[0] == 0
    assert (project / "configs/puppets/data.yaml").is_file()
    for wrong in ("nowhere", "params.yaml"):
        code, said = run(monkeypatch, capsys, "--root", str(project / wrong), "configure")
        assert code == 2 and wrong in said
        for verb in (["report", "--dataset", "puppets"], ["page"], ["study", "make", "--dataset", "puppets"]):
            assert evaluate([*verb, "--root", str(project / wrong)]) == 2
            assert wrong in capsys.readouterr().err
