"""The one exception that a user is meant to read, and optional packages, whose absence raises it."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType


class UserError(Exception):
    """Bad input: one sentence that names the file or the key, and what to do. Commands print it and exit with 2."""


@contextmanager
def working_on(what: str) -> Iterator[None]:
    """Whatever else than a UserError leaves the block says what was being worked on, from another process too."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        error.__dict__.setdefault("working_on", what)
        raise


def package(module: str, distribution: str, kind: str) -> ModuleType:
    """An optional package, imported when it is needed.

    Raises:
        UserError: it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise UserError(
            f"{kind} needs the package {distribution} ({error}); type `pip install {distribution}`."
        ) from error
