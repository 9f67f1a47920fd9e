"""The reviewer's path, for real: results pushed to a remote, a fresh clone, another parameter of scoring."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]


def small(params: dict) -> dict:
    """The committed parameters, made so small that every stage takes seconds: what is scored is of no interest here."""
    schedule = {"epochs": 1, "repeats": 2, "milestones": [], "checkpoint_every": 10, "preview_every": 10}
    params["scales"]["small"]["tps"]["train"] |= schedule
    evaluation = params["evaluation"]["puppets"]
    evaluation["evaluators"] = {
        "landmarks": {"kind": "heatmap", "steps": 5},
        "identity": {"kind": "osnet", "steps": 2},
    }
    evaluation |= {
        "bootstrap": {"samples": 200},
        "figures": {"clips": 1, "frames": 2},
        "published_as": {"tps": "tpsmm"},
    }
    evaluation["tables"] = {"reconstruction": ["tps"], "animation": ["tps"]}
    params["data"]["puppets"] |= {"scale": "small", "weights": None, "evaluators": None}
    animate = {"datasets": ["puppets"], "runs": ["tps"], "avd": [], "pairs": 2, "seed": 0}
    return params | {"datasets": ["puppets"], "runs": ["tps"], "more": {"datasets": [], "runs": []}, "animate": animate}


def change(folder: Path, edit: Callable[[dict], dict]) -> None:
    path = folder / "params.yaml"
    path.write_text(yaml.safe_dump(edit(yaml.safe_load(path.read_text())), sort_keys=False))


def run(folder: Path, *command: str) -> str:
    tools = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    author = {f"GIT_{who}_{what}": "a@b" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    environment = os.environ | author | {"PATH": tools, "PYTHONPATH": str(folder)}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout


def stages(output: str) -> set[str]:
    return set(re.findall(r"Running stage '([^']+)'", output))


@pytest.mark.slow
def test_a_fresh_clone_scores_stored_predictions_anew_and_trains_nothing(tmp_path: Path) -> None:
    author, reviewer = tmp_path / "author", tmp_path / "reviewer"
    for name in subprocess.check_output(["git", "ls-files", "-z"], cwd=ROOT, text=True).rstrip("\0").split("\0"):
        if not name.startswith("samples/") or re.search(r"puppet0(0[0-5]|4[4-6])#", name):  # a few people are enough
            (author / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, author / name)
    (author / "dvc.lock").unlink()
    shutil.rmtree(author / "reports/puppets", ignore_errors=True)
    change(author, small)
    run(author, "git", "init", "-q")
    run(author, "git", "add", "-A")
    assert {"train@puppets-tps", "score@puppets-tps"} <= stages(run(author, "dvc", "repro"))
    run(author, "dvc", "remote", "add", "-d", "storage", str(tmp_path / "storage"))
    run(author, "dvc", "push")
    run(author, "git", "add", "-A")
    run(author, "git", "commit", "-q", "-m", "results")

    run(tmp_path, "git", "clone", "-q", str(author), str(reviewer))
    due = stages(run(reviewer, "dvc", "repro", "--dry", "--allow-missing"))
    assert due == {"outside"}, "which looks each time; the cheap check of a pull request"
    assert not (reviewer / "outputs").exists()

    def without_pose(params: dict) -> dict:
        params["evaluation"]["puppets"]["metrics"].remove("pose")
        return params

    change(reviewer, without_pose)
    assert stages(run(reviewer, "dvc", "repro", "--dry", "--allow-missing"))
    ran = stages(run(reviewer, "make", "rescore", "READY=", f"BIN={Path(sys.executable).parent}"))
    scored = {"score@puppets-tps", "score-control@puppets-copy-source", "score-control@puppets-real"}
    assert ran == {"outside", "configure", *scored, "report@puppets", "page"}
    assert "| Pose" not in (reviewer / "reports/puppets/tables/animation.md").read_text()
    assert "matches  metrics.json" in run(reviewer, "python", "-m", "eval", "verify", "--dataset", "puppets")

    # With nothing but scores, what they were configured by, and the manifest.
    checker = tmp_path / "checker"
    run(tmp_path, "git", "clone", "-q", str(author), str(checker))
    run(checker, "dvc", "pull", "configs", "data/clips/puppets/manifest.json", "score@puppets-tps", "score-control")
    assert not list(checker.glob("models/*/*")) and not list(checker.glob("outputs/*/*"))
    assert "matches  metrics.json" in run(checker, "python", "-m", "eval", "verify", "--dataset", "puppets")
