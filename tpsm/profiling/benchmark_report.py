"""The words and tables of the training benchmark."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tpsm.core.errors import UserError
from tpsm.methods import METHODS
from tpsm.profiling.peak import Ceilings
from tpsm.profiling.timing import BLOCKS, PROFILED, Timing

TITLES = (
    "",
    "steps/s",
    "images/s",
    "x fp32",
    "peak, GB",
    "{unit}/s",
    "of products",
    "of copying",
    "waiting",
    "first, s",
)


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


def page(report: Report) -> str:
    settings, best = report.settings, report.ceilings
    scale, unit = _unit(report)
    named = ", ".join(f"{name} {version}" for name, version in report.versions.items())
    products = [("fp32", best.fp32), ("TF32", best.tf32), ("bf16", best.bf16)]
    parts = [
        f"# Training on {report.device}",
        f"{report.date}; {named}. Models and schedules of the scale `{settings.scale}`, pictures of {settings.size} x "
        f"{settings.size} from `tpsm synthesize`, {settings.steps} steps after {report.warm_up} of warm-up: the steps "
        "that `tpsm train` takes, in a process of their own. Weights are random, also the perceptual network's.",
        "The device at its best, measured in the same run: products of large matrices "
        + ", ".join(f"{flops / scale:.3g} ({name})" for name, flops in products if flops)
        + f" {unit}/s; copying {best.copy / 1e9:.4g} GB/s, reading and writing.",
    ]
    for method in dict.fromkeys(row.method for row in report.rows):
        parts += _method(report, [row for row in report.rows if row.method == method])
    parts += ["## How to read this", _reading()]
    return "\n\n".join(parts) + "\n"


def _method(report: Report, rows: list[Row]) -> list[str]:
    scale, unit = _unit(report)
    first = rows[0]
    lines = [f"| {' | '.join(TITLES).format(unit=unit)} |", f"|---{'|--:' * (len(TITLES) - 1)}|"]
    for row in rows:
        if row.timing is not None:
            reference = first.timing.step / row.timing.step if first.timing else None
            lines.append(f"| {row.variant} | {' | '.join(_cells(report, row, row.timing, reference))} |")
    parts = [f"## {first.method}: batches of {first.batch}, {first.flops / scale:,.4g} {unit} a step", "\n".join(lines)]
    parts += [f"`{row.variant}`: {row.missing}." for row in rows if row.missing]
    for row in rows:
        if row.timing is not None and row.timing.operators:
            shown = [f"| {row.variant}: operators | ms a step | of the step | calls |", "|---|--:|--:|--:|"]
            for operator in row.timing.operators:
                share = operator.seconds / row.timing.step
                shown.append(
                    f"| `{operator.name}` | {1e3 * operator.seconds:.2f} | {share:.0%} | {operator.calls:.0f} |"
                )
            parts.append("\n".join(shown))
    return parts


def _cells(report: Report, row: Row, timing: Timing, reference: float | None) -> list[str]:
    kind, products = report.ceilings.convolutions("bf16" if row.variant.startswith("bf16") else "fp32")
    return [
        f"{1 / timing.step:.3g}",
        f"{row.batch / timing.step:.4g}",
        f"{reference:.2f}" if reference else "",
        f"{timing.peak / 1e9:.2f}",
        f"{row.flops / timing.step / _unit(report)[0]:,.3g}",
        f"{row.flops / timing.step / products:.1%} ({kind})",
        f"{timing.traffic / timing.step / report.ceilings.copy:.1%}",
        f"{timing.waiting / timing.step:.1%}",
        f"{timing.first:.1f}",
    ]


def _unit(report: Report) -> tuple[float, str]:
    return (1e12, "TFLOP") if report.ceilings.fp32 > 1e12 else (1e9, "GFLOP")


def _reading() -> str:
    lines = (
        f"steps/s: the median over blocks of steps ({BLOCKS} where there are as many), data included. "
        "images/s: pictures drawn, one a pair.",
        "x fp32: how many times as fast as fp32 without more ado.",
        "peak: the most memory that tensors filled on a GPU; on a CPU, by how much the process grew.",
        "FLOP/s: what convolutions and matrix products compute, as `tpsm cost` counts it, over the time of the whole "
        "step; 'of products' is its share of the ceiling in the type that convolutions compute in.",
        "of copying: what the step reads and writes if its operations run one by one, over its time, as a share of the "
        "ceiling. Compiled code moves less than this count; caches serve a part of it.",
        "waiting: the share of the time in which the loop had no batch yet. first: the first step, compiling included.",
        f"operators: those that take the most time, without the operators that they call; the mean of {PROFILED} steps "
        "under the profiler (which slows a CPU down), the device's time where it is a GPU.",
    )
    return "\n".join(f"- {line}" for line in lines)
