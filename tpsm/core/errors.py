"""`UserError`, the one exception that a user is meant to read, and the import of optional packages."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType


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
