"""Measures how fast each method trains on this machine, in each precision."""

from __future__ import annotations

import logging
import re
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from tabulate import tabulate

from tpsm.config.sections import MethodSection, Params, RunConfig
from tpsm.core.device import device
from tpsm.core.errors import UserError
from tpsm.core.files import write_json, write_text
from tpsm.core.provenance import code, hardware, versions
from tpsm.core.reading import read_json
from tpsm.core.schema import from_mapping, plain
from tpsm.methods import METHODS, method_module
from tpsm.profiling.cost import count_work, in_all
from tpsm.profiling.timing import (
    BLOCKS,
    Ceilings,
    TimedRun,
    Timing,
    measure_ceilings,
    run_in_subprocess,
    run_timed_steps,
)
from tpsm.training.config import TrainConfig

log = logging.getLogger(__name__)

# By name, what each changes of a schedule. Every one is compared with the first.
VARIANTS: dict[str, dict[str, Any]] = {
    "fp32": {"precision": "fp32", "channels_last": False, "compile": False, "graph": False},
    "fp32-graphed": {"precision": "fp32", "channels_last": False, "compile": False, "graph": True},
    "bf16": {"precision": "bf16", "channels_last": False, "compile": False, "graph": False},
    "bf16-channels-last": {"precision": "bf16", "channels_last": True, "compile": False, "graph": False},
    "bf16-graphed": {"precision": "bf16", "channels_last": True, "compile": False, "graph": True},
    "bf16-compiled": {"precision": "bf16", "channels_last": True, "compile": True, "graph": False},
}
TITLES = (
    "method",
    "variant",
    "batch",
    "steps/s",
    "images/s",
    "x fp32",
    "peak, GB",
    "GFLOP/s",
    "of bf16",
    "first step, s",
)
READING = f"""\
- steps/s: the median over blocks of steps ({BLOCKS} where there are as many). images/s: frames drawn, one per pair.
- x fp32: how many times as fast as the method's row fp32.
- peak: the most memory that tensors filled on a GPU; on a CPU, by how much the process grew.
- GFLOP/s: what convolutions and matrix products compute, as `tpsm cost` counts it, over the time of the whole step.
- of bf16: the share of what a large product of bf16 matrices reaches on the same GPU.
- first step: compiling included.
"""


