"""Records what made a result: code, parameters, data, networks, versions, machine and seconds.

No path, host, user or date is recorded. Every result file carries one record with all of its keys; a key that does not
apply is null.
"""

from __future__ import annotations

import os
import platform
import subprocess
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from tpsm.core.errors import UserError
from tpsm.core.fingerprint import Outside, outside_parts
from tpsm.core.schema import from_mapping

PACKAGES = ("torch", "torchvision", "torchreid", "numpy", "scipy", "pandas", "matplotlib", "pillow", "dvc")
# What decides a result, from the repository's root: a change here that no commit has makes the code `changed`.
DECIDES = (
    *("baselines", "constraints.txt", "data.dvc", "dvc.yaml", "eval", "params.yaml", "puppets-quick.dvc", "samples"),
    *("scales", "tpsm", "weights"),
)


@dataclass(frozen=True)
class Code:
    """The commit of the code, and whether the code was `changed` since; nulls outside a checkout."""

    commit: str | None
    changed: bool | None


@dataclass(frozen=True)
class Hardware:
    """A machine. `instructions` are the CPU's that PyTorch uses; with `threads` they decide how sums round."""

    cpu: str | None
    cores: int
    threads: int
    instructions: str | None
    gpu: str | None
    gpus: int


@dataclass(frozen=True)
class Provenance:
    """One record. `parameters`, `weights` and `evaluators` map names to SHA-256; `outside` says which modules from
    outside this repository had a part in it.

    `seconds` is the wall time of the process that ended the work; where `resumed`, other processes had begun it.
    """

    code: Code
    parameters: dict[str, str]
    data: dict[str, Any] | None
    evaluators: dict[str, str] | None
    weights: dict[str, str] | None
    versions: dict[str, str | None]
    hardware: Hardware
    precision: str
    seed: int | dict[str, int] | None
    seconds: float
    resumed: bool
    outside: dict[str, Outside] | None = None


def record(
    since: float,
    *,
    parameters: Mapping[str, str],
    precision: str,
    data: Mapping[str, Any] | None = None,
    evaluators: Mapping[str, str] | None = None,
    weights: Mapping[str, str] | None = None,
    seed: int | Mapping[str, int] | None = None,
    resumed: bool = False,
    outside: Iterable[str] = (),
) -> dict[str, Any]:
    """Returns the record of work that began at `since` (a value of `time.monotonic()`) and ends now, ready for JSON.

    `data` is what the manifest of the clips says of itself, `Manifest.about()`. `outside` are names of methods, metrics
    and kinds of evaluators, of which those from outside are recorded with their packages.
    """
    made = Provenance(
        code=Code(**code()),
        parameters=dict(parameters),
        data=None if data is None else dict(data),
        evaluators=None if evaluators is None else dict(evaluators),
        weights=None if weights is None else dict(weights),
        versions=versions(),
        hardware=Hardware(**hardware()),
        precision=precision,
        seed=dict(seed) if isinstance(seed, Mapping) else seed,
        seconds=round(time.monotonic() - since, 1),
        resumed=resumed,
        outside=outside_parts(outside) or None,
    )
    return asdict(made)


def check_record(values: Any, where: str, remedy: str) -> None:
    """Raises UserError where `values`, read from a file, are no record as `record` returns it; `where` names them, and
    `remedy` says what to do."""
    try:
        from_mapping(Provenance, values, where)
    except UserError as error:
        raise UserError(f"{error} {remedy}.") from error


def code() -> dict[str, Any]:
    """Returns what `Code` says of the running code."""
    here = Path(__file__).resolve()
    # Installed into another project's tree, that project's commit says nothing of this code.
    if _git(here.parent, "ls-files", "--error-unmatch", here.name) is None:
        return {"commit": None, "changed": None}
    changes = _git(here.parents[2], "status", "--porcelain", "--", *DECIDES)
    return {"commit": _git(here.parent, "rev-parse", "HEAD"), "changed": changes != ""}


def _git(folder: Path, *arguments: str) -> str | None:
    """Returns what git prints; None where git is missing or fails."""
    try:
        command = ["git", "--no-optional-locks", "-C", str(folder), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


@cache
def versions() -> dict[str, str | None]:
    """Returns the versions of Python and of `PACKAGES`; None for a package that is not installed."""
    return {"python": platform.python_version()} | {name: _version(name) for name in PACKAGES}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def hardware() -> dict[str, Any]:
    """Returns what `Hardware` says of this machine."""
    import torch  # Here, as below: what only reads records needs no PyTorch.

    gpus = torch.cuda.device_count()
    return {
        "cpu": cpu_model(),
        "cores": cores(),
        "threads": torch.get_num_threads(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "gpu": torch.cuda.get_device_name(0) if gpus else None,
        "gpus": gpus,
    }


def cores() -> int:
    """Returns the number of CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@cache
def cpu_model() -> str:
    """Returns the CPU's name as its maker gives it, or the architecture's where the system does not tell."""
    listed = Path("/proc/cpuinfo")
    if listed.is_file():
        for line in listed.read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    if platform.system() == "Darwin":
        done = subprocess.run(["sysctl", "-n", "machdep.cpu.brand_string"], capture_output=True, text=True, check=False)
        if done.stdout.strip():
            return done.stdout.strip()
    return platform.machine()
