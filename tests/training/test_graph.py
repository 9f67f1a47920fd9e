"""Captured training steps draw the same numbers, and on a GPU they train as others do."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from tests.support.small_methods import CONFIGS
from tpsm.core.rng import BatchRng, BatchSlice
from tpsm.core.types import FramePair
from tpsm.methods import method_module
from tpsm.training.config import TrainConfig
from tpsm.training.distributed import launch
from tpsm.training.graph import StaticRng
from tpsm.training.optimizer import Optimiser


def test_numbers_that_stay_in_place_are_those_of_the_step() -> None:
    static = StaticRng(torch.device("cpu"))
    static.note(BatchRng(1))
    held = static.normal(3, 2), static.uniform(3)
    static.rewind()
    static.fill(BatchRng(2))
    again, fresh = (static.normal(3, 2), static.uniform(3)), BatchRng(2)
    assert all(a is b for a, b in zip(held, again, strict=True))
    assert torch.equal(again[0], fresh.normal(3, 2)) and torch.equal(again[1], fresh.uniform(3))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="captures need an NVIDIA GPU")
@pytest.mark.parametrize("name", ["tps", "fomm", "mraa"])
def test_replayed_steps_train_as_computed_ones(name: str) -> None:
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    batch, images = BatchSlice(0, 2, 2), torch.rand(2, 8, 2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    curves = []
    for graph in (False, True):
        torch.manual_seed(0)
        task = method_module(name).Model(CONFIGS[name]).train()
        optimiser = Optimiser(task, TrainConfig(batch=2, milestones=(1,), graph=graph), launch("fp32"))
        pairs = itertools.cycle([FramePair(a, b) for a, b in zip(*images, strict=True)])
        # Past the change of the rate, and past that of dropout.
        epochs = [0] * 8 + [1] * 8 + [50] * 8
        steps = [optimiser.step(pairs, [batch], epoch, step) for step, epoch in enumerate(epochs)]
        curves.append([math.fsum(float(value) for value in losses.values()) for losses in steps])
    assert curves[1] == pytest.approx(curves[0], rel=2e-3)
    assert curves[0][0] != pytest.approx(curves[0][-1], rel=2e-3)
