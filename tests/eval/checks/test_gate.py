"""The gate: what differs by more than measured noise fails and is named, in whichever direction; nothing else does."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from commands import tpsm

from eval.__main__ import main
from eval.metrics import l1
from tpsm.sources.puppets.generate import synthesize

ROOT = Path(__file__).parents[3]
Numbers = dict[str, dict[str, dict[str, dict[str, Any]]]]
REPORT = json.loads((ROOT / "reports/puppets/metrics.json").read_text())


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With the report of this one committed; `puppets` is published there, and `quick` is not."""
    root = tmp_path_factory.mktemp("repository")
    data = {"puppets": {"weights": "weights/puppets"}, "quick": {"weights": None}}
    (root / "params.yaml").write_text(yaml.safe_dump({"datasets": list(data), "data": data}))
    for name in data:
        stored(root / f"reports/{name}/metrics.json", REPORT)
        stored(root / f"scores/{name}/tps.parquet", {})
    git = ["git", "-C", str(root), "-c", "user.name=tests", "-c", "user.email=tests@localhost"]
    for command in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "--message", "A report"]):
        subprocess.run([*git, *command], check=True)
    return root


@pytest.fixture
def folder(repository: Path, tmp_path: Path) -> Path:
    return shutil.copytree(repository, tmp_path / "copy")


def stored(path: Path, numbers: Numbers) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(numbers))
    return path


def gate(folder: Path, *arguments: str) -> int:
    return main(["gate", *arguments, "--root", str(folder)])


def changed(change: Callable[[Numbers], Any]) -> Numbers:
    numbers = deepcopy(REPORT)
    change(numbers)
    return numbers


def jittered(seed: int, size: float) -> Numbers:
    """As if sums rounded otherwise: every number moves by its own share, `size` at most."""
    rng = np.random.default_rng(seed)

    def move(numbers: Numbers) -> None:
        for cell in cells(numbers):
            for key in ("mean", "low", "high"):
                cell[key] *= 1 + size * rng.uniform(-1, 1)

    return changed(move)


def cells(numbers: Numbers) -> Iterator[dict[str, Any]]:
    for protocols in numbers.values():
        for named in protocols.values():
            yield from named.values()


def scale(run: str, name: str, factor: float, key: str = "mean") -> Callable[[Numbers], None]:
    def change(numbers: Numbers) -> None:
        for protocol in ("strict", "legacy"):
            numbers[run][protocol][name][key] *= factor

    return change


REGRESSIONS: dict[str, tuple[Callable[[Numbers], Any], str]] = {
    "1 % more L1 in one run": (scale("tps-k4", "l1", 1.01), "FAIL  tps-k4 / strict / l1: mean is"),
    "AKD of one run times 1.02": (scale("fomm", "akd", 1.02), "FAIL  fomm / legacy / akd: mean is"),
    "better is another number too": (scale("mraa", "aed", 0.99), "FAIL  mraa / strict / aed: mean is"),
    "a control": (scale("copy-source", "l1", 1.005), "FAIL  copy-source / strict / l1: mean is"),
    "the end of an interval": (scale("tps", "aed", 1.01, "low"), "FAIL  tps / strict / aed: low is"),
    "a run missing": (lambda n: n.pop("mraa"), "FAIL  mraa / strict / l1: missing"),
    "a cell missing": (lambda n: n["tps"]["legacy"].pop("aed"), "FAIL  tps / legacy / aed: missing"),
    "a new run": (lambda n: n.update(other=n["tps"]), "FAIL  other / strict / l1: new"),
    "null": (lambda n: n["tps"]["strict"]["akd"].update(mean=None), "FAIL  tps / strict / akd: mean is null"),
    "a frame lost": (
        lambda n: n["tps"]["strict"]["l1"].update(frames=531),
        "FAIL  tps / strict / l1: 531 frames count, committed 532",
    ),
    "real frames not 0": (lambda n: n["real"]["strict"]["l1"].update(mean=1e-3), "FAIL  real / strict / l1: mean is"),
}


