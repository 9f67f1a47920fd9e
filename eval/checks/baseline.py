"""The committed baseline of the gate: every cell's mean over honest re-runs, and how much it moves between them."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from eval.checks.cells import Cell, Key, read_cells
from eval.stats.noise import moderated, quantile
from tpsm.core.errors import UserError
from tpsm.core.files import sha256_of, write_text
from tpsm.core.reading import read_json
from tpsm.core.schema import from_mapping

log = logging.getLogger(__name__)

ROUNDING = 1e-6
"""metrics.json has six decimals: two roundings may make this difference."""
FLOAT_NOISE = 2e-4
"""Relative: a margin for sums in another order over the same weights, whatever the re-runs at hand show (chosen)."""
FALSE_ALARMS = 2.5e-3
"""The probability that an honest re-run fails, all cells together."""


@dataclass(frozen=True)
class Expected:
    """What an honest re-run gives: `mean` over `runs` of them, the standard deviation `sd` of one, known to `freedom`
    degrees (None: known outright)."""

    mean: float
    sd: float
    freedom: float | None
    runs: int
    clips: int
    frames: int

    @property
    def spread(self) -> float:
        """Of one more re-run about this mean, which is itself not known better."""
        return self.sd * math.sqrt(1 + 1 / self.runs)

    def tolerance(self, false_alarms: float) -> float:
        """How far an honest re-run may lie to one side."""
        return quantile(false_alarms, self.freedom) * self.spread + ROUNDING


@dataclass(frozen=True)
class Together:
    """The mean relative change of all trained runs in one metric: `sd` of one re-run."""

    sd: float
    freedom: float | None
    cells: int


@dataclass(frozen=True)
class Baseline:
    """`together` and `seeds` are by `protocol/metric`; the latter is the relative standard deviation between training
    seeds, for information. `ungated` are the runs that repeat another with another seed: they show how far seeds
    differ, and would count one method several times. `made_of` are the SHA-256 of the metrics.json files."""

    cells: dict[Key, Expected]
    together: dict[str, Together]
    seeds: dict[str, float]
    ungated: tuple[str, ...]
    made_of: dict[str, list[str]]

    @property
    def false_alarms(self) -> float:
        """Of one test: Bonferroni's share."""
        return FALSE_ALARMS / (len(self.cells) + len(self.together))


def measure(report: Path, repeats: Sequence[Path], seeds: Mapping[str, Collection[str]] | None = None) -> Baseline:
    """A baseline from a report's metrics.json and those of honest re-runs.

    `seeds` says which of the report's runs are the same but for the seed: run -> that run and its repeats.

    Raises:
        UserError: fewer than two repeats, a file or a run twice, or a cell that is missing or has no value.
    """
    if len(repeats) < 2:
        raise UserError("A baseline needs the metrics.json of two re-runs at least (--repeats), better of four.")
    refuse_equal([report, *repeats])
    groups = dict(seeds or {})
    ungated = tuple(run for original, group in groups.items() for run in group if run != original)
    whole = _complete(report)
    files = {report: _without(ungated, whole)} | {path: _without(ungated, _complete(path)) for path in repeats}
    for path, cells in files.items():
        if strange := cells.keys() ^ files[report].keys():
            raise UserError(f"{path} and {report} do not hold the same cells: {min(strange)} is in one alone.")
    _refuse_equal_runs(files)
    runs = [files[path] for path in (report, *repeats)]
    expected = _expected(runs)
    return Baseline(
        cells=dict(sorted(expected.items())),
        together=_together(expected),
        seeds=_between_seeds(whole, groups.values()),
        ungated=ungated,
        made_of={"report": [sha256_of(report)], "repeats": [sha256_of(path) for path in repeats]},
    )


def refuse_equal(paths: Sequence[Path]) -> None:
    """The same machine gives the same bits, which tells nothing of another's."""
    seen: dict[str, Path] = {}
    for path in paths:
        if path.is_file() and (twin := seen.setdefault(sha256_of(path), path)) != path:
            raise UserError(
                f"{path} and {twin} are equal to the last bit, so they say nothing of noise: take re-runs of other "
                "machines, numbers of threads or instruction sets."
            )


def _without(runs: Collection[str], cells: Mapping[Key, Cell]) -> dict[Key, Cell]:
    return {key: cell for key, cell in cells.items() if key.run not in runs}


def _refuse_equal_runs(files: Mapping[Path, Mapping[Key, Cell]]) -> None:
    """A run whose every number is another file's was not trained anew."""
    seen: dict[tuple[str, tuple[float, ...]], Path] = {}
    for path, cells in files.items():
        for run in dict.fromkeys(key.run for key in cells if not key.is_control):
            means = tuple(cell.mean for key, cell in sorted(cells.items()) if key.run == run and not key.is_control)
            if (twin := seen.setdefault((run, means), path)) != path:
                raise UserError(
                    f"{path} and {twin} hold the same numbers of {run}, which says nothing of noise: train it anew "
                    "where sums round otherwise."
                )


def _complete(path: Path) -> dict[Key, Cell]:
    cells = read_cells(path)
    for key, cell in cells.items():
        if not math.isfinite(cell.mean):
            raise UserError(f"{path}: {key} has no value, and cannot be part of a baseline.")
    return cells


def _kinds(cells: Mapping[Key, Cell], control: bool) -> list[list[Key]]:
    kinds: dict[tuple[str, str, str], list[Key]] = {}
    for key in cells:
        if key.is_control == control:
            kinds.setdefault(key.kind, []).append(key)
    return list(kinds.values())


