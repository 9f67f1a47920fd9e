"""What takes long to load is loaded when it is used, not when a stage or a command line starts."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from test_pipeline import ENTRIES

HEAVY = ("torch._dynamo", "sympy", "lightning", "lightning_fabric", "matplotlib", "scipy", "torchvision")
STAGES = dict.fromkeys(file.removesuffix(".py").replace("/", ".") for files in ENTRIES.values() for file in files)
WITHOUT_TORCH = (
    *("tpsm.stages.configure", "eval.stages.check", "eval.stages.coverage", "eval.checks.gate"),
    *("eval.stages.report", "eval.stages.page"),
)
PROGRAMS = ("tpsm.cli.main", "eval.cli", "eval.__main__")
SCRIPT = """
import importlib, json, sys
modules, names = json.loads(sys.argv[1])
for module in modules:
    importlib.import_module(module)
    print(module, *(name for name in names if name in sys.modules))
"""


@pytest.mark.parametrize(
    ("modules", "names"),
    [
        (list(STAGES), HEAVY),
        (WITHOUT_TORCH, (*HEAVY, "torch")),
        (PROGRAMS, (*HEAVY, "torch", "pandas", "pyarrow", "PIL")),
    ],
    ids=["stages", "stages without torch", "programs"],
)
def test_nothing_heavy_is_imported_early(modules: list[str], names: tuple[str, ...]) -> None:
    command = [sys.executable, "-c", SCRIPT, json.dumps([modules, names])]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == list(modules)
