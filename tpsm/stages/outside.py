"""Runs the stage outside, without which DVC would not see that something changed which lies outside this repository."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tpsm.core.errors import UserError
from tpsm.core.files import write_text
from tpsm.core.fingerprint import fingerprint, is_outside, outside
from tpsm.core.reading import read_yaml
from tpsm.core.schema import as_yaml

OUT = Path("outside.yaml")


def write_outside(params_file: Path, out: Path = OUT) -> None:
    """Writes what `params_file` names outside this repository, and how it is now: modules with their packages and
    hashes, and files and folders by their names, sizes and times.

    The stage configure depends on what is written. It is what judges: here nothing is refused.
    """
    values = read_yaml(params_file)
    datasets = values.get("datasets")
    names = [name for name in datasets if isinstance(name, str)] if isinstance(datasets, list) else []
    found: dict[str, Any] = {}
    for text in dict.fromkeys(_named(values)):
        paths = [Path(path) for path in dict.fromkeys(text.replace("{dataset}", name) for name in names or [""])]
        if there := [path for path in paths if path.exists()]:
            found[text] = fingerprint(*(_state(path) for path in there))
        elif is_outside(text) and all(part.isidentifier() for part in text.split(".")):
            found[text] = _module(text)
    write_text(out, as_yaml(found))


def _named(params: Mapping[str, Any]) -> Iterator[str]:
    """Yields every text that may name something from outside, of whatever form the sections are."""
    for run in _sections(params.get("run")):
        train = run.get("train")
        begin = train.get("from") if isinstance(train, Mapping) else None
        yield from _texts([run.get("method"), run.get("folder"), run.get("released"), begin])
    for evaluation in _sections(params.get("evaluation")):
        metrics, evaluators = evaluation.get("metrics"), evaluation.get("evaluators")
        yield from _texts(metrics if isinstance(metrics, list) else [])
        yield from _texts([one.get("kind") for one in _sections(evaluators)])


def _sections(values: Any) -> list[Mapping[str, Any]]:
    return [one for one in values.values() if isinstance(one, Mapping)] if isinstance(values, Mapping) else []


def _texts(values: list[Any]) -> list[str]:
    return [value for value in values if isinstance(value, str) and value]


def _module(name: str) -> Any:
    try:
        return asdict(outside(name))
    except UserError as error:  # `tpsm configure` says so, where a run needs it
        return str(error)


def _state(path: Path) -> list[Any]:
    files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    return [[file.as_posix(), file.stat().st_size, file.stat().st_mtime_ns] for file in files]
