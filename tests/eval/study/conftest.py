"""A study of a small pipeline's runs, made once for each file of tests."""

from __future__ import annotations

import pytest
from small_study import make, make_runs

from tpsm.core.layout import Layout


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Layout:
    layout = make_runs(tmp_path_factory.mktemp("study"))
    assert make(layout) == 0
    return layout
