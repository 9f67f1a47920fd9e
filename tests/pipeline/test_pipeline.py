"""dvc.yaml knows what its stages run: a change of code that decides a result must re-run the stage."""

import ast
from pathlib import Path
from typing import Any

import pytest
import yaml

from tpsm.training.loop import STEP_CODE

ROOT = Path(__file__).parents[2]
STAGES: dict[str, Any] = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
# Cannot change what a step of training computes: plumbing, or code that refuses to run rather than run otherwise.
PLUMBING = {
    "tpsm/checkpoint.py",
    "tpsm/curve.py",
    "tpsm/errors.py",
    "tpsm/files.py",
    "tpsm/mapping.py",
    "tpsm/method.py",
    "tpsm/official.py",
}
PLUMBING |= {"tpsm/data/clipfile.py", "tpsm/data/prepare.py", "tpsm/data/readers.py", "tpsm/data/splits.py"}
PLUMBING |= {"tpsm/strict.py", "tpsm/torch_file.py", "tpsm/types.py"}
PLUMBING |= {"tpsm/cluster.py", "tpsm/processes.py", "tpsm/units.py"}


def reached(*modules: str) -> set[str]:
    """The project's files that are imported from `modules`, at any depth."""
    found: set[str] = set()
    waiting = [f"{module.replace('.', '/')}.py" for module in modules]
    while waiting:
        file = waiting.pop()
        if file in found or not (ROOT / file).is_file():
            continue
        found.add(file)
        for node in ast.walk(ast.parse((ROOT / file).read_text())):
            if isinstance(node, ast.ImportFrom) and node.module:
                names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
                waiting += [f"{name.replace('.', '/')}.py" for name in names]
    return found


@pytest.mark.parametrize(
    ("stage", "modules"),
    [
        ("train", ["tpsm.train", "tpsm.model", "baselines.fomm", "baselines.mraa", "tpsm.data.pairs"]),
    ],
)
def test_training_depends_on_all_code_that_decides_it(stage: str, modules: list[str]) -> None:
    dependencies = set(STAGES[stage]["deps"])
    missing = {file for file in reached(*modules) - PLUMBING if not dependencies & {file, file.split("/")[0]}}
    assert not missing


def test_a_resumed_run_and_the_pipeline_agree_on_what_decides_a_step() -> None:
    files = {file.removeprefix("tpsm/") for file in STAGES["train"]["deps"] if file.startswith("tpsm/")}
    assert files | {"avd.py"} == set(STEP_CODE)
    assert {"tpsm/avd.py", "tpsm/step.py", "tpsm/train.py"} <= set(STAGES["train-avd"]["deps"])


def test_every_dependency_on_code_exists() -> None:
    for name, stage in STAGES.items():
        for dependency in stage["deps"]:
            if dependency.startswith(("tpsm", "baselines", "scales", "eval/")):
                assert (ROOT / dependency).exists(), f"{name}: {dependency}"


def test_what_a_stage_reads_is_what_an_earlier_one_writes() -> None:
    outs: list[str] = []
    for stage in STAGES.values():
        outs += [next(iter(out)) if isinstance(out, dict) else out for out in stage["outs"]]
    given = ("params", "scales", "splits", "tpsm", "baselines", "eval/", "data/raw/")
    for name, stage in STAGES.items():
        for path in stage["deps"]:
            if path != "eval" and not path.startswith(given):
                related = [out for out in outs if path.startswith(out) or out.startswith(path)]
                assert related, f"{name} reads {path}, which nothing writes"
