"""Computes hashes of values, source files, folders, and of modules from outside this repository."""

from __future__ import annotations

import ast
import importlib.util
import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.machinery import ModuleSpec
from importlib.metadata import packages_distributions, version
from pathlib import Path
from typing import Any

from tpsm.core.errors import UserError, is_outside, unusable
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


def folder_hash(folder: Path) -> str:
    """Returns the SHA-256 of the names and contents of all files in and below `folder`; hidden ones do not count."""
    names = sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    shown = [name for name in names if not any(part.startswith(".") for part in name.parts)]
    return sha256_of_text("".join(f"{name.as_posix()} {sha256_of(folder / name)}\n" for name in shown))


@dataclass(frozen=True)
class Outside:
    """What is known of a module from outside: its package, that package's version where it has one, and a hash of the
    module's source and of all that it imports from its package."""

    package: str
    version: str | None
    sha256: str


def outside(name: str) -> Outside:
    """Returns what is known of the module `name`, which need not have been imported.

    Raises:
        UserError: it, or a package that it lies in, cannot be found, read or imported.
    """
    top = name.partition(".")[0]
    try:
        lines = [f"{module} {sha256_of(file)}\n" for module, file in sorted(_sources(name))]
    except Exception as error:  # the import of a package runs another's code
        raise UserError(unusable(name, error)) from error
    package = next(iter(packages_distributions().get(top, ())), None)
    own = getattr(sys.modules.get(top), "__version__", None)
    found = version(package) if package else own if isinstance(own, str) else None
    return Outside(package or top, found, sha256_of_text("".join(lines)))


def outside_parts(names: Iterable[str]) -> dict[str, Outside]:
    """Returns what is known of each of `names` that is a module from outside."""
    return {name: outside(name) for name in sorted(set(names)) if is_outside(name)}


def _sources(name: str) -> Iterator[tuple[str, Path]]:
    """Yields the file of a module, of the packages above it, and of all that these import from the same package."""
    seen, waiting = set(), [name]
    if importlib.util.find_spec(name) is None:
        raise ModuleNotFoundError(f"No module named {name!r}")
    while waiting:
        module = waiting.pop()
        if module in seen or module.partition(".")[0] != name.partition(".")[0]:
            continue
        seen.add(module)
        waiting.append(module.rpartition(".")[0] or module)
        spec = _spec(module)
        if spec is not None and spec.origin is not None and Path(spec.origin).is_file():
            yield module, Path(spec.origin)
            if spec.origin.endswith(".py"):
                waiting += _imports(ast.parse(Path(spec.origin).read_bytes()), spec.parent or "")


def _spec(module: str) -> ModuleSpec | None:
    try:
        return importlib.util.find_spec(module)
    except ModuleNotFoundError:  # what is imported from a module that is no package: a class, or a function
        return None


def _imports(tree: ast.Module, package: str) -> Iterator[str]:
    """Yields all that a source in `package` imports, and what of it may be a module in its turn."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = importlib.util.resolve_name("." * node.level + (node.module or ""), package)
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)
