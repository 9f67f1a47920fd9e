"""Every stage that maps over clips: the same bytes from two workers as from one, killed or interrupted or not."""

from __future__ import annotations

import io
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from small_pipeline import EVALUATION, make_data, make_outputs
from test_stages import PARAMS

from eval.stages.evaluators import train_evaluators
from eval.stages.features import compute_features
from eval.stages.score import score_run
from tpsm.checkpoints.checkpoint import Checkpoint
from tpsm.checkpoints.trained import example_keypoints
from tpsm.config.params import read_params, resolve_run
from tpsm.core.errors import UserError
from tpsm.core.layout import Layout
from tpsm.core.schema import plain
from tpsm.data.config import DataConfig
from tpsm.data.prepare import prepare
from tpsm.inference.tasks import ReconstructClip
from tpsm.jobs.processes import Worker
from tpsm.methods import method_module
from tpsm.methods.avd import AVD, AvdTraining
from tpsm.methods.base import Method
from tpsm.sources.puppets.generate import synthesize
from tpsm.stages.animate import animate_run
from tpsm.stages.configure import configure
from tpsm.stages.reconstruct import reconstruct_run

RUN = Path("outputs/drawn/mraa")
pytestmark = pytest.mark.usefixtures("warm_workers")


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set, and a run with its AVD network as if trained."""
    folder = tmp_path_factory.mktemp("project")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        Path("params.yaml").write_text(
            yaml.safe_dump(PARAMS | {"runs": ["mraa"], "animate": {"datasets": ["drawn"], "runs": ["mraa"]}})
        )
        raw = Path("data/raw/drawn")
        synthesize(raw, size=64, train_identities=1, test_identities=3, clips_per_identity=2, frames=3, seed=1)
        configure(Path("params.yaml"), Path("configs"))
        prepare("drawn", raw, DataConfig(size=64), Path("data/clips/drawn"))
        config, avd = resolve_run(read_params(Path("params.yaml")), "drawn", "mraa")
        torch.manual_seed(0)
        method: Method = method_module("mraa").Model(config.model).eval()
        network = AvdTraining(method, AVD.like(example_keypoints(method, 64), avd.model), avd.model)
        for name, model, task, top in (("mraa", config.model, method, "models"), ("avd", avd.model, network, "avd")):
            checkpoint = Checkpoint(name, "mraa", "drawn", 64, plain(asdict(model)), task.state_dict(), 0, 0)
            checkpoint.save(Path(top) / "drawn/mraa/last.pt")
    return folder


@pytest.fixture
def project(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy, as the working folder."""
    shutil.copytree(made, tmp_path / "project")
    monkeypatch.chdir(tmp_path / "project")
    return tmp_path / "project"


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> Layout:
    """Outputs, evaluators and features, ready to be scored."""
    layout = make_data(tmp_path_factory.mktemp("pipeline"))
    evaluators = {"landmarks": EVALUATION["evaluators"]["landmarks"] | {"steps": 1, "batch": 4}}
    layout.config.write_text(yaml.safe_dump(EVALUATION | {"evaluators": evaluators}))
    make_outputs(layout)
    train_evaluators(layout)
    compute_features(layout)
    return layout


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def killing(stage: Callable[[], object]) -> bool:
    """Runs `stage`, and kills the worker that gets the third clip while it has it; whether one was killed."""
    given: list[int] = []
    give = Worker.give

    def give_and_kill(worker: Worker, index: int, task: Callable[[Any], Any], item: Any) -> None:
        give(worker, index, task, item)
        given.append(index)
        if len(given) == 3:
            os.kill(worker.pid, signal.SIGKILL)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Worker, "give", give_and_kill)
        stage()
    return len(given) > 3 and given.count(given[2]) == 2 and len(given) == len(set(given)) + 1


def test_prepare(project: Path) -> None:
    one = prepare("drawn", Path("data/raw/drawn"), DataConfig(size=32), Path("one"))
    assert killing(lambda: prepare("drawn", Path("data/raw/drawn"), DataConfig(size=32), Path("two"), workers=2))
    assert len(one.entries) == 8
    assert contents(Path("one")) == contents(Path("two"))