def _expected(runs: Sequence[Mapping[Key, Cell]]) -> dict[Key, Expected]:
    """Trained cells and controls apart: the latter move with the evaluators alone."""
    values = {key: np.array([cells[key].mean for cells in runs]) for key in runs[0]}
    noise: dict[tuple[float, ...], tuple[float, float]] = {}
    for control in (False, True):
        # Equal in every re-run (controls of equal pairs), they are one number.
        kinds = [{tuple(values[key]) for key in kind if values[key].mean()} for kind in _kinds(runs[0], control)]
        distinct = [sorted(kind) for kind in kinds if kind]
        samples = [np.array([_relative_variance(np.array(numbers)) for numbers in kind]) for kind in distinct]
        for kind, (variances, freedom) in zip(distinct, moderated(samples, float(len(runs) - 1)), strict=True):
            noise |= {numbers: (math.sqrt(v), freedom) for numbers, v in zip(kind, variances, strict=True)}
    expected = {}
    for key, numbers in values.items():
        mean = float(numbers.mean())
        relative, freedom = noise.get(tuple(numbers), (FLOAT_NOISE, 0.0))
        known = relative <= FLOAT_NOISE * (1 + 1e-9)
        frames = min(cells[key].frames for cells in runs)
        sd = max(relative, FLOAT_NOISE) * abs(mean)
        expected[key] = Expected(mean, sd, None if known else freedom, len(runs), runs[0][key].clips, frames)
    return expected


def _relative_variance(values: np.ndarray) -> float:
    """No less than that of float noise, so that it has a logarithm."""
    return max(float((values / values.mean()).var(ddof=1)), FLOAT_NOISE**2)


def _together(expected: Mapping[Key, Expected]) -> dict[str, Together]:
    """By metric, over trained runs. What training adds to one run is independent of the others', so their mean is known
    the better, the more they are; what a retrained evaluator adds is not, and the copied source shows how much that is.
    """
    groups: dict[tuple[str, str], list[Expected]] = {}
    for key, cell in expected.items():
        if joins(key) and cell.mean:
            groups.setdefault((key.protocol, key.name), []).append(cell)
    found = {}
    for (protocol, name), cells in sorted(groups.items()):
        control = expected.get(Key("copy-source", protocol, name))
        if len(cells) > 1 and control is not None and control.mean:
            own = sum((cell.spread / cell.mean) ** 2 for cell in cells) / len(cells) ** 2
            shared = (control.spread / control.mean) ** 2
            known = all(cell.freedom is None for cell in cells)
            parts = [(own, None if known else float(sum(cell.runs - 1 for cell in cells))), (shared, control.freedom)]
            found[f"{protocol}/{name}"] = Together(math.sqrt(own + shared), _joint_freedom(parts), len(cells))
    return found


def _joint_freedom(parts: Sequence[tuple[float, float | None]]) -> float | None:
    """Of a sum of variances (Welch and Satterthwaite); None is a variance that is known."""
    doubt = sum(variance**2 / freedom for variance, freedom in parts if freedom is not None)
    return sum(variance for variance, _ in parts) ** 2 / doubt if doubt else None


def joins(key: Key) -> bool:
    """Whether the cell counts in the test of all runs together."""
    return not key.is_control and "/" not in key.name


def _between_seeds(cells: Mapping[Key, Cell], groups: Iterable[Collection[str]]) -> dict[str, float]:
    """Over the groups; what a repeat was not scored in (animation) is left out."""
    found: dict[str, list[float]] = {}
    names = dict.fromkeys((key.protocol, key.name) for key in cells)
    for group in groups:
        for protocol, name in names:
            means = np.array([cell.mean for run in group if (cell := cells.get(Key(run, protocol, name))) is not None])
            if len(means) == len(group) > 1 and means.any():
                found.setdefault(f"{protocol}/{name}", []).append(float((means / means.mean()).var(ddof=1)))
    return {name: round(math.sqrt(np.mean(variances)), 5) for name, variances in sorted(found.items())}


def write_baseline(path: Path, baseline: Baseline) -> None:
    cells: dict[str, Any] = {}
    for key, cell in baseline.cells.items():
        rounded = asdict(cell) | {"mean": round(cell.mean, 8), "sd": float(f"{cell.sd:.4g}")}
        rounded["freedom"] = None if cell.freedom is None else round(cell.freedom, 2)
        cells.setdefault(key.run, {}).setdefault(key.protocol, {})[key.name] = rounded
    together = {name: asdict(group) | {"sd": float(f"{group.sd:.4g}")} for name, group in baseline.together.items()}
    content = {
        "made_of": baseline.made_of,
        "cells": cells,
        "together": together,
        "seeds": baseline.seeds,
        "ungated": baseline.ungated,
    }
    write_text(path, json.dumps(content, indent=1, allow_nan=False) + "\n")


def read_baseline(path: Path) -> Baseline:
    """Raises UserError where it is missing or not what `write_baseline` wrote."""
    if not path.is_file():
        raise UserError(f"There is no {path.name} at {path.parent.as_posix()}; write one with `gate baseline`.")
    try:
        content = read_json(path, "baseline")
        cells = {
            Key(run, protocol, name): from_mapping(Expected, values, f"{path.name}: {run}.{protocol}.{name}")
            for run, protocols in content["cells"].items()
            for protocol, named in protocols.items()
            for name, values in named.items()
        }
        together = {name: from_mapping(Together, values, name) for name, values in content["together"].items()}
        ungated = tuple(content["ungated"])
        return Baseline(cells, together, dict(content["seeds"]), ungated, dict(content["made_of"]))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path} is no baseline ({type(error).__name__}: {error}); write it anew.") from error
