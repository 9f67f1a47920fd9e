"""metrics.json as cells: run -> protocol -> name -> estimate, a name such as `l1` or `animation/relative/aed`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from eval import metrics
from eval.metrics import Metric
from eval.scoring.controls import CONTROLS, DRIVING_CLIP, SOURCE_COPY
from tpsm.core.errors import UserError
from tpsm.core.reading import read_json


@dataclass(frozen=True, order=True)
class Key:
    run: str
    protocol: str
    name: str

    def __str__(self) -> str:
        return f"{self.run} / {self.protocol} / {self.name}"

    @property
    def metric(self) -> Metric:
        """Raises UserError where the code has none of that name."""
        return _metric(self.name.rpartition("/")[2])

    @property
    def is_control(self) -> bool:
        """What no model makes: it stays the same unless data, a metric or an evaluator change."""
        mode = self.name.split("/")[1] if "/" in self.name else ""
        return self.run in CONTROLS or mode in (SOURCE_COPY, DRIVING_CLIP)

    @property
    def kind(self) -> tuple[str, str, str]:
        """Cells of one kind share their noise's order of magnitude, relative to their value."""
        return self.protocol, self.name.partition("/")[0] if "/" in self.name else "", self.metric.name


@cache
def _metric(name: str) -> Metric:
    return metrics.load(name)[0]


@dataclass(frozen=True)
class Cell:
    mean: float
    clips: int
    frames: int


def read_cells(path: Path) -> dict[Key, Cell]:
    """A mean that is null or no number is NaN.

    Raises:
        UserError: the file is missing or of another form.
    """
    if not path.is_file():
        raise UserError(f"There is no {path.name} at {path.parent.as_posix()}; write the report first.")
    try:
        content = read_json(path, "report in numbers")
        return {
            Key(run, protocol, name): Cell(_number(values["mean"]), int(values["clips"]), int(values["frames"]))
            for run, protocols in content.items()
            for protocol, named in protocols.items()
            for name, values in named.items()
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path} is no metrics.json of a report ({type(error).__name__}: {error}).") from error


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)
