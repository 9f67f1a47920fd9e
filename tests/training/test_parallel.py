"""What each process of a job computes, and how a job is started."""

import os
import sys

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tpsm.core.device import device
from tpsm.core.errors import UserError
from tpsm.core.rng import BatchRng, BatchSlice
from tpsm.training import distributed as parallel


@given(st.integers(1, 6), st.integers(0, 9), st.integers(0, 2**40))
def test_the_parts_draws_are_the_whole_batchs(count: int, more: int, seed: int) -> None:
    total = count + more
    parts = BatchSlice.split(total, count)
    sizes = [part.stop - part.start for part in parts]
    assert sum(sizes) == total and max(sizes) - min(sizes) <= 1
    whole, each = BatchRng(seed), [BatchRng(seed, part) for part in parts]
    for name in ("normal", "uniform", "normal"):
        expected = getattr(whole, name)(total, 3)
        got = [getattr(draws, name)(size, 3) for draws, size in zip(each, sizes, strict=True)]
        assert torch.equal(torch.cat(got), expected)


@pytest.mark.parametrize(("processes", "turns"), [(1, 1), (1, 4), (2, 2), (4, 1), (3, 2)])
def test_processes_and_turns_share_a_batch_out(processes: int, turns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", str(processes))
    taken = []
    for rank in range(processes):
        monkeypatch.setenv("RANK", str(rank))
        own = parallel.parts(8, turns)
        assert len(own) == turns
        taken += [row for part in own for row in range(8)[part.rows]]
    assert taken == list(range(8))


def test_more_processes_than_samples_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(UserError, match=r"train.batch: 5 samples are too few for 3 processes x 2 turns"):
        parallel.parts(5, 2)


def test_all_gpus_are_used_once(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[list[str]] = []
    monkeypatch.setattr(os, "execv", lambda path, arguments: started.append([path, *arguments]))
    monkeypatch.delenv("RANK", raising=False)
    monkeypatch.setattr(sys, "argv", ["tpsm", "train", "--run", "tps"])
    for gpus in (0, 1, 4):
        monkeypatch.setattr(torch.cuda, "device_count", lambda gpus=gpus: gpus)
        parallel.use_all_gpus(batch=28, accumulate=1)
    assert len(started) == 1
    assert started[0][:2] == [sys.executable, sys.executable]
    assert " ".join(started[0][2:]).endswith("--standalone --nproc-per-node 4 -m tpsm train --run tps")
    # Two samples a process and turn at least: 6 take three GPUs, or, in two turns, one.
    parallel.use_all_gpus(batch=6, accumulate=1)
    assert "--nproc-per-node 3 " in " ".join(started[1])
    parallel.use_all_gpus(batch=6, accumulate=2)
    monkeypatch.setenv("RANK", "0")  # torchrun's own
    parallel.use_all_gpus(batch=28, accumulate=1)
    assert len(started) == 2


class _Type(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(2, 2)

    def forward(self, numbers: torch.Tensor) -> tuple[torch.Tensor, bool]:
        return numbers, self.layer(numbers).dtype == torch.bfloat16


def test_in_bf16_pictures_come_in_unrounded() -> None:
    model = _Type()
    wrapped, _ = parallel.launch("bf16").setup(model, torch.optim.Adam(model.parameters()))
    third = torch.full((1, 2), 1 / 3, device=device())
    seen, in_bf16 = wrapped(third)
    assert torch.equal(seen, third) and in_bf16
