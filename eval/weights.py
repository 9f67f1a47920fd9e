"""Weights of evaluators that are not trained here: which there are, whether they are there, and how to get them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tpsm.core.errors import UserError
from tpsm.core.files import sha256_of
from tpsm.downloads.pinned import FOLDER, Weights, fetch, read_weights, training_weights

log = logging.getLogger(__name__)

MANIFEST = Path(__file__).with_name("weights.yaml")


@dataclass(frozen=True)
class Located:
    """A verified file. `sha256` is the file's own, in full."""

    path: Path
    sha256: str


@cache
def entries() -> dict[str, Weights]:
    """Name -> what is known of it: the manifest, and the two that training may need."""
    return read_weights(MANIFEST) | training_weights()


def entry(name: str) -> Weights:
    if name not in entries():
        raise UserError(f"There are no weights '{name}'; choose among {', '.join(entries())}.")
    return entries()[name]


def locate(name: str, folder: Path = FOLDER) -> Located:
    """The file, verified.

    Raises:
        UserError: it is absent or is not the pinned file; the message says what to type.
    """
    wanted = entry(name)
    path = folder / wanted.file
    if not path.is_file():
        raise UserError(f"There is no {path}; type `{command(name, folder)}` to fetch it ({_restrictions(wanted)}).")
    sha256 = sha256_of(path)
    if not sha256.startswith(wanted.sha256):
        raise UserError(
            f"{path} is not the pinned file, its SHA-256 does not begin with {wanted.sha256}; type "
            f"`{command(name, folder)}` to keep it aside and fetch the right one."
        )
    return Located(path, sha256)


def absent(names: Sequence[str]) -> list[str]:
    """What to type for those of the files that are not there."""
    return [command(name, FOLDER) for name in names if entry(name).state(FOLDER) != "present"]


def command(name: str, folder: Path) -> str:
    return f"python -m eval weights fetch {name}" + ("" if folder == FOLDER else f" --folder {folder}")


def fetch_all(names: Sequence[str], folder: Path) -> None:
    """Fetches and verifies each file that is not there yet.

    Raises:
        UserError: a name is unknown, no source is in reach, or what it gives is not the pinned file.
    """
    if not names:
        raise UserError(f"Name what to fetch: python -m eval weights fetch {' '.join(entries())}")
    chosen = {name: entry(name) for name in names}
    for name, wanted in chosen.items():
        log.info("%s -> %s (%s)", name, fetch(wanted, folder), _restrictions(wanted))


def listing(folder: Path) -> str:
    """A paragraph for each file: is it there, how large, what for, under what terms, from where."""
    return "\n\n".join(_described(name, wanted, folder) for name, wanted in entries().items())


def _described(name: str, wanted: Weights, folder: Path) -> str:
    state = wanted.state(folder)
    size = "size not published" if wanted.size is None else f"{wanted.size / 1e6:.1f} MB"
    pinned = "" if len(wanted.sha256) == 64 else ", all that its publisher pins"
    lines = [
        f"{name}: {state}, {size}",
        wanted.about,
        f"file     {folder / wanted.file}",
        f"licence  {_restrictions(wanted)}",
        f"sha256   {wanted.sha256}{pinned}",
        *(f"from     {source}" for source in wanted.sources),
    ]
    if state != "present":
        lines.append(f"fetch    {command(name, folder)}")
    return "\n  ".join(lines)


def _restrictions(wanted: Weights) -> str:
    return "; ".join(filter(None, (wanted.licence, wanted.use)))
