"""metrics.json as cells: run -> protocol -> name -> estimate, a name such as `l1` or `animation/relative/aed`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from tpsm.core.errors import UserError
from tpsm.core.reading import parse_json


@dataclass(frozen=True, order=True)
class Key:
    run: str
    protocol: str
    name: str

    def __str__(self) -> str:
        return f"{self.run} / {self.protocol} / {self.name}"

    @property
    def kind(self) -> str:
        """Cells of one kind, of whatever run, move alike when sums round otherwise."""
        return f"{self.protocol}/{self.name}"


@dataclass(frozen=True)
class Cell:
    """A mean and its interval; NaN where metrics.json has null."""

    mean: float
    low: float
    high: float
    clips: int
    frames: int

    @property
    def numbers(self) -> dict[str, float]:
        return {"mean": self.mean, "low": self.low, "high": self.high}


def read_cells(text: str, where: str) -> dict[Key, Cell]:
    """Raises UserError, which names `where`, if the text is no metrics.json."""
    try:
        return {
            Key(run, protocol, name): Cell(
                mean=_number(values["mean"]),
                low=_number(values["low"]),
                high=_number(values["high"]),
                clips=int(values["clips"]),
                frames=int(values["frames"]),
            )
            for run, protocols in parse_json(text).items()
            for protocol, named in protocols.items()
            for name, values in named.items()
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{where} is no metrics.json of a report ({type(error).__name__}: {error}).") from error


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)
