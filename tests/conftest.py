"""Shapes and types of every public function are checked while the tests run (and only then)."""

import os
from multiprocessing import forkserver

import pytest
import torch
from hypothesis import settings
from jaxtyping import install_import_hook

install_import_hook(["tpsm", "baselines", "eval"], "beartype.beartype")
torch.set_num_threads(1 if "PYTEST_XDIST_WORKER" in os.environ else 2)  # several workers share the cores
settings.register_profile("any machine", deadline=None)  # an example may be slow where much else runs
settings.load_profile("any machine")


@pytest.fixture(scope="session")
def warm_workers() -> None:
    """Worker processes fork from one that has imported all they need, once for all tests."""
    forkserver.set_forkserver_preload(["tpsm.stages.train", "eval.stages.score", "eval.evaluators.heatmap"])
    forkserver.ensure_running()