@pytest.mark.parametrize("case", REGRESSIONS)
def test_a_regression_fails_and_is_named(case: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a measured tolerance, and with one of noise as large as is expected."""
    change, says = REGRESSIONS[case]
    stored(folder / "reports/puppets/metrics.json", changed(change))
    assert gate(folder) == 1
    assert says in capsys.readouterr().out
    measured(folder, 2e-4)
    assert gate(folder) == 1
    assert says in capsys.readouterr().out


def measured(folder: Path, noise: float) -> None:
    files = [stored(folder / f"{seed}.json", jittered(seed, noise)) for seed in range(4)]
    assert gate(folder, "measure", *map(str, files), "--dataset", "puppets") == 0


def test_the_committed_report_and_honest_noise_pass(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert gate(folder) == 0
    measured(folder, 1e-3)
    assert "strict/l1: differs by up to" in capsys.readouterr().out
    for seed in range(10, 30):
        stored(folder / "reports/puppets/metrics.json", jittered(seed, 1e-3))
        assert gate(folder) == 0


def test_the_committed_file_is_not_compared_with_itself(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(folder / "scores")  # as in a fresh clone
    assert gate(folder) == 2
    said = capsys.readouterr()
    assert "Nothing of 'puppets' has been computed here yet" in said.err and "`make repro`" in said.err and not said.out
    assert gate(folder, "--dataset", "puppets", "--baseline", str(folder / "reports/puppets/metrics.json")) == 0
    stored(folder / "reports/puppets/metrics.json", jittered(1, 1e-3))  # from elsewhere, and another file
    assert gate(folder) == 0


def test_what_is_trained_anew_is_not_gated_unless_it_is_named(folder: Path) -> None:
    stored(folder / "reports/quick/metrics.json", changed(scale("tps", "l1", 2)))
    assert gate(folder) == 0 and gate(folder, "--dataset", "quick") == 1
    assert gate(folder, "--dataset", "quick", "--baseline", str(folder / "reports/quick/metrics.json")) == 0


def test_what_cannot_be_compared_is_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def refused(*arguments: str) -> str:
        assert gate(folder, *arguments) == 2
        return capsys.readouterr().err

    one, less, empty = (folder / name for name in ("one.json", "less.json", "empty.json"))
    stored(one, REPORT), stored(less, changed(lambda n: n.pop("tps"))), empty.write_text("[1]")
    measure = ("--dataset", "puppets", "measure")
    assert "two files at least" in refused(*measure, str(one))
    assert "tps / legacy / aed is in one of" in refused(*measure, str(one), str(less))
    fewer = stored(folder / "fewer.json", changed(REGRESSIONS["a frame lost"][0]))
    assert "tps / strict / l1" in refused(*measure, str(one), str(fewer))
    assert "empty.json is no metrics.json" in refused("--baseline", str(empty))
    assert "--dataset" in refused("measure", str(one), str(less))
    assert "--baseline" in refused("check", str(one))
    for text, says in (("{}", "holds no tolerances"), ("{", "is not valid JSON")):
        (folder / "reports/puppets/tolerance.json").write_text(text)
        assert f"tolerance.json {says}" in refused()
    (folder / "reports/puppets/metrics.json").unlink()
    assert "There is no file" in refused()
    stored(folder / "reports/new/metrics.json", REPORT)
    assert "HEAD:./reports/new/metrics.json" in refused("--dataset", "new")
    (folder / "params.yaml").write_text("datasets: [quick]\ndata: {quick: }\n")
    assert "data.D.weights" in refused()


TINY = {"width": 4, "max_features": 8, "num_blocks": 2}
DRAWN = {
    "datasets": ["drawn"],
    "runs": ["tps"],
    "animate": {"runs": [], "pairs": 2},
    "data": {"drawn": {"size": 64, "scale": "tiny"}},
    "run": {"tps": {"method": "tps", "label": "TPS"}},
    "scales": {
        "tiny": {
            "tps": {
                "model": {
                    "num_tps": 3,
                    "encoder_width": 4,
                    "dense_motion": TINY,
                    "inpainting": {"width": 4, "max_features": 8, "num_down_blocks": 2},
                    "perceptual": {"backbone": "pixels", "weights": [10]},
                },
                "train": {"epochs": 1, "repeats": 4, "batch": 4, "learning_rate": 1e-3},
            }
        }
    },
    "evaluation": {"drawn": {"evaluators": {}, "metrics": ["l1", "epe"], "tables": {"reconstruction": ["tps"]}}},
}


@pytest.fixture(scope="module")
def reconstructed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of a small run, with its weights."""
    folder = tmp_path_factory.mktemp("drawn")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        Path("params.yaml").write_text(yaml.safe_dump(DRAWN))
        raw = Path("data/raw/drawn")
        synthesize(raw, size=64, train_identities=2, test_identities=2, clips_per_identity=1, frames=4, seed=1)
        for command in ("configure", "prepare --dataset drawn", "train --dataset drawn --run tps"):
            tpsm(*command.split())
        assert main(["features", "--dataset", "drawn"]) == 0
        report()
    shutil.copy(folder / "reports/drawn/metrics.json", folder / "committed.json")
    return folder


def report() -> None:
    arguments = ["--dataset", "drawn"]
    tpsm("reconstruct", *arguments, "--run", "tps")
    for verb in (["score", "--run", "tps"], ["score", "--run", "copy-source"], ["report"]):
        assert main([*verb, *arguments]) == 0


def gated() -> int:
    return main(["gate", "--dataset", "drawn", "--baseline", "committed.json"])


def test_another_padding_of_a_warp_fails(reconstructed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(reconstructed)
    sample = torch.nn.functional.grid_sample
    report()
    assert gated() == 0, "the same code and weights"
    monkeypatch.setattr(
        torch.nn.functional, "grid_sample", lambda *a, padding_mode, **named: sample(*a, padding_mode="border", **named)
    )
    report()
    assert gated() == 1


def test_a_changed_metric_fails(
    reconstructed: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(reconstructed)
    mean = l1.l1
    monkeypatch.setattr(l1, "l1", lambda generated, real: mean(generated[:, 1:], real[:, 1:]))  # all rows but one
    report()
    assert gated() == 1
    out = capsys.readouterr().out
    assert "FAIL  tps / strict / l1: mean is" in out and "epe" not in out