@dataclass(frozen=True)
class Settings:
    """What to measure. `batch` None is the scale's own; without `variants` it is all on a GPU, and fp32 on a CPU."""

    methods: tuple[str, ...] = tuple(METHODS)
    variants: tuple[str, ...] = ()
    scale: str = "vox"
    size: int = 256
    batch: int | None = None
    steps: int = 200

    def __post_init__(self) -> None:
        for kind, asked, known in (("method", self.methods, METHODS), ("variant", self.variants, VARIANTS)):
            if others := set(asked) - set(known):
                raise UserError(f"There is no {kind} '{min(others)}'; choose among {', '.join(known)}.")

    @property
    def warm_up(self) -> int:
        """How many steps come before those that are timed."""
        return max(2, self.steps // 10)


@dataclass(frozen=True)
class BenchmarkRow:
    """One variant of one method. `flops` are a step's; `failed` says why there is no timing."""

    method: str
    variant: str
    batch: int
    flops: float
    timing: Timing | None = None
    failed: str | None = None


@dataclass(frozen=True)
class Report:
    """What `bench.json` holds. `ceilings` are a GPU's."""

    device: str
    date: str
    code: dict[str, Any]
    hardware: dict[str, Any]
    versions: dict[str, str | None]
    settings: dict[str, Any]
    ceilings: Ceilings | None
    rows: tuple[BenchmarkRow, ...]


def bench(params: Params, settings: Settings, out: Path) -> Path:
    """Trains every method in every variant for some steps, and writes `out/<device>/{README.md, bench.json}`.

    The files are written after each row; one that was measured by the same commit with the same settings stays.

    Raises:
        UserError: a method, a variant or the scale is unknown, or a model does not fit the size.
    """
    if settings.scale not in params.scales:
        raise UserError(f"There is no scale '{settings.scale}'; choose among {', '.join(params.scales)}.")
    trials = [_timed_run(params, settings, name) for name in settings.methods]
    flops = [_flops(timed_run) for timed_run in trials]
    variants = settings.variants or (tuple(VARIANTS) if device().type == "cuda" else ("fp32",))

    # What the rows are of, and those that were measured before.
    machine = hardware()
    name = machine["gpu"] or f"CPU {machine['cpu']}"
    folder = out / re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    report = Report(
        name,
        datetime.now(UTC).date().isoformat(),
        code(),
        machine,
        versions() | {"torch": str(torch.__version__)},  # which names CUDA's
        plain(asdict(settings)),
        run_in_subprocess(measure_ceilings, None) if machine["gpu"] else None,
        (),
    )
    rows = {(row.method, row.variant): row for row in _measured(folder / "bench.json", report)}

    # A row after the other. The plain ones come first, which the others are compared with.
    for variant in variants:
        for timed_run, each in zip(trials, flops, strict=True):
            key = timed_run.method, variant
            if key not in rows:
                rows[key] = _row(timed_run, variant, each)
            report = replace(report, rows=tuple(rows.values()))
            write_json(folder / "bench.json", asdict(report))
            write_text(folder / "README.md", page(report, settings))
    return folder


def _measured(file: Path, report: Report) -> list[BenchmarkRow]:
    """Returns the rows of the report in `file`, where it is of the same commit, versions and settings."""
    if not file.is_file() or report.code["commit"] is None or report.code["changed"]:
        return []
    before = from_mapping(Report, read_json(file, "report of a benchmark"), str(file))
    same = (before.code, before.versions, before.settings) == (report.code, report.versions, report.settings)
    return [row for row in before.rows if row.timing is not None] if same else []


def _timed_run(params: Params, settings: Settings, name: str) -> TimedRun:
    section = params.scales[settings.scale].get(name, MethodSection())
    where = f"scales.{settings.scale}.{name}"
    model = from_mapping(method_module(name).Config, section.model, f"{where}.model")
    train = from_mapping(TrainConfig, section.train, f"{where}.train")
    train = replace(train, batch=settings.batch or train.batch, accumulate=1)
    return TimedRun(name, model, settings.size, train, settings.steps, settings.warm_up)


def _flops(timed_run: TimedRun) -> float:
    """Returns the operations of one step, 2 for every multiply-add."""
    config = RunConfig("", "", timed_run.method, timed_run.size, timed_run.model, timed_run.train)
    return timed_run.train.batch * in_all(count_work(config)).step.computed


def _row(timed_run: TimedRun, variant: str, flops: float) -> BenchmarkRow:
    train = replace(timed_run.train, **VARIANTS[variant])
    counted = (timed_run.method, variant, train.batch, flops)
    try:
        timing = run_in_subprocess(run_timed_steps, replace(timed_run, train=train))
    except RuntimeError as error:  # Memory that does not suffice, or a compiler: the others' rows stand.
        log.info("%s, %s failed: %s", timed_run.method, variant, error)
        return BenchmarkRow(*counted, failed=str(error))
    log.info("%s, %s: %.3g steps/s", timed_run.method, variant, 1 / timing.step)
    return BenchmarkRow(*counted, timing)


def page(report: Report, settings: Settings) -> str:
    """Returns README.md: what was measured, one table, and how to read it."""
    rows, ceilings = report.rows, report.ceilings

    # A table of the rows that were measured, each compared with its method's fp32.
    reference = {row.method: row.timing.step for row in rows if row.timing and row.variant == "fp32"}
    cells = [
        (
            row.method,
            row.variant,
            row.batch,
            f"{1 / row.timing.step:.3g}",
            f"{row.batch / row.timing.step:.4g}",
            f"{reference[row.method] / row.timing.step:.2f}" if row.method in reference else "",
            f"{row.timing.peak / 1e9:.2f}",
            f"{row.flops / row.timing.step / 1e9:,.4g}",
            f"{row.flops / row.timing.step / ceilings.bf16:.1%}" if ceilings else "",
            f"{row.timing.first:.1f}",
        )
        for row in rows
        if row.timing
    ]

    # What it was measured with, the table, what is missing, and how to read it.
    known = f"Python {report.versions['python']}, PyTorch {report.versions['torch']}"
    if report.hardware["gpu"] is None:
        known += f", {report.hardware['threads']} threads"
    parts = [
        f"# Training on {report.device}",
        f"{report.date}; {known}. Models and schedules of the scale `{settings.scale}`, noise of "
        f"{settings.size} x {settings.size}, {settings.steps} steps after {settings.warm_up} of warm-up: the steps of "
        "`tpsm train`, in a process of their own. Weights are random, also the perceptual network's.",
        f"This GPU copies {ceilings.copy / 1e12:.2f} TB/s (read and written), and multiplies large bf16 matrices at "
        f"{ceilings.bf16 / 1e12:.0f} TFLOP/s."
        if ceilings
        else "",
        tabulate(cells, TITLES, tablefmt="pipe", disable_numparse=True, colalign=("left", "left", *["right"] * 8))
        if cells
        else "",
        "\n".join(f"- {row.method}, `{row.variant}` failed: {row.failed}." for row in rows if row.failed),
        f"## How to read this\n\n{READING}",
    ]
    return "\n\n".join(filter(None, parts))
