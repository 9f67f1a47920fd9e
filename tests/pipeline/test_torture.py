"""A small part of `make torture`: the harness works, and finds nothing where least is to be computed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_a_few_kills_and_hostile_inputs_find_nothing(tmp_path: Path) -> None:
    few = ["--kills", "4", "--only", "prepare", "--inputs", "40", "--kind", "parameters", "--folder", str(tmp_path)]
    command = [sys.executable, str(ROOT / "tests/torture"), *few]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=580, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 kills, 40 inputs, 0 findings" in done.stdout
