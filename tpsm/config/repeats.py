"""Checks runs that repeat another one with another seed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from tpsm.core.errors import UserError

if TYPE_CHECKING:
    from tpsm.config.sections import RunConfig, RunSection


def check_names(sections: Mapping[str, RunSection], runs: tuple[str, ...], where: str) -> None:
    """Raises UserError unless every repeat among `runs` names another of them that is no repeat itself.

    `where` is the name of the file of parameters.
    """
    for run in runs:
        original = sections[run].repeat_of
        if original is None:
            continue
        if original not in runs:
            raise UserError(f"{where}.run.{run}.repeat_of is '{original}', which {where}.runs does not train.")
        if sections[original].repeat_of is not None:
            raise UserError(f"{where}.run.{run}.repeat_of is '{original}', itself a repeat; name what that repeats.")


def check_repeat(mine: RunConfig, original: RunConfig) -> None:
    """Raises UserError where a repeat of `original` differs from it in more than the seed, or in nothing."""
    where = f"params.yaml.run.{mine.run}"
    if original.frames is not None:
        raise UserError(f"{where}.repeat_of: a folder of frames is not trained, so there is no seed to change.")
    if mine.released is not None or original.released is not None:
        raise UserError(f"{where}.repeat_of: a released checkpoint is not trained, so there is no seed to change.")
    if mine.train.seed == original.train.seed:
        raise UserError(f"{where} repeats '{original.run}' with the same seed; set {where}.train.seed to another.")
    expected = replace(original, run=mine.run, train=replace(original.train, seed=mine.train.seed))
    for part in ("method", "model", "train", "origin"):
        if getattr(mine, part) != getattr(expected, part):
            raise UserError(
                f"{where} repeats '{original.run}', so nothing but train.seed may differ, and {part} does; write the "
                "two sections alike, or remove repeat_of."
            )


def seeds(sections: Mapping[str, RunSection], runs: Mapping[str, RunConfig]) -> dict[str, dict[str, int]]:
    """Returns, for each run that others repeat, its seed and theirs, by name."""
    found: dict[str, dict[str, int]] = {}
    for run, config in runs.items():
        original = sections[run].repeat_of
        if original is not None:
            found.setdefault(original, {original: runs[original].train.seed})[run] = config.train.seed
    return found
