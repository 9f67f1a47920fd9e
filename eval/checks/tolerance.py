"""How far a number may lie from the committed one: as far as other kernels and numbers of threads move it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from eval.checks.cells import Cell, Key
from tpsm.core.errors import UserError
from tpsm.core.files import write_json
from tpsm.core.reading import read_json

ROUNDING = 1e-6
"""metrics.json has six decimals: two roundings may make this difference."""
MARGIN = 3.0
"""Times the largest difference that was measured: there are machines on which nothing was."""
LEAST, UNMEASURED = 1e-4, 1e-3
"""Of a number: what is always allowed, and what is where its kind was not measured."""


@dataclass(frozen=True)
class Tolerance:
    """`noise` is the largest difference seen between numbers of the same weights, by kind of cell."""

    noise: Mapping[str, float]

    def of(self, key: Key, number: float) -> float:
        """How far this number of the cell `key` may move, either way."""
        seen = self.noise.get(key.kind)
        share = UNMEASURED if seen is None else LEAST
        return ROUNDING + max(share * abs(number), MARGIN * (seen or 0.0))


def measure(reports: Mapping[str, Mapping[Key, Cell]]) -> Tolerance:
    """From reports of the same weights, by name: made on other machines, or with other kernels or numbers of threads.

    Raises:
        UserError: there are fewer than two, or they differ in more than rounding.
    """
    if len(reports) < 2:
        raise UserError("gate measure: name two files at least, the metrics.json of reports of the same weights.")
    noise: dict[str, float] = {}
    for (one, cells), (other, others) in combinations(reports.items(), 2):
        if strange := cells.keys() ^ others.keys():
            raise UserError(f"{min(strange)} is in one of {one} and {other} alone; measure reports of the same runs.")
        for key, cell in cells.items():
            twin = others[key]
            if (cell.clips, cell.frames) != (twin.clips, twin.frames) or _gaps(cell) != _gaps(twin):
                raise UserError(f"Other frames count for {key} in {one} than in {other}: that is more than rounding.")
            apart = [abs(number - twin.numbers[name]) for name, number in cell.numbers.items()]
            noise[key.kind] = max([noise.get(key.kind, 0.0), *(value for value in apart if not math.isnan(value))])
    return Tolerance(noise)


def _gaps(cell: Cell) -> list[str]:
    return [name for name, number in cell.numbers.items() if math.isnan(number)]


def in_words(tolerance: Tolerance, cells: Mapping[Key, Cell]) -> list[str]:
    """A line for each kind of cell: its noise, and what change of which run's mean is then found."""
    lines = []
    for kind, noise in sorted(tolerance.noise.items()):
        means = {key: cell.mean for key, cell in cells.items() if key.kind == kind and cell.mean}
        limits = sorted((tolerance.of(key, mean) / abs(mean), key.run) for key, mean in means.items())
        found = f", a run fails from {limits[0][0]:.2%} to {limits[-1][0]:.2%} ({limits[-1][1]}) on" if limits else ""
        lines.append(f"{kind}: differs by up to {noise:.2g}{found}")
    return lines


def write_tolerance(path: Path, tolerance: Tolerance, made_of: Sequence[str]) -> None:
    """`made_of` are the SHA-256 of the files that were compared."""
    noise = {kind: float(f"{value:.2g}") for kind, value in sorted(tolerance.noise.items())}
    write_json(path, {"made_of": list(made_of), "noise": noise})


def read_tolerance(path: Path) -> Tolerance:
    """Nothing is measured where there is no file. Raises UserError where it is not what `write_tolerance` wrote."""
    if not path.is_file():
        return Tolerance({})
    try:
        noise = read_json(path, "file of tolerances")["noise"]
        return Tolerance({kind: float(value) for kind, value in noise.items()})
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"{path} holds no tolerances ({type(error).__name__}: {error}); write it by `python -m eval gate measure`."
        ) from error
