"""The training benchmark: how fast each method trains on this machine, beside what the machine can do at its best."""

from __future__ import annotations

import json
import logging
import os
import re
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path

from tpsm.config.sections import MethodSection, Params, RunConfig
from tpsm.core.device import device
from tpsm.core.errors import UserError
from tpsm.core.files import write_text
from tpsm.core.provenance import device_name, runtime_versions
from tpsm.core.schema import from_mapping
from tpsm.data.config import DataConfig
from tpsm.data.prepare import prepare
from tpsm.methods import method_module
from tpsm.profiling.benchmark_report import VARIANTS, Report, Row, Settings, page
from tpsm.profiling.cost import count_work, in_all
from tpsm.profiling.peak import measure_ceilings
from tpsm.profiling.timing import Trial, apart, take
from tpsm.sources.puppets.generate import synthesize
from tpsm.training.config import TrainConfig

log = logging.getLogger(__name__)


def bench(params: Params, settings: Settings, out: Path) -> Path:
    """Trains every method in every variant for some steps, and writes `out/<device>/{README.md, bench.json}`.

    Raises:
        UserError: a method, a variant or the scale is unknown, or a model does not fit the size.
    """
    if settings.scale not in params.scales:
        raise UserError(f"There is no scale '{settings.scale}'; choose among {', '.join(params.scales)}.")
    trials = [_trial(params, settings, name) for name in settings.methods]
    flops = [_flops(trial) for trial in trials]
    about = runtime_versions()
    log.info("Ceilings of %s", device_name())
    ceilings = apart(measure_ceilings, None)
    with tempfile.TemporaryDirectory() as scratch:
        clips = _clips(Path(scratch), settings.size)
        rows = [
            _row(replace(trial, clips=clips), variant, each, settings.variants)
            for trial, each in zip(trials, flops, strict=True)
            for variant in VARIANTS
        ]
    today = datetime.now(UTC).date().isoformat()
    report = Report(device_name(), today, about, settings, trials[0].warm_up, ceilings, tuple(rows))
    folder = out / re.sub(r"[^a-z0-9]+", "-", report.device.lower()).strip("-")
    write_text(folder / "bench.json", json.dumps(asdict(report), indent=1) + "\n")
    write_text(folder / "README.md", page(report))
    return folder


def _trial(params: Params, settings: Settings, name: str) -> Trial:
    section = params.scales[settings.scale].get(name, MethodSection())
    where = f"scales.{settings.scale}.{name}"
    model = from_mapping(method_module(name).Config, section.model, f"{where}.model")
    train = from_mapping(TrainConfig, section.train, f"{where}.train")
    train = replace(train, batch=settings.batch or train.batch, accumulate=1, workers=_workers(settings, train))
    warm_up = max(2, settings.steps // 10)
    return Trial(name, model, settings.size, train, settings.steps, warm_up, traffic=True, operators=settings.operators)


def _flops(trial: Trial) -> float:
    """A step's."""
    config = RunConfig("", "", trial.method, trial.size, trial.model, trial.train)
    return trial.train.batch * in_all(count_work(config)).step.computed


def _row(trial: Trial, variant: str, flops: float, asked: Sequence[str]) -> Row:
    train = replace(trial.train, **VARIANTS[variant])
    row = Row(trial.method, variant, train.batch, flops, missing=_skipped(variant, asked))
    if row.missing is None:
        try:
            timing = apart(take, replace(trial, train=train))
            row = replace(row, timing=timing)
            log.info("%s, %s: %.3g steps/s", trial.method, variant, 1 / timing.step)
        except RuntimeError as error:  # Memory that does not suffice, or a compiler: the others' rows stand.
            row = replace(row, missing=f"failed: {error}")
    if row.missing is not None:
        log.info("%s, %s: %s", trial.method, variant, row.missing)
    return row


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
        scratch / "raw", size=size, train_identities=4, test_identities=1, clips_per_identity=1, frames=6, seed=0
    )
    prepare("puppets", scratch / "raw", DataConfig(size=size), scratch / "clips")
    return scratch / "clips"
