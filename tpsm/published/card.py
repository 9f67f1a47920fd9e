"""Describes published weights: a file that params.yaml names, and a card beside it that says what made it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final

from tpsm.core.errors import UserError
from tpsm.core.files import sha256_if_there, to_json
from tpsm.core.provenance import Provenance
from tpsm.core.reading import read_json
from tpsm.core.schema import Step, from_mapping

FORMAT: Final = 1


@dataclass(frozen=True)
class Published:
    """The weight file that is taken in the place of training, with the SHA-256 of it and of its card.

    A hash is None where the file was not there.
    """

    file: str
    sha256: str | None
    card: str | None

    @staticmethod
    def at(file: Path) -> Published:
        """Returns the published `file`, with the hashes that it and its card have now."""
        return Published(file.as_posix(), sha256_if_there(file), sha256_if_there(card_of(file)))

    def unchanged(self) -> Path:
        """Returns the file. Raises UserError unless it and its card are there, and are those that were hashed."""
        path = Path(self.file)
        folder = path.parent.parent if path.parent.name == "avd" else path.parent
        now = Published.at(path)
        for missing in (p for p, sha256 in ((path, now.sha256), (card_of(path), now.card)) if sha256 is None):
            raise UserError(
                f"There is no {missing}: `tpsm publish` writes it from a trained run; or take the key that names "
                f"{folder} out of params.yaml, to train here."
            )
        if now != self:
            raise UserError(f"{self.file} has changed since `tpsm configure` read it; run that again.")
        return path


@dataclass(frozen=True)
class Card:
    """Says what is known of published weights.

    `method` is what they are weights of: a method, `avd`, or an evaluator's kind; `run` is the run, or the evaluator's
    role. `recipe` is the resolved section that decided the training, `steps` how many there were, `curve` its losses
    by name, thinned; `pixels` is a hash of the training clips' frames. `sha256` is that of the weight file.
    """

    format: int
    method: str
    run: str
    dataset: str
    steps: Step | None
    recipe: dict[str, Any]
    provenance: dict[str, Any]
    pixels: str
    sha256: str = ""
    curve: dict[str, tuple[float | None, ...]] | None = None

    def __post_init__(self) -> None:
        if self.format != FORMAT:
            raise ValueError(f"format: is {self.format}, and this version of the program reads {FORMAT}")
        required = {field.name for field in fields(Provenance) if field.default is MISSING}
        if missing := required - set(self.provenance):
            raise ValueError(f"provenance: lacks {min(missing)}")
        if not isinstance(data := self.provenance["data"], Mapping) or "sha256" not in data:
            raise ValueError("provenance: does not say on which data set the weights were trained")
        if len({len(column) for column in (self.curve or {}).values()}) > 1:
            raise ValueError("curve: its columns must be equally long")


def card_of(file: Path) -> Path:
    """Returns the file of the card beside a weight file."""
    return file.with_suffix(".json")


def read_card(path: Path) -> Card:
    """Reads a card. Raises UserError where it is missing, or says what no card can."""
    return from_mapping(Card, read_json(path, "card of published weights"), str(path))


def card_text(card: Card) -> str:
    """Returns a card as JSON."""
    return to_json(asdict(card))


def refuse_other(file: str, difference: str | None) -> None:
    """Raises UserError where there is a `difference` between what decided the file's training and params.yaml."""
    if difference is not None:
        raise UserError(
            f"{file} was trained otherwise: {difference}. Put that back, or train anew (`make train`) and publish "
            "(`tpsm publish`)."
        )


def difference(key: str, there: Any, here: Any) -> str | None:
    """Returns in which key a file's training differs from params.yaml, in words; None where it does not."""
    return None if there == here else f"{key} is {there!r} there and {here!r} in params.yaml"
