"""`UserError`, the one exception that a user is meant to read, and the import of what may not be there."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import Any


class UserError(Exception):
    """Says what is wrong with the input: one sentence that names the file or the key, and what to do.

    Commands print it and exit with status 2.
    """


@contextmanager
def working_on(what: str) -> Iterator[None]:
    """Notes in any exception but a `UserError` that leaves the block what was being worked on.

    The note survives the way from one process to another.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        error.__dict__.setdefault("working_on", what)
        raise


def package(module: str, distribution: str, kind: str) -> ModuleType:
    """Imports an optional package when it is needed. Raises UserError where the package is not installed."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise UserError(
            f"{kind} needs the package {distribution} ({error}); type `pip install {distribution}`."
        ) from error


def is_outside(name: str) -> bool:
    """Whether `name` is that of a module from outside, which has a dot in it; those of this repository have none."""
    return "." in name


def outside_module(name: str, defines: Sequence[str], page: str) -> Any:
    """Imports the module `name`, which must define the names `defines`.

    Raises:
        UserError: it cannot be imported, or lacks one of the names; `page` of docs/ says what they are.
    """
    try:
        module = importlib.import_module(name)
    except Exception as error:  # whatever another's code raises
        raise UserError(unusable(name, error)) from error
    for missing in (one for one in defines if not hasattr(module, one)):
        raise UserError(
            f"The module {name} does not define {missing}; it must define {' and '.join(defines)} ({page})."
        )
    return module


def unusable(name: str, error: Exception) -> str:
    """Returns the sentence that says why the module `name` from outside cannot be imported, and what to do."""
    reason = f"{type(error).__name__}: {error}".split("\n")[0][:200]
    return (
        f"The module {name} cannot be imported ({reason}); install its package in this environment, or name the folder "
        "that the package lies in under PYTHONPATH."
    )
