"""Two processes on one machine compute what one does; one that is lost ends the job, which then goes on exactly."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import training_job

from tpsm.checkpoints.checkpoint import load_checkpoint
from tpsm.core.clips import Clip
from tpsm.core.rng import BatchSlice
from tpsm.data.clip import write_clip
from tpsm.data.manifest import Entry, Manifest
from tpsm.training import distributed as parallel

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four clips of noise that drifts."""
    out = tmp_path_factory.mktemp("clips")
    rng = np.random.default_rng(0)
    entries = []
    for name in ("a#0", "b#0", "c#0", "d#0"):
        picture = rng.integers(0, 255, (8, 8, 3), np.uint8).repeat(4, axis=0).repeat(4, axis=1)
        frames = np.stack([np.roll(picture, shift, axis=1) for shift in range(6)])
        write_clip(out / "train", Clip(name, name[0], frames, 10.0))
        entries.append(Entry(name, name[0], "train", 6, 32, 32, 10.0, "0" * 64, False))
    Manifest("set", 32, tuple(entries)).write(out)
    return out


def alone(folder: Path, clips: Path, scenario: str) -> None:
    """In this process."""
    folder.mkdir()
    (folder / "clips").symlink_to(clips)
    training_job.main(folder, scenario)


def job(folder: Path, clips: Path, scenario: str, processes: int = 2) -> subprocess.CompletedProcess[str]:
    """In processes of its own."""
    folder.mkdir(exist_ok=True)
    if not (folder / "clips").exists():
        (folder / "clips").symlink_to(clips)
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    command = [sys.executable, *torchrun, training_job.__file__, str(folder), scenario]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests/support'}"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, clips: Path) -> Path:
    """TPSMM as released, in two processes that nothing interrupts."""
    folder = tmp_path_factory.mktemp("whole")
    done = job(folder, clips, "tps-as-released")
    assert done.returncode == 0, done.stderr
    return folder


def curve(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / "out-0" / "metrics.csv")


def pairs(folder: Path, process: int = 0) -> list[str]:
    return (folder / f"pairs-{process}.txt").read_text().splitlines()


@pytest.mark.parametrize(
    ("scenario", "tolerance"),
    [
        pytest.param("fomm", 2e-3, marks=pytest.mark.slow),
        pytest.param("fomm-odd", 2e-3, marks=pytest.mark.slow),
        ("tps-double", 1e-5),
        pytest.param("mraa-double", 1e-5, marks=pytest.mark.slow),
    ],
)
def test_two_processes_compute_what_one_does_with_the_double_batch(
    scenario: str, tolerance: float, clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parallel, "PRECISIONS", dict(parallel.PRECISIONS))
    one, two = tmp_path / "one", tmp_path / "two"
    alone(one, clips, scenario)
    done = job(two, clips, scenario)
    assert done.returncode == 0, done.stderr
    # Each process took its half of every batch, in order.
    together = []
    halves = [iter(pairs(two, process)) for process in (0, 1)]
    for _ in curve(two).step:
        for half, part in zip(halves, BatchSlice.split(len(pairs(one)) // len(curve(one)), 2), strict=True):
            together += [next(half) for _ in range(part.start, part.stop)]
    assert together == pairs(one)
    expected, got = curve(one), curve(two)
    assert len(got) in (6, 8) and list(got.columns) == list(expected.columns)
    np.testing.assert_allclose(got.drop(columns="step"), expected.drop(columns="step"), rtol=tolerance)
    np.testing.assert_allclose(got.total[0], expected.total[0], rtol=1e-5)
    # Not all weights: Adam blows up the noise in biases that a norm cancels.
    first, second = (load_checkpoint(folder / "out-0" / "last.pt").weights for folder in (one, two))
    for name in first:
        if name.endswith("running_var") or (scenario.endswith("double") and not name.endswith("conv.bias")):
            close = {"rtol": 1e-6, "atol": 1e-6} if scenario.endswith("double") else {"rtol": 1e-2, "atol": 1e-4}
            torch.testing.assert_close(second[name], first[name], **close, msg=lambda m, n=name: f"{n}: {m}")
    assert not (two / "out-1").exists(), "only the first process writes"
    assert {path.suffix for path in (two / "work").iterdir()} == {".lock", ".finished"}


def test_batch_statistics_are_each_processes_own_where_the_released_code_has_them_so(
    whole: Path, clips: Path, tmp_path: Path
) -> None:
    alone(tmp_path / "one", clips, "tps-as-released")
    one, two = curve(tmp_path / "one").total, curve(whole).total
    assert (two / one - 1).abs()[0] > 1e-4 and (two / one - 1).abs().max() < 0.5


@pytest.mark.slow
@pytest.mark.parametrize("scenario", ["fomm-compiled", "fomm-channels-last"])
def test_faster_ways_compute_the_same(scenario: str, clips: Path, tmp_path: Path) -> None:
    alone(tmp_path / "plain", clips, "fomm")
    done = job(tmp_path / "fast", clips, scenario, processes=1)  # apart: what is compiled cannot be type-checked here
    assert done.returncode == 0, done.stderr
    plain, fast = curve(tmp_path / "plain").total, curve(tmp_path / "fast").total
    assert (fast / plain - 1).abs().max() < 2e-3


@pytest.mark.parametrize("scenario", ["killed", pytest.param("stopped", marks=pytest.mark.slow)])
def test_a_lost_process_ends_the_job_which_then_goes_on_exactly(
    scenario: str, whole: Path, clips: Path, tmp_path: Path
) -> None:
    cut = tmp_path / "cut"
    done = job(cut, clips, scenario)
    assert done.returncode != 0
    if scenario == "killed":
        assert "Process 0 of 2 stopped at step 5 of run" in done.stderr, done.stderr
        assert "the same command goes on from" in done.stderr
        kept = 3
    else:  # The signal reached one process; all end after the same step.
        assert done.stderr.count("Stopped after step 6 of run; the same command goes on from there.") == 2, done.stderr
        kept = 6
    (state,) = (cut / "work").glob("*/state.pt")
    assert load_checkpoint(state).step == kept
    done = job(cut, clips, scenario)
    assert done.returncode == 0, done.stderr
    assert (cut / "out-0" / "metrics.csv").read_bytes() == (whole / "out-0" / "metrics.csv").read_bytes()
    first, second = (load_checkpoint(folder / "out-0" / "last.pt").weights for folder in (whole, cut))
    assert all(torch.equal(value, second[name]) for name, value in first.items())
