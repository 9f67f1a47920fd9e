"""key.json: what un-blinds the page. The experimenter keeps it, and raters never see it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import combinations
from pathlib import Path
from typing import Annotated, Literal

from annotated_types import MaxLen, MinLen

from tpsm.core.animation import Mode
from tpsm.core.errors import UserError
from tpsm.core.files import write_json
from tpsm.core.layout import check_name
from tpsm.core.reading import read_json
from tpsm.core.schema import from_mapping

QUESTIONS = ("continuity", "authenticity")
REAL, BROKEN = "real", "broken"


@dataclass(frozen=True)
class Item:
    """Two videos that are compared on a clip. `videos`: token -> run, or REAL and BROKEN where it checks attention."""

    id: str
    clip: str
    videos: Annotated[dict[str, str], MinLen(2), MaxLen(2)]

    @cached_property
    def right_answer(self) -> str | None:
        """The token that an attentive rater chooses; None where there is no right answer."""
        return next((token for token, run in self.videos.items() if run == REAL), None)


@dataclass(frozen=True)
class Shown:
    """An item as a sheet places it: the token of the video on the left."""

    item: str
    left: str


@dataclass(frozen=True)
class Key:
    """`study` is the token that page, key and votes share; `runs`: run -> what tables call it."""

    study: str
    dataset: str
    mode: Mode
    runs: dict[str, str]
    items: tuple[Item, ...]
    sheets: tuple[tuple[Shown, ...], ...]
    format: Literal[1] = 1

    def __post_init__(self) -> None:
        check_name(self.dataset, "A key's dataset")
        for run in self.runs:
            check_name(run, "A run of a key")
        known = {*self.runs, REAL, BROKEN}
        for item in self.items:
            if unknown := set(item.videos.values()) - known:
                raise ValueError(f"items: '{item.id}' shows '{min(unknown)}', which is not among the runs")
        for sheet in self.sheets:
            for shown in sheet:
                if shown.item not in self.by_id or shown.left not in self.by_id[shown.item].videos:
                    raise ValueError(f"sheets: '{shown.item}' is no item with the video '{shown.left}'")

    @cached_property
    def by_id(self) -> Mapping[str, Item]:
        return {item.id: item for item in self.items}

    @cached_property
    def clips(self) -> tuple[str, ...]:
        """The clips on which runs are compared, sorted."""
        return tuple(sorted({item.clip for item in self.items if item.right_answer is None}))

    def pairs(self) -> Iterator[tuple[str, str]]:
        """Every two runs, once."""
        return combinations(self.runs, 2)

    def write(self, path: Path) -> None:
        write_json(path, asdict(self))


def read_key(path: Path) -> Key:
    """Reads a key. Raises UserError where it is missing, or is none."""
    if not path.is_file():
        raise UserError(f"There is no key {path}; `python -m eval study make` writes it beside the page.")
    return from_mapping(Key, read_json(path, "key of a study"), str(path))
