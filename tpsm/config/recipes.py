"""Compares what decided a training, as a card records it, with what params.yaml says today."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from tpsm.config.sections import AvdSection, RunConfig
from tpsm.core.schema import from_mapping, plain
from tpsm.data.config import DataConfig
from tpsm.methods import method_module
from tpsm.methods.avd_config import AvdConfig
from tpsm.published.card import difference
from tpsm.training.config import PLUMBING, TrainConfig


def run_recipe(config: RunConfig, data: DataConfig) -> dict[str, Any]:
    """Returns what decides the training of a run."""
    return plain({"data": asdict(data), "model": asdict(config.model), "train": asdict(config.train)})


def avd_recipe(section: AvdSection, method_sha256: str | None) -> dict[str, Any]:
    """Returns what decides the training of an AVD network; `method_sha256` is that of its run's last.pt."""
    return plain({"model": asdict(section.model), "train": asdict(section.train), "last.pt": method_sha256})


def run_difference(mine: Mapping[str, Any], recipe: Mapping[str, Any], method: str, where: str) -> str | None:
    """Names the first key in which the recipe of a card differs from `mine`; None where they decide the same.

    Keys that are newer than the card count as their defaults. Raises UserError where the card has unknown ones.
    """
    model = asdict(from_mapping(method_module(method).Config, recipe.get("model"), f"{where}: recipe.model"))
    data = asdict(from_mapping(DataConfig, recipe.get("data"), f"{where}: recipe.data"))
    theirs = {"data": data, "model": model, "train": _schedule(recipe, where)}
    return _difference(_decisive(mine), _decisive(plain(theirs)))


def avd_difference(mine: Mapping[str, Any], recipe: Mapping[str, Any], where: str) -> str | None:
    """Does the same as `run_difference` for the recipe of an AVD network."""
    model = asdict(from_mapping(AvdConfig, recipe.get("model"), f"{where}: recipe.model"))
    theirs = {"model": model, "train": _schedule(recipe, where), "last.pt": recipe.get("last.pt")}
    return _difference(_decisive(mine), _decisive(plain(theirs)))


def _schedule(recipe: Mapping[str, Any], where: str) -> dict[str, Any]:
    return asdict(from_mapping(TrainConfig, recipe.get("train"), f"{where}: recipe.train"))


def _decisive(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """Leaves out what decides no result, and VGG-19's file, which nobody needs who does not train."""
    decisive = {key: dict(value) if isinstance(value, Mapping) else value for key, value in recipe.items()}
    for key in PLUMBING:
        decisive["train"].pop(key)
    if "perceptual" in decisive["model"]:
        decisive["model"]["perceptual"] = {**decisive["model"]["perceptual"], "file": None, "sha256": None}
    return decisive


def _difference(mine: Any, theirs: Any, key: str = "") -> str | None:
    if isinstance(mine, Mapping) and isinstance(theirs, Mapping):
        for name in sorted(mine.keys() | theirs.keys()):
            if found := _difference(mine.get(name), theirs.get(name), f"{key}.{name}" if key else name):
                return found
        return None
    return difference(key, theirs, mine)
