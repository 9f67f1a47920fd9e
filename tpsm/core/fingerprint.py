"""Computes hashes of values and of source files."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tpsm.core.files import sha256_of, sha256_of_bytes

TRAINING_CODE = (
    *("baselines", "tpsm/nn", "tpsm/methods", "tpsm/training", "tpsm/data/augment.py", "tpsm/data/pairs.py"),
    *("tpsm/core/rng.py", "tpsm/core/tensors.py", "tpsm/core/types.py"),
)
"""What decides a step of training, from the repository's root: the stages train and train-avd of dvc.yaml depend on the
same files and folders."""


def hashes_by_name(paths: Iterable[Path]) -> dict[str, str]:
    """Returns the SHA-256 of those of the files that exist, by file name."""
    return {path.name: sha256_of(path) for path in paths if path.is_file()}


def sha256_of_text(text: str) -> str:
    """Returns the SHA-256 of a text in UTF-8, in hexadecimal."""
    return sha256_of_bytes(text.encode())


def training_code_hash() -> str:
    """Returns the hash of every source file that can decide what a training step does."""
    root = Path(__file__).parents[2]
    tops = [root / name for name in TRAINING_CODE]
    files = [path for top in tops for path in ([top] if top.is_file() else sorted(top.rglob("*.py")))]
    return fingerprint(*((path.relative_to(root).as_posix(), path.read_text()) for path in files))


def fingerprint(*parts: Any) -> str:
    """Returns a hash of values, in 16 hexadecimal digits. A value that JSON does not know counts as its text."""
    return sha256_of_text(json.dumps(parts, sort_keys=True, default=str))[:16]


def code_hash(*packages: str) -> str:
    """Returns the SHA-256 of the names and contents of all source files of these packages."""
    lines = []
    for package in packages:
        spec = importlib.util.find_spec(package)
        assert spec is not None and spec.submodule_search_locations is not None
        for top in map(Path, spec.submodule_search_locations):
            for path in sorted(top.rglob("*.py")):
                lines.append(f"{package}/{path.relative_to(top).as_posix()} {sha256_of(path)}\n")
    return sha256_of_text("".join(lines))
