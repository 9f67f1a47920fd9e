"""Measures what each stage's start costs, beside that of the library that it cannot do without: `make bench-start`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

TRIES = 3
ROOMS = ("tpsm/stages", "eval/stages")
WITHOUT_TORCH = ("configure", "check", "coverage", "report", "page", "gate")
"""The stages that need pandas at most; all others are compared with PyTorch."""
MEASURE = (
    "import resource, {}; usage = resource.getrusage(resource.RUSAGE_SELF); print(usage.ru_utime + usage.ru_stime)"
)


def seconds(module: str) -> float:
    """Returns the CPU seconds of a process that imports `module` and ends; the least of a few."""
    command = [sys.executable, "-c", MEASURE.format(module)]
    runs = (subprocess.run(command, capture_output=True, text=True, check=True) for _ in range(TRIES))
    return min(float(run.stdout) for run in runs)


def main() -> None:
    """Prints a line for each stage, and for the gate."""
    root = Path(__file__).parents[2]
    files = [path for room in ROOMS for path in sorted((root / room).glob("[a-z]*.py"))]
    files.append(root / "eval/checks/gate.py")
    alone = {library: seconds(library) for library in ("torch", "pandas")}
    for library, cost in alone.items():
        print(f"{library:32}{cost:6.2f} s")
    for path in files:
        library = "pandas" if path.stem in WITHOUT_TORCH else "torch"
        cost = seconds(".".join(path.relative_to(root).with_suffix("").parts))
        print(
            f"{path.relative_to(root).as_posix():32}{cost:6.2f} s{cost / alone[library]:8.2f} x {library}", flush=True
        )


if __name__ == "__main__":
    main()
