"""The training benchmark: how fast each method trains on this machine, beside what the machine can do at its best."""

from __future__ import annotations

import json
import logging
import os
import platform
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from tpsm.bench_page import page
from tpsm.ceilings import Ceilings, measure_ceilings
from tpsm.config import Params, RunConfig
from tpsm.cost import count_work, in_all
from tpsm.data.prepare import DataConfig, prepare
from tpsm.data.puppets import synthesize
from tpsm.errors import UserError
from tpsm.files import atomic
from tpsm.method import METHODS, method_module
from tpsm.parallel import device
from tpsm.strict import build
from tpsm.train import TrainConfig
from tpsm.trial import Timing, Trial, apart, take

log = logging.getLogger(__name__)
# By name, what each changes of a schedule. Every one is compared with the first.
VARIANTS: dict[str, dict[str, Any]] = {
    "fp32": {"precision": "fp32", "channels_last": False, "compile": False},
    "bf16": {"precision": "bf16", "channels_last": False, "compile": False},
    "bf16-channels-last": {"precision": "bf16", "channels_last": True, "compile": False},
    "bf16-compiled": {"precision": "bf16", "channels_last": True, "compile": True},
}


@dataclass(frozen=True)
class Settings:
    """What to measure. `batch` None is the scale's own; no `variants` are all on a GPU, and fp32 on a CPU.

    `workers` load data; None takes the scale's number on a GPU, as far as there are cores, and none on a CPU.
    """

    methods: tuple[str, ...] = tuple(METHODS)
    variants: tuple[str, ...] = ()
    scale: str = "vox"
    size: int = 256
    batch: int | None = None
    steps: int = 200
    workers: int | None = None
    operators: int = 0

    def __post_init__(self) -> None:
        for kind, asked, known in (("method", self.methods, METHODS), ("variant", self.variants, VARIANTS)):
            if others := set(asked) - set(known):
                raise UserError(f"There is no {kind} '{min(others)}'; choose among {', '.join(known)}.")


@dataclass(frozen=True)
class Row:
    """One variant of one method. `flops` are a step's, as are the timing's bytes; `missing` says why there is none."""

    method: str
    variant: str
    batch: int
    flops: float
    timing: Timing | None = None
    missing: str | None = None


@dataclass(frozen=True)
class Report:
    """bench.json. `ceilings` are in FLOP/s and bytes/s, the seconds of a timing for a step."""

    device: str
    date: str
    versions: dict[str, str]
    settings: Settings
    warm_up: int
    ceilings: Ceilings
    rows: tuple[Row, ...]
    format: int = field(default=1)


def bench(params: Params, settings: Settings, out: Path) -> Path:
    """Trains every method in every variant for some steps, and writes `out/<device>/{README.md, bench.json}`.

    Raises:
        UserError: a method, a variant or the scale is unknown, or a model does not fit the size.
    """
    if settings.scale not in params.scales:
        raise UserError(f"There is no scale '{settings.scale}'; choose among {', '.join(params.scales)}.")
    log.info("Ceilings of %s", device_name())
    ceilings = apart(measure_ceilings, None)
    warm_up = max(2, settings.steps // 10)
    with tempfile.TemporaryDirectory() as scratch:
        clips = _clips(Path(scratch), settings.size)
        rows = [row for name in settings.methods for row in _rows(params, settings, name, clips, warm_up)]
    report = Report(
        device_name(),
        datetime.now(UTC).date().isoformat(),
        versions(),
        settings,
        warm_up,
        ceilings,
        tuple(rows),
    )
    folder = out / re.sub(r"[^a-z0-9]+", "-", report.device.lower()).strip("-")
    with atomic(folder / "bench.json") as draft:
        draft.write_text(json.dumps(asdict(report), indent=1) + "\n")
    with atomic(folder / "README.md") as draft:
        draft.write_text(page(report))
    return folder


def _rows(params: Params, settings: Settings, name: str, clips: Path, warm_up: int) -> list[Row]:
    section = params.scales[settings.scale][name]
    where = f"scales.{settings.scale}.{name}"
    model = build(method_module(name).Config, section.model, f"{where}.model")
    train = build(TrainConfig, section.train, f"{where}.train")
    train = replace(train, batch=settings.batch or train.batch, accumulate=1, workers=_workers(settings, train))
    config = RunConfig("puppets", name, name, settings.size, model, train)
    flops = train.batch * in_all(count_work(config)).step.computed
    rows = []
    for variant, changes in VARIANTS.items():
        row = Row(name, variant, train.batch, flops, missing=_skipped(variant, settings.variants))
        if row.missing is None:
            trial = Trial(
                name,
                model,
                settings.size,
                replace(train, **changes),
                settings.steps,
                warm_up,
                clips,
                traffic=True,
                operators=settings.operators,
            )
            try:
                row = replace(row, timing=apart(take, trial))
            except RuntimeError as error:  # Memory that does not suffice, or a compiler: the others' rows stand.
                row = replace(row, missing=f"failed: {error}")
        log.info("%s, %s: %s", name, variant, row.missing or f"{1 / row.timing.step:.3g} steps/s")  # type: ignore[union-attr]
        rows.append(row)
    return rows


def _skipped(variant: str, asked: Sequence[str]) -> str | None:
    if variant in asked or (not asked and (device().type == "cuda" or variant == "fp32")):
        return None
    return f"skipped: {'not asked for' if asked else 'measured on a CPU only where asked for'} (--variant {variant})"


def _workers(settings: Settings, train: TrainConfig) -> int:
    if settings.workers is not None:
        return settings.workers
    return min(train.workers, os.cpu_count() or 1) if device().type == "cuda" else 0


def _clips(scratch: Path, size: int) -> Path:
    """A small set of puppets, prepared."""
    synthesize(
        scratch / "raw", size=size, train_identities=8, test_identities=1, clips_per_identity=1, frames=16, seed=0
    )
    prepare("puppets", scratch / "raw", DataConfig(size=size), scratch / "clips")
    return scratch / "clips"


def device_name() -> str:
    if device().type == "cuda":
        return torch.cuda.get_device_name()
    cpuinfo = Path("/proc/cpuinfo")
    models = re.findall(r"model name\s*: (.*)", cpuinfo.read_text()) if cpuinfo.is_file() else []
    return f"CPU {models[0] if models else platform.processor() or platform.machine()}"


def versions() -> dict[str, str]:
    known = {"python": platform.python_version(), "torch": str(torch.__version__)}
    if device().type == "cuda":
        known |= {"cuda": str(torch.version.cuda), "cudnn": str(torch.backends.cudnn.version())}
        if shutil.which("nvidia-smi"):
            ask = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
            known["driver"] = subprocess.run(ask, capture_output=True, text=True, check=True).stdout.splitlines()[0]
    else:
        known["threads"] = str(torch.get_num_threads())
    return known
