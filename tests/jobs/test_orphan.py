"""DVC alone is killed: what it had started goes on, and the next `make repro` says so and starts no second one."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[2]
TRAINS = f"""
import sys, time
from pathlib import Path
sys.path.insert(0, {str(ROOT)!r})
from tpsm.core.files import locked
from tpsm.core.program import exit_status

def train(args, prog_name):
    with locked(Path(".work/drawn@tps.lock"), "The training of tps on drawn"):
        while not Path("enough").exists():
            time.sleep(0.02)
        with open("weights", "a") as file:
            file.write("trained")

sys.exit(exit_status(train, "tpsm", []))
"""


def test_the_next_run_names_the_process_that_still_trains(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(TRAINS)
    (tmp_path / "dvc.yaml").write_text(f"stages: {{train: {{cmd: '{sys.executable} train.py', outs: [weights]}}}}\n")
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    environment |= {"PYTHONPATH": str(ROOT), "DVC_NO_ANALYTICS": "1"}
    subprocess.run(["dvc", "init", "--no-scm", "--quiet"], cwd=tmp_path, env=environment, check=True)
    repro = [sys.executable, "-m", "tpsm.jobs.repro"]
    lock = tmp_path / ".work/drawn@tps.lock"

    def again() -> subprocess.CompletedProcess[str]:
        return subprocess.run(repro, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)

    with subprocess.Popen(repro, cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL) as first:
        while not (lock.exists() and (named := re.match(r"process (\d+) ", lock.read_text()))):
            assert first.poll() is None
            time.sleep(0.02)
        orphan = int(named[1])
        dvc = Path(f"/proc/{first.pid}/task/{first.pid}/children").read_text().split()
        for process in (first.pid, *map(int, dvc)):
            os.kill(process, signal.SIGKILL)

    refused = again()
    assert refused.returncode != 0
    assert f"The training of tps on drawn is already under way in process {orphan} " in refused.stderr

    (tmp_path / "enough").touch()
    with suppress(psutil.NoSuchProcess):  # A container may have no init that takes note of its death.
        while psutil.Process(orphan).status() != psutil.STATUS_ZOMBIE:
            time.sleep(0.02)
    ended = again()
    assert ended.returncode == 0, ended.stderr
    assert (tmp_path / "weights").read_text() == "trained"
