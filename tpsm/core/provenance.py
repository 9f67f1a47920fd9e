"""What made a result: code, parameters, data, networks, versions, machine and time. No path, no host, no user, no date.

Every result file carries one record, all of its keys, null where one does not apply.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = ("torch", "torchvision", "torchreid", "numpy", "scipy", "pandas", "matplotlib", "pillow", "dvc")
# What decides a result, from the repository's root: a change here that no commit has makes the code `changed`.
DECIDES = (
    *("baselines", "constraints.txt", "data.dvc", "dvc.yaml", "eval", "params.yaml", "puppets-quick.dvc", "samples"),
    *("scales", "tpsm", "weights"),
)


@dataclass(frozen=True)
class Provenance:
    """`parameters`, `weights` and `evaluators` are names and SHA-256. `seconds` is the wall time of the process that
    ended the work; where `resumed`, others had begun it."""

    code: dict[str, Any]
    parameters: dict[str, str]
    data: dict[str, Any] | None
    evaluators: dict[str, str] | None
    weights: dict[str, str] | None
    versions: dict[str, str | None]
    hardware: dict[str, Any]
    precision: str
    seed: int | dict[str, int] | None
    seconds: float
    resumed: bool


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
) -> dict[str, Any]:
    """The record of what began at `since` (of `time.monotonic()`) and ends now, ready for JSON.

    `data` is what the manifest of the clips says of itself, `Manifest.about()`.
    """
    made = Provenance(
        code=code(),
        parameters=dict(parameters),
        data=None if data is None else dict(data),
        evaluators=None if evaluators is None else dict(evaluators),
        weights=None if weights is None else dict(weights),
        versions=versions(),
        hardware=hardware(),
        precision=precision,
        seed=dict(seed) if isinstance(seed, Mapping) else seed,
        seconds=round(time.monotonic() - since, 1),
        resumed=resumed,
    )
    return asdict(made)


def code() -> dict[str, Any]:
    """The commit of the code that runs, and whether it was `changed` since; nulls where this is no checkout of it."""
    here = Path(__file__).resolve()
    # Installed into another project's tree, that project's commit says nothing of this code.
    if _git(here.parent, "ls-files", "--error-unmatch", here.name) is None:
        return {"commit": None, "changed": None}
    changes = _git(here.parents[2], "status", "--porcelain", "--", *DECIDES)
    return {"commit": _git(here.parent, "rev-parse", "HEAD"), "changed": changes != ""}


def _git(folder: Path, *arguments: str) -> str | None:
    """What git prints; None where there is no git, or nothing that it can say."""
    try:
        command = ["git", "--no-optional-locks", "-C", str(folder), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


@cache
def versions() -> dict[str, str | None]:
    return {"python": platform.python_version()} | {name: _version(name) for name in PACKAGES}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def hardware() -> dict[str, Any]:
    """`instructions` are those that PyTorch computes with on the CPU: they and the threads decide how sums round."""
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
    """The number that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@cache
def cpu_model() -> str:
    """As the maker calls it; the architecture's name where the system does not tell."""
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


def device_name() -> str:
    import torch

    from tpsm.core.device import device

    if device().type == "cuda":
        return torch.cuda.get_device_name()
    cpuinfo = Path("/proc/cpuinfo")
    models = re.findall(r"model name\s*: (.*)", cpuinfo.read_text()) if cpuinfo.is_file() else []
    return f"CPU {models[0] if models else platform.processor() or platform.machine()}"


def runtime_versions() -> dict[str, str]:
    import torch

    from tpsm.core.device import device

    known = {"python": platform.python_version(), "torch": str(torch.__version__)}
    if device().type == "cuda":
        known |= {"cuda": str(torch.version.cuda), "cudnn": str(torch.backends.cudnn.version())}
        if shutil.which("nvidia-smi"):
            ask = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
            known["driver"] = subprocess.run(ask, capture_output=True, text=True, check=True).stdout.splitlines()[0]
    else:
        known["threads"] = str(torch.get_num_threads())
    return known