def test_reconstruct_and_animate(project: Path) -> None:
    modes = ("standard", "relative", "avd")
    reconstruct_run("drawn", "mraa")
    animate_run("drawn", "mraa", modes)
    one = contents(RUN)
    assert len(one) == 3 * 6 + 3 + 2 + 3 * (12 + 2), sorted(one)  # insides of three clips, l1.parquet, model.json
    RUN.rename("once")
    assert killing(lambda: reconstruct_run("drawn", "mraa", 2))
    assert killing(lambda: animate_run("drawn", "mraa", modes[:1], 2))
    animate_run("drawn", "mraa", modes[1:], 2)
    assert contents(RUN) == one
    assert not list(Path(".work").iterdir())


def test_an_interrupted_stage_goes_on(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reconstruct_run("drawn", "mraa")
    whole = contents(RUN)
    shutil.rmtree(RUN)
    begun: list[str] = []
    write = ReconstructClip._write

    def interrupted(task: ReconstructClip, entry: object, unit: Path) -> None:
        begun.append(unit.name)
        write(task, entry, unit)  # type: ignore[arg-type]
        if len(begun) == 4:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ReconstructClip, "_write", interrupted)
        with pytest.raises(KeyboardInterrupt):
            reconstruct_run("drawn", "mraa")
    assert not RUN.exists(), "half a stage's output is none"
    kept = {path.stat().st_ino for path in Path(".work").glob("*/*/output/*.zip")}
    assert len(kept) == 3
    reconstruct_run("drawn", "mraa", 2)
    assert contents(RUN) == whole
    assert kept < {path.stat().st_ino for path in RUN.rglob("*.zip")}, "what was finished is not made again"


def test_another_model_takes_nothing_over(project: Path) -> None:
    reconstruct_run("drawn", "mraa")
    first = contents(RUN)
    checkpoint = Path("models/drawn/mraa/last.pt")
    content = torch.load(checkpoint, weights_only=True)
    content["weights"] = {k: v * 1.1 if v.is_floating_point() else v for k, v in content["weights"].items()}
    torch.save(content, checkpoint)
    reconstruct_run("drawn", "mraa")
    second = contents(RUN)
    assert first.keys() == second.keys()
    assert all(first[name] != second[name] for name in first)


def test_a_sentence_comes_through_from_a_worker(project: Path) -> None:
    Path("avd/drawn/mraa/last.pt").unlink()
    with pytest.raises(UserError, match=r"^The run 'mraa' has no AVD network; "):
        animate_run("drawn", "mraa", ("avd",), 2)


def test_features(scored: Layout) -> None:
    one = contents(scored.features)
    shutil.rmtree(scored.features)
    assert killing(lambda: compute_features(scored, 2))
    again = contents(scored.features)
    assert again.keys() == one.keys()
    for name, content in one.items():
        here, there = (np.load(io.BytesIO(file)) for file in (content, again[name]))
        assert here["key"] == there["key"] and np.array_equal(here["found"], there["found"])
        np.testing.assert_allclose(here["xy"], there["xy"], atol=1e-5)  # a processor's last bit is each process's own
    before = {path: path.stat().st_mtime_ns for path in scored.features.iterdir()}
    compute_features(scored, 2)
    assert {path: path.stat().st_mtime_ns for path in scored.features.iterdir()} == before


@pytest.mark.parametrize("run", ["still", "real"])
def test_score(scored: Layout, run: str) -> None:
    one = pd.read_parquet(score_run(scored, run))  # the file's metadata tells the time that it took
    scored.scores(run).unlink()
    units = scored.root / ".work" / f"score@dots@{run}"
    assert killing(lambda: score_run(scored, run, 2))
    pd.testing.assert_frame_equal(pd.read_parquet(scored.scores(run)), one, check_exact=True)
    assert not units.exists()
