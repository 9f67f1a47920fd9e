"""Lists what params.yaml names outside this repository: else DVC would not see that something changed there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tpsm.core.errors import UserError, is_outside
from tpsm.core.files import write_text
from tpsm.core.fingerprint import fingerprint, outside
from tpsm.core.reading import read_yaml
from tpsm.core.schema import as_yaml

OUT = Path("outside.yaml")


def write_outside(params_file: Path, out: Path = OUT) -> None:
    """Writes what `params_file` names outside this repository, and how it is now: modules with their packages and
    hashes, and files and folders by their names, sizes and times.

    The stage configure depends on what is written. It is what judges: here nothing is refused.
    """
    values = read_yaml(params_file)
    datasets = _texts(values.get("datasets"))
    runs, evaluations = _sections(values.get("run")), _sections(values.get("evaluation"))
    found: dict[str, Any] = {}

    # Modules: methods, metrics, and kinds of evaluators.
    kinds = [one.get("kind") for evaluation in evaluations for one in _sections(evaluation.get("evaluators"))]
    listed = [name for evaluation in evaluations for name in _texts(evaluation.get("metrics"))]
    found |= {name: _module(name) for name in _texts([run.get("method") for run in runs] + listed + kinds)}

    # Files and folders: sent frames, released checkpoints, and what training begins with.
    paths = [run.get(key) for run in runs for key in ("folder", "released")]
    paths += [train.get("from") for run in runs if isinstance(train := run.get("train"), Mapping)]
    for text in _texts(paths):
        places = [Path(path) for path in dict.fromkeys(text.replace("{dataset}", name) for name in datasets or [""])]
        found[text] = fingerprint(*(_state(path) for path in places if path.exists()))
    write_text(out, as_yaml({name: state for name, state in found.items() if state is not None}))


def _sections(values: Any) -> list[Mapping[str, Any]]:
    return [one for one in values.values() if isinstance(one, Mapping)] if isinstance(values, Mapping) else []


def _texts(values: Any) -> list[str]:
    return [value for value in values if isinstance(value, str)] if isinstance(values, list) else []


def _module(name: str) -> Any:
    if not is_outside(name):
        return None
    try:
        return asdict(outside(name))
    except UserError as error:  # `tpsm configure` says so, where a run needs it
        return str(error)


def _state(path: Path) -> list[Any]:
    files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    return [[file.as_posix(), file.stat().st_size, file.stat().st_mtime_ns] for file in files]
