"""Modules from outside: what decides them, what they must define, and what no file may import."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from eval import metrics
from eval.evaluators import evaluator_module
from tpsm.checkpoints.checkpoint import Checkpoint, load_method
from tpsm.config.outside import write_outside
from tpsm.core.errors import UserError
from tpsm.core.fingerprint import outside, outside_parts
from tpsm.core.provenance import record
from tpsm.methods import method_module
from tpsm.show.run import load_run

FILES = {
    "lab/__init__.py": "__version__ = '1.2'",
    "lab/method.py": "from .parts import layers\nfrom lab.loss import error\nimport os\n",
    "lab/loss.py": "error = 1",
    "lab/parts/__init__.py": "",
    "lab/parts/layers.py": "import numpy",
    "lab/other.py": "raise RuntimeError('imported')",
    "plain/metric.py": "METRIC = 3\nscore = 4",
    "plain/half.py": "class Config: pass",
    "plain/evaluator.py": "class Config: pass\ntrain = load = None",
}


@pytest.fixture(autouse=True)
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of two packages, one of which says its version."""
    for name, source in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(source)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    for name in [name for name in sys.modules if name.split(".")[0] in ("lab", "plain")]:
        del sys.modules[name]


@pytest.mark.parametrize("file", FILES)
def test_a_module_is_its_source_and_what_it_imports_of_its_package(packages: Path, file: str) -> None:
    before = outside("lab.method")
    assert (before.package, before.version) == ("lab", "1.2")
    (packages / file).write_text(FILES[file] + "\n# Changed.")
    decides = {"lab/__init__.py", "lab/method.py", "lab/loss.py", "lab/parts/__init__.py", "lab/parts/layers.py"}
    assert (outside("lab.method") != before) == (file in decides)


def test_an_installed_package_has_its_version() -> None:
    found = outside("yaml.loader")
    assert found.package == "PyYAML" and found.version == yaml.__version__


def test_names_of_ours_are_left_out_of_a_record() -> None:
    assert set(outside_parts(["tps", "l1", "lab.loss"])) == {"lab.loss"}
    made = record(0.0, parameters={}, precision="fp32", outside=["fomm", "lab.loss"])
    assert made["outside"]["lab.loss"]["version"] == "1.2"
    assert record(0.0, parameters={}, precision="fp32", outside=["fomm"])["outside"] is None


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("absent.method", "PYTHONPATH"),
        ("lab.other", "RuntimeError"),
        ("plain.half", "define Model"),
        ("plain.metric", "define Config"),
        ("fom", "choose one of tps"),
        ("..", "PYTHONPATH"),
    ],
)
def test_what_is_no_method_is_named(name: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        method_module(name)


@pytest.mark.parametrize(
    ("name", "said"),
    [("lab.loss", "define METRIC"), ("plain.metric", "eval.metrics.Metric"), ("absent.m", "PYTHONPATH")],
)
def test_what_is_no_metric_is_named(name: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        metrics.load(name)


@pytest.mark.parametrize(("kind", "said"), [("plain.half", "define train"), ("plain.evaluator", "dataclass")])
def test_what_is_no_evaluator_is_named(kind: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        evaluator_module("landmarks", {"kind": kind}, "landmarks")


def test_a_checkpoint_from_elsewhere_imports_nothing(packages: Path) -> None:
    Checkpoint("lab.other", "theirs", "x", 64, {}, {}, epoch=0, step=0).save(packages / "last.pt")
    with pytest.raises(UserError, match="tpsm configure"):
        load_method(packages / "last.pt")
    assert "lab.other" not in sys.modules
    configured = packages / "configs/x/runs/theirs.yaml"
    configured.parent.mkdir(parents=True)
    configured.write_text("method: lab.other")
    with pytest.raises(UserError, match="RuntimeError"):
        load_method(packages / "last.pt")


def test_published_weights_from_elsewhere_import_nothing(packages: Path) -> None:
    weights = packages / "weights/x"
    weights.mkdir(parents=True)
    for suffix in (".safetensors", ".json"):
        shutil.copy(Path(__file__).parents[2] / f"weights/puppets/fomm{suffix}", weights)
    card = json.loads((weights / "fomm.json").read_text())
    (weights / "fomm.json").write_text(json.dumps(card | {"method": "lab.other"}))
    with pytest.raises(UserError, match="tpsm configure"):
        load_run("fomm", "x")
    assert "lab.other" not in sys.modules


def test_dvc_sees_what_changes_outside(packages: Path) -> None:
    params = {
        "datasets": ["a"],
        "run": {
            "one": {"method": "lab.method"},
            "two": {"method": "frames", "folder": "sent/{dataset}"},
            "three": {"method": "tps", "released": "released.pth", "train": {"from": "absent.pt"}},
        },
        "evaluation": {"a": {"metrics": ["l1", "plain.metric"], "evaluators": {"landmarks": {"kind": "lab.absent"}}}},
    }
    Path("params.yaml").write_text(yaml.safe_dump(params))
    Path("sent/a/reconstruction").mkdir(parents=True)

    def found() -> dict:
        write_outside(Path("params.yaml"))
        return yaml.safe_load(Path("outside.yaml").read_text())

    states, names = [found()], ("sent/{dataset}", "released.pth", "absent.pt")
    assert states[0].keys() == {*names, "lab.absent", "lab.method", "plain.metric"}
    assert "cannot be imported" in states[0]["lab.absent"]
    for file in ("sent/a/reconstruction/a.png", "released.pth", "plain/metric.py"):
        Path(file).write_text("another")
        states.append(found())
        assert states[-1] != states[-2] and found() == states[-1]
