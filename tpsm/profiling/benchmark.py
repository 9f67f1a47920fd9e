"""Measures how fast each method trains and reconstructs on this machine, in each precision."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from itertools import product
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
from tpsm.core.schema import from_mapping, typed
from tpsm.inference.config import InferenceConfig
from tpsm.methods import METHODS, method_module
from tpsm.profiling.cost import count_work, in_all
from tpsm.profiling.timed_frames import TimedFrames, run_timed_frames
from tpsm.profiling.timing import (
    BLOCKS,
    Ceilings,
    TimedRun,
    Timing,
    as_file_name,
    measure_ceilings,
    run_in_subprocess,
    run_timed_steps,
)
from tpsm.training.config import TrainConfig

log = logging.getLogger(__name__)

# By name, what each changes of a schedule, and of how frames are computed.
VARIANTS: dict[str, dict[str, Any]] = {
    "fp32": {"precision": "fp32", "channels_last": False, "compile": False, "graph": False},
    "fp32-graphed": {"precision": "fp32", "channels_last": False, "compile": False, "graph": True},
    "bf16": {"precision": "bf16", "channels_last": False, "compile": False, "graph": False},
    "bf16-channels-last": {"precision": "bf16", "channels_last": True, "compile": False, "graph": False},
    "bf16-graphed": {"precision": "bf16", "channels_last": True, "compile": False, "graph": True},
    "bf16-compiled": {"precision": "bf16", "channels_last": True, "compile": True, "graph": False},
}
UNASKED = {"cuda": ("fp32", "bf16", "bf16-graphed", "bf16-channels-last", "bf16-compiled"), "cpu": ("fp32",)}
"""What is measured unless something else is asked for; what takes longest to begin comes last."""

PLAIN, RECONSTRUCTION, TRAINING = "plain", "reconstruction", "training"
COMPARED_WITH = {RECONSTRUCTION: PLAIN, TRAINING: "fp32"}
LONGEST = 120
"""Seconds that a row may take: as long before the end no other is begun."""

TITLES = {
    RECONSTRUCTION: ("method", "variant", "batch", "batches/s", "frames/s", "x plain"),
    TRAINING: ("method", "variant", "batch", "steps/s", "images/s", "x fp32"),
}
COLUMNS = ("peak, GB", "GFLOP/s", "of bf16", "first step, s")
READING = f"""\
- steps/s, batches/s: the median over blocks ({BLOCKS} where there are as many). images/s: frames drawn, one per pair.
- x fp32: how many times as fast as the method's row fp32.
- plain: as the released programs reconstruct, one frame at a time in fp32 with the source encoded anew for each; TPSMM
  in the released order, FOMM and MRAA with the source's keypoints found anew too. x plain: how many times as fast.
- graphed and compiled have channels last too. Frames go from the device's memory to the machine's, without files.
- peak: the most memory that tensors filled on a GPU; on a CPU, by how much the process grew.
- GFLOP/s: what convolutions and matrix products compute, as `tpsm cost` counts it, over the time of the whole step. In
  reconstruction that of the frames alone, also in the plain loop.
