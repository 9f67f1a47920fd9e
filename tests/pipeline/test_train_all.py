"""`tpsm train-all`: several trainings at a time, which resume, and end when the first process does."""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from commands import tpsm
from test_published import draw
from test_stages import PARAMS

from tpsm.config.params import merge
from tpsm.core.errors import UserError
from tpsm.published.card import read_card
from tpsm.stages import train_all as module
from tpsm.stages.train_all import train_all


def trained_for(**schedule: int) -> dict[str, Any]:
    return {"scales": {"tiny": {method: {"train": schedule} for method in ("tps", "fomm")}}}


LONG = {
    "runs": ["tps", "fomm"],
    "animate": {"datasets": [], "runs": [], "avd": []},
    **trained_for(epochs=4000, checkpoint_every=1_000_000),
}
SHORT = trained_for(epochs=3)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    draw(seed=1)
    return tmp_path


def states() -> list[Path]:
    """What trainings under way have kept."""
    return sorted(Path(".work").glob("drawn@*/state.pt"))


def set_params(*changes: dict) -> None:
    params = PARAMS
    for change in changes:
        params = merge(params, change)
    Path("params.yaml").write_text(yaml.safe_dump(params))


def wait_for(what: Callable[[], object], seconds: float = 300) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.2)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


# As `tpsm train-all` on two processes, whose steps are not timed beforehand: that starts four more.
PROGRAM = """
from pathlib import Path
from tpsm.stages import train_all
train_all.seconds_per_step = lambda job, count: 1.0
train_all.train_all(Path("params.yaml"), ["drawn"], 2)
"""


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="finds processes as Linux lists them")
def test_when_the_first_process_is_killed_the_others_keep_their_step_and_end(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_params(LONG)
    logs = [Path(f".work/train-all/drawn-{run}.log") for run in ("tps", "fomm")]
    parent = subprocess.Popen([sys.executable, "-c", PROGRAM])
    try:
        wait_for(lambda: all(path.is_file() and "step/s" in path.read_text() for path in logs))
        assert not states()
        pids = [int(pid) for pid in Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text().split()]
        assert len(pids) >= 2
    finally:
        parent.kill()
        parent.wait()
    wait_for(lambda: not any(alive(pid) for pid in pids))
    assert all("Stopped after step" in path.read_text() for path in logs)
    assert len(states()) == 2 and not Path("trained").exists()

    # The same command goes on, here with less to do, and so from another beginning; then there is nothing left.
    set_params(LONG, SHORT)
    monkeypatch.setattr(module, "seconds_per_step", lambda job, count: 1.0)
    train_all(Path("params.yaml"), ["drawn"], 2)
    assert {read_card(path).run for path in Path("trained/drawn").glob("*/card.json")} == {"tps", "fomm"}
    assert "All 2 are trained already" in tpsm("train-all", "--dataset", "drawn")


def test_a_line_says_beforehand_how_long_it_takes(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    set_params(LONG)
    monkeypatch.setattr(module, "seconds_per_step", lambda job, count: {"tps": 9.0, "fomm": 4.5}[job.run])
    monkeypatch.setattr(module, "run_all", lambda due, avds, count: [])
    train_all(Path("params.yaml"), ["drawn"], 2)
    line = capsys.readouterr().out  # the longer run alone takes ten hours, and the other fits beside it
    assert "2 runs of 8,000 steps (tps 9.00 s, fomm 4.50 s a step): about 10 h 00 min, 2 at a time" in line


def test_what_fails_is_named_and_the_rest_is_done(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    set_params(LONG, SHORT, {"scales": {"tiny": {"fomm": {"train": {"learning_rate": 1e30}}}}})
    monkeypatch.setattr(module, "seconds_per_step", lambda job, count: 1.0)
    with pytest.raises(UserError, match=r"1 of 2 .* the first being drawn fomm \(see .*drawn-fomm\.log\)"):
        train_all(Path("params.yaml"), ["drawn"], 2)
    assert "fomm" in Path(".work/train-all/drawn-fomm.log").read_text()
    assert Path("trained/drawn/tps/card.json").is_file() and not Path("trained/drawn/fomm").exists()


def test_a_data_set_must_be_known(project: Path) -> None:
    set_params(LONG)
    with pytest.raises(UserError, match="name one with --dataset"):
        train_all(Path("params.yaml"), [], None)
    with pytest.raises(UserError, match="datasets does not list 'vox'"):
        train_all(Path("params.yaml"), ["vox"], None)
    assert tpsm("train-all", "--help")
