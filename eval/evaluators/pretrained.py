"""What pretrained evaluators share: verified weights, and a record of what was used in the place of a trained network.

The record (kind, settings, SHA-256 of every file of weights, versions of the packages) is
what stands in `evaluators/<data set>`: features are those of this file, and another version of anything makes another.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar, runtime_checkable

from eval.weights import Located, locate
from tpsm.core.errors import UserError
from tpsm.core.files import write_json
from tpsm.core.reading import read_json


@runtime_checkable
class PretrainedConfig(Protocol):
    """A frozen dataclass. `weights` is the folder of the files."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def kind(self) -> str: ...

    @property
    def weights(self) -> str: ...


class Pretrained:
    """`needs` are names of the manifest eval/weights.yaml, `packages` distributions whose version decides results.

    Raises:
        UserError: a file is absent or not the pinned one.
    """

    needs: ClassVar[tuple[str, ...]]
    packages: ClassVar[tuple[str, ...]]

    def __init__(self, config: PretrainedConfig) -> None:
        files = {name: locate(name, Path(config.weights)) for name in self.needs}
        settings = {key: value for key, value in dataclasses.asdict(config).items() if key not in ("kind", "weights")}
        self.describe(config.kind, settings, files)

    def describe(self, kind: str, settings: Mapping[str, Any], files: Mapping[str, Located]) -> None:
        """Makes the record of all that decides results."""
        self.files = {name: file.path for name, file in files.items()}
        self.record: dict[str, Any] = {
            "kind": kind,
            "settings": dict(settings),
            "weights": {name: file.sha256 for name, file in files.items()},
            "packages": {package: version(package) for package in self.packages},
        }

    def save(self, path: Path) -> None:
        write_json(path, self.record, indent=2, sort_keys=True)


C = TypeVar("C")
P = TypeVar("P", bound=Pretrained)


def train_and_load(kind: Callable[[C], P]) -> tuple[Callable[[C, Sequence[Path], str], P], Callable[[C, Path], P]]:
    """The functions `train` and `load` of a kind's file: there is nothing to train, and as little to load.

    Both raise UserError where the package is not installed or weights are not there; `load` also where the path records
    another evaluator than the one that the configuration makes.
    """
    return lambda config, clips, key: kind(config), lambda config, path: as_recorded(kind(config), path)


def as_recorded(evaluator: P, path: Path) -> P:
    """The evaluator, if `path` records the same.

    Raises:
        UserError: other weights, settings or packages stand there, and the features on disk are theirs.
    """
    try:
        recorded = read_json(path, "record of an evaluator")
    except UserError:  # a network that was trained, before the data set took a pretrained one
        recorded = None
    for key, here in evaluator.record.items():
        if (then := recorded.get(key) if isinstance(recorded, dict) else None) != here:
            raise UserError(
                f"{path.name} was made with other {key} ({_brief(then)}, now {_brief(here)}); run the stages "
                "evaluators and features again."
            )
    return evaluator


def _brief(value: Any) -> str:
    return json.dumps(value) if value is not None else "none"
