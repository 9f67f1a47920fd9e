"""The worked examples in the metrics' docstrings."""

from __future__ import annotations

import doctest
import importlib

import pytest

from eval import metrics


@pytest.mark.parametrize("name", metrics.names())
def test_the_examples_are_right(name: str) -> None:
    found = doctest.testmod(importlib.import_module(f"eval.metrics.{name}"))
    assert found.attempted and not found.failed
