"""The papers' own numbers, each with how far it was checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from tpsm.core.errors import UserError
from tpsm.core.reading import read_yaml
from tpsm.core.schema import from_mapping

FILE = Path(__file__).with_name("published.yaml")
MARKS = {"recalled": "†", "elsewhere": "‡"}
LEGEND = (
    "Published: L1 (AKD, MKR) AED as the papers print them. "
    f"{MARKS['recalled']} recalled, not checked against the paper. "
    f"{MARKS['elsewhere']} measured on another data set and by other evaluators: only the order of the "
    "methods may be compared with the numbers beside it. "
    "n/a: the value was not found."
)


@dataclass(frozen=True)
class PublishedRow:
    """One paper's numbers for one method, as printed; None where it prints none."""

    paper: str
    status: Literal["seen", "recalled"]
    l1: str | None = None
    akd: str | None = None
    mkr: str | None = None
    aed: str | None = None

    def text(self, *, elsewhere: bool) -> str:
        """Such as `.055 (6.62, .031) .164† [TPSMM Table 1]`."""
        l1, akd, mkr, aed = (value or "n/a" for value in (self.l1, self.akd, self.mkr, self.aed))
        marks = (MARKS["recalled"] if self.status == "recalled" else "") + (MARKS["elsewhere"] if elsewhere else "")
        return f"{l1} ({akd}, {mkr}) {aed}{marks} [{self.paper}]"


@dataclass(frozen=True)
class PublishedSet:
    """`datasets` are the data sets' names in params.yaml for which the numbers speak of the same data, which then has
    `test_clips` (None: not known); `evaluators` are the kinds, by role, that are the papers' own."""

    title: str
    datasets: tuple[str, ...]
    rows: dict[str, tuple[PublishedRow, ...]]
    test_clips: int | None = None
    evaluators: dict[str, str] = field(default_factory=dict)

    def text(self, rows: Sequence[PublishedRow], dataset: str) -> str:
        """Every paper's numbers for a run; 'n/a' where none was found."""
        return "; ".join(row.text(elsewhere=dataset not in self.datasets) for row in rows) or "n/a"


def read_published(name: str, key: str) -> PublishedSet:
    """The set `name`; `key` is where params.yaml names it, for the message."""
    sets = read_yaml(FILE)
    if name not in sets:
        raise UserError(f"{key} is '{name}'; choose one of {', '.join(sets)} (eval/tables/published.yaml), or null.")
    return from_mapping(PublishedSet, sets[name], f"{FILE.name}.{name}")