- of bf16: the share of what a large product of bf16 matrices reaches on the same GPU.
- first step: compiling and capturing included.
"""

Key = tuple[str, str, str]
"""Reconstruction or training, the method, and the variant."""


@dataclass(frozen=True)
class Settings:
    """What to measure. `batch` None is the scale's own; without `variants` it is those of `UNASKED`."""

    methods: tuple[str, ...] = tuple(METHODS)
    variants: tuple[str, ...] = ()
    scale: str = "vox"
    size: int = 256
    batch: int | None = None
    steps: int = 30

    def __post_init__(self) -> None:
        for kind, asked, known in (("method", self.methods, METHODS), ("variant", self.variants, VARIANTS)):
            if others := set(asked) - set(known):
                raise UserError(f"There is no {kind} '{min(others)}'; choose among {', '.join(known)}.")

    @property
    def warm_up(self) -> int:
        """How many steps come before those that are timed."""
        return max(2, self.steps // 10)

    def keys(self, variants: Sequence[str]) -> list[Key]:
        """Returns all rows, in their order: those first that others are compared with."""
        plain = list(product([RECONSTRUCTION], self.methods, [PLAIN]))
        return plain + [
            (work, method, variant) for variant in variants for work in COMPARED_WITH for method in self.methods
        ]


@dataclass(frozen=True)
class BenchmarkRow:
    """One variant of one method. `flops` are a step's, of `batch` frames or pairs; `failed` says why there is no
    timing."""

    method: str
    variant: str
    batch: int
    flops: float
    timing: Timing | None = None
    failed: str | None = None


@dataclass(frozen=True)
class Report:
    """What `bench.json` holds: in `rows` those of training. `ceilings` are a GPU's; `processes` says in which rows were
    measured."""

    device: str
    date: str
    code: dict[str, Any]
    hardware: dict[str, Any]
    versions: dict[str, str | None]
    settings: Settings
    ceilings: Ceilings | None
    rows: tuple[BenchmarkRow, ...] = ()
    reconstruction: tuple[BenchmarkRow, ...] = ()
    processes: str = "Each row was measured in a process of its own."

    @property
    def by_key(self) -> dict[Key, BenchmarkRow]:
        """Returns all rows, failed ones too."""
        works = {RECONSTRUCTION: self.reconstruction, TRAINING: self.rows}
        return {(work, row.method, row.variant): row for work, rows in works.items() for row in rows}

    def holding(self, rows: dict[Key, BenchmarkRow]) -> Report:
        """Returns the report with these rows in the place of its own."""
        of = {work: tuple(row for key, row in rows.items() if key[0] == work) for work in COMPARED_WITH}
        return replace(self, rows=of[TRAINING], reconstruction=of[RECONSTRUCTION])


def bench(params: Params, settings: Settings, out: Path, minutes: int = 10) -> Path:
    """Runs every method in every variant for some steps, and writes `out/<device>/{README.md, bench.json}`.

    The files are written after each row; one that was measured by the same commit with the same settings stays. None is
    begun in the last two of the `minutes`.

    Raises:
        UserError: a method, a variant or the scale is unknown, or a model does not fit the size.
    """
    ends = time.monotonic() + 60 * minutes - LONGEST
    if settings.scale not in params.scales:
        raise UserError(f"There is no scale '{settings.scale}'; choose among {', '.join(params.scales)}.")
    trials = {name: _trial(params, settings, name) for name in settings.methods}

    # What the rows are of, and those that were measured before.
    machine = hardware()
    name = machine["gpu"] or f"CPU {machine['cpu']}"
    folder = out / as_file_name(name)
    report = Report(
        name,
        datetime.now(UTC).date().isoformat(),
        code(),
        machine,
        versions() | {"torch": str(torch.__version__)},  # which names CUDA's
        settings,
        run_in_subprocess(measure_ceilings, None) if machine["gpu"] else None,
    )
    rows = _measured(folder / "bench.json", report)

    # A row after the other, as long as there is time.
    for work, method, variant in settings.keys(settings.variants or UNASKED[device().type]):
        key = work, method, variant
        if key not in rows and time.monotonic() < ends:
            rows[key] = _row(work, variant, trials[method])
        written = report.holding(rows)
        write_json(folder / "bench.json", asdict(written))
        write_text(folder / "README.md", page(written))
    return folder


def _measured(file: Path, report: Report) -> dict[Key, BenchmarkRow]:
    """Returns the rows of the report in `file`, where it is of the same commit, versions and settings; where it is not,
    it may have another form, and the log says that all is measured anew.

    Raises:
        UserError: the file is damaged.
    """
    if not file.is_file() or report.code["commit"] is None or report.code["changed"]:
        return {}
    content = typed(dict[str, Any], read_json(file, "report of a benchmark"), str(file))
    before = from_mapping(Report, content, str(file)) if content.get("code") == report.code else None
    if before is None or (before.versions, before.settings) != (report.versions, report.settings):
        log.info("%s is of another commit, other versions or settings: every row is measured anew.", file)
        return {}
    return {key: row for key, row in before.by_key.items() if row.timing is not None}


@dataclass(frozen=True)
class _Trial:
    """A method's training as the scale has it, with the operations of a pair and of a frame, 2 a multiply-add."""

    training: TimedRun
    pair: float
    frame: float


def _trial(params: Params, settings: Settings, name: str) -> _Trial:
    section = params.scales[settings.scale].get(name, MethodSection())
    where = f"scales.{settings.scale}.{name}"
    model = from_mapping(method_module(name).Config, section.model, f"{where}.model")
    train = from_mapping(TrainConfig, section.train, f"{where}.train")
    train = replace(train, batch=settings.batch or train.batch, accumulate=1)
    work = in_all(count_work(RunConfig("", "", name, settings.size, model, train)))
    training = TimedRun(name, model, settings.size, train, settings.steps, settings.warm_up)
    return _Trial(training, work.step.computed, work.frame.computed)


def _row(work: str, variant: str, trial: _Trial) -> BenchmarkRow:
    # What is to be timed, and what it computes.
    run = trial.training
    if work == TRAINING:
        train = replace(run.train, **VARIANTS[variant])
        counted = (run.method, variant, train.batch, train.batch * trial.pair)
        timed: tuple[Callable[[Any], Timing], Any] = run_timed_steps, replace(run, train=train)
    else:
        inference = None if variant == PLAIN else InferenceConfig(**VARIANTS[variant])
        frames = TimedFrames(run.method, run.model, run.size, inference, run.steps, run.warm_up)
        counted = (run.method, variant, frames.batch, frames.batch * trial.frame)
        timed = run_timed_frames, frames

    # Memory that does not suffice, or a compiler: the others' rows stand.
    try:
        found = run_in_subprocess(*timed)
    except RuntimeError as error:
        log.info("%s of %s, %s failed: %s", work, run.method, variant, error)
        return BenchmarkRow(*counted, failed=str(error))
    log.info("%s of %s, %s: %.3g images/s", work, run.method, variant, counted[2] / found.step)
    return BenchmarkRow(*counted, found)


def page(report: Report) -> str:
    """Returns README.md: what was measured, a table of reconstruction and one of training, and how to read them."""
    settings, ceilings = report.settings, report.ceilings
    known = f"Python {report.versions['python']}, PyTorch {report.versions['torch']}"
    if report.hardware["gpu"] is None:
        known += f", {report.hardware['threads']} threads"
    parts = [
        f"# Reconstruction and training on {report.device}",
        f"{report.date}; {known}. Models and schedules of the scale `{settings.scale}`, noise of "
        f"{settings.size} x {settings.size}, {settings.steps} steps after {settings.warm_up} of warm-up: batches as "
        "`tpsm reconstruct` draws them, and the steps of `tpsm train`. Weights are random, also the perceptual "
        f"network's. {report.processes}",
        f"This GPU copies {ceilings.copy / 1e12:.2f} TB/s (read and written), and multiplies large bf16 matrices at "
        f"{ceilings.bf16 / 1e12:.0f} TFLOP/s."
        if ceilings
        else "",
        *_section(report, RECONSTRUCTION),
        *_section(report, TRAINING),
        f"## How to read this\n\n{READING}",
    ]
    return "\n\n".join(filter(None, parts))


def _section(report: Report, work: str) -> list[str]:
    """Returns a table of the rows that were measured, what failed, and what has not been measured."""
    every, ceilings = report.by_key, report.ceilings
    rows = [row for key, row in every.items() if key[0] == work]

    # Each row beside its method's that it is compared with.
    images = {(row.method, row.variant): row.batch / row.timing.step for row in rows if row.timing}
    cells = []
    for row in rows:
        if row.timing:
            mine, reference = images[row.method, row.variant], images.get((row.method, COMPARED_WITH[work]))
            rate = row.flops / row.timing.step
            cells.append(
                (
                    *(row.method, row.variant, row.batch, f"{1 / row.timing.step:.3g}", f"{mine:.4g}"),
                    f"{mine / reference:.2f}" if reference else "",
                    *(f"{row.timing.peak / 1e9:.2f}", f"{rate / 1e9:,.4g}"),
                    f"{rate / ceilings.bf16:.1%}" if ceilings else "",
                    f"{row.timing.first:.1f}",
                )
            )
    aligned = ("left", "left", *["right"] * 8)
    titles = TITLES[work] + COLUMNS
    table = tabulate(cells, titles, tablefmt="pipe", disable_numparse=True, colalign=aligned) if cells else ""

    # What is missing.
    failed = "\n".join(f"- {row.method}, `{row.variant}` failed: {row.failed}." for row in rows if row.failed)
    missing: dict[str, list[str]] = {}
    for each, method, variant in report.settings.keys(UNASKED["cuda" if report.hardware["gpu"] else "cpu"]):
        if each == work and (each, method, variant) not in every:
            missing.setdefault(variant, []).append(method)
    told = [
        f"`{variant}`" if tuple(methods) == report.settings.methods else f"`{variant}` ({', '.join(methods)})"
        for variant, methods in missing.items()
    ]
    return [f"## {work.capitalize()}", table, failed, f"Not measured: {', '.join(told)}." if told else ""]
