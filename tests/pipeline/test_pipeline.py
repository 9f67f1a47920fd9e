"""dvc.yaml knows what its stages run: a change of code that decides a result must re-run the stage."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from imports import REGISTRY, ROOT, file_of, imports, reached

from tpsm.core.fingerprint import TRAINING_CODE
from tpsm.methods import METHODS

STAGES: dict[str, Any] = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
ENTRIES = {
    "outside": ("tpsm/config/outside.py",),
    "configure": ("tpsm/stages/configure.py", "eval/stages/check.py"),
    "prepare": ("tpsm/stages/prepare.py",),
    "coverage": ("eval/stages/coverage.py",),
    "evaluators": ("eval/stages/evaluators.py",),
    "features": ("eval/stages/features.py",),
    "train": ("tpsm/stages/train.py",),
    "train-more": ("tpsm/stages/train.py",),
    "train-avd": ("tpsm/stages/train_avd.py",),
    "reconstruct": ("tpsm/stages/reconstruct.py",),
    "reconstruct-more": ("tpsm/stages/reconstruct.py",),
    "animate": ("tpsm/stages/animate.py",),
    "animate-avd": ("tpsm/stages/animate.py",),
    "score": ("eval/stages/score.py",),
    "score-more": ("eval/stages/score.py",),
    "score-control": ("eval/stages/score.py",),
    "report": ("eval/stages/report.py",),
    "page": ("eval/stages/page.py",),
}
# Cannot change a result: what reads, writes, names, checks or distributes, or refuses to run rather than run otherwise.
# A stage depends on the results of these as files; what only they import decides nothing either.
HARMLESS = (
    *("tpsm/config", "tpsm/jobs", "tpsm/checkpoints", "tpsm/downloads", "tpsm/stages", "eval/stages"),
    *(
        f"tpsm/core/{name}.py"
        for name in ("errors", "files", "reading", "schema", "layout", "provenance", "fingerprint", "device")
    ),
    *(f"tpsm/data/{name}.py" for name in ("arrays", "clip", "config", "limits", "manifest")),
    *(f"tpsm/data/{name}.py" for name in ("container", "still", "video")),
    *("tpsm/nn/state_dict.py", "tpsm/published/card.py", "tpsm/published/pixels.py"),
    *("tpsm/inference/preview.py", "eval/config.py", "eval/weights.py"),
)


def under(file: str, *tops: str) -> bool:
    return any(file == top or file.startswith(f"{top}/") for top in tops)


def deciding(*entries: str) -> set[str]:
    """The files that decide what a stage computes: those that its entries reach, but not through harmless ones. Where
    a stage finds methods by name, every method is among them."""
    found: set[str] = set()
    waiting = [file for entry in entries for file in imports(entry)]
    if REGISTRY in reached(*entries):
        waiting += [file for module in METHODS.values() if (file := file_of(module))]
    while waiting:
        file = waiting.pop()
        if file not in found and not under(file, *HARMLESS):
            found.add(file)
            waiting += imports(file)
    return found


def test_every_stage_has_an_entry() -> None:
    assert ENTRIES.keys() == STAGES.keys()


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_all_code_that_decides_it(stage: str) -> None:
    missing = {file for file in deciding(*ENTRIES[stage]) if not under(file, *STAGES[stage].get("deps", ()))}
    assert not missing


def test_a_resumed_run_and_the_pipeline_agree_on_what_decides_a_step() -> None:
    published = {"tpsm/checkpoints/published.py", "tpsm/published/weight_file.py"}  # decide what is taken, and no step
    for stage in ("train", "train-avd"):
        code = {path for path in STAGES[stage]["deps"] if path.startswith(("tpsm", "baselines", "eval/"))}
        assert code - published == set(TRAINING_CODE)
    assert all((ROOT / path).exists() for path in TRAINING_CODE)


def test_every_dependency_on_code_exists() -> None:
    for name, stage in STAGES.items():
        for dependency in stage.get("deps", ()):
            if dependency.startswith(("tpsm", "baselines", "scales", "eval/")):
                assert (ROOT / dependency).exists(), f"{name}: {dependency}"


def test_what_a_stage_reads_is_what_an_earlier_one_writes() -> None:
    outs: list[str] = []
    for stage in STAGES.values():
        outs += [next(iter(out)) if isinstance(out, dict) else out for out in stage["outs"]]
    given = ("params", "scales", "splits", "weights", "tpsm", "baselines", "eval/", "data/raw/")
    for name, stage in STAGES.items():
        for path in stage.get("deps", ()):
            if path != "eval" and not path.startswith(given):
                related = [out for out in outs if path.startswith(out) or out.startswith(path)]
                assert related, f"{name} reads {path}, which nothing writes"


def test_both_imports_of_the_puppets_bring_the_same() -> None:
    puppets, quick = (yaml.safe_load((ROOT / f"{name}.dvc").read_text()) for name in ("data", "puppets-quick"))
    assert quick["deps"] == puppets["deps"], "type `dvc update data.dvc puppets-quick.dvc`"
    assert [out["path"] for out in (*puppets["outs"], *quick["outs"])] == ["data/raw/puppets", "data/raw/puppets-quick"]


@pytest.mark.parametrize("name", ["train", "reconstruct", "score"])
def test_runs_of_some_data_sets_alone_have_the_same_stages(name: str) -> None:
    more = STAGES[f"{name}-more"]
    assert more == STAGES[name] | {"matrix": {"dataset": "${more.datasets}", "run": "${more.runs}"}}
