"""Distributes training: one process per GPU, started by torchrun and joined by Lightning Fabric."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist

from tpsm.core.device import device, local_processes, rank, world_size
from tpsm.core.errors import UserError
from tpsm.core.rng import BatchSlice
from tpsm.training.config import Precision

if TYPE_CHECKING:
    from lightning_fabric import Fabric

# What Fabric calls them. In bf16 weights stay in fp32, and so do coordinates (tpsm.nn.precision).
PRECISIONS: dict[Precision, Any] = {"fp32": "32-true", "bf16": "bf16-mixed"}


def use_all_gpus(batch: int, accumulate: int) -> None:
    """Replaces this process by torchrun with the same command on every GPU in sight, if there are several.

    Every process gets at least two samples per turn, for batch statistics; so a small batch takes fewer GPUs. Within
    torchrun it does nothing.
    """
    processes = min(torch.cuda.device_count(), batch // (2 * accumulate))
    if "RANK" in os.environ or processes < 2:
        return
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    os.execv(sys.executable, [*torchrun, "-m", "tpsm", *sys.argv[1:]])


def launch(precision: Precision) -> Fabric:
    """Returns Fabric on this process's device, joined with the other processes of the job."""
    from lightning_fabric import Fabric  # Here: it takes seconds, and only training needs it.
    from lightning_fabric.plugins import MixedPrecision
    from lightning_fabric.strategies import DDPStrategy

    class Autocast(MixedPrecision):
        """Leaves images as they are: Fabric would round them, and what is computed from them."""

        def convert_input(self, data: Any) -> Any:
            return data

    if device().type == "cuda":
        torch.backends.cudnn.benchmark = True  # every step has the same shapes
    processes = local_processes()
    fabric = Fabric(
        accelerator=device().type,
        devices=processes,
        num_nodes=world_size() // processes,
        # A part of a model may join in at a later epoch (TPSMM's background predictor).
        strategy=DDPStrategy(find_unused_parameters=True) if world_size() > 1 else "auto",
        precision=PRECISIONS[precision] if precision == "fp32" else None,
        plugins=Autocast(PRECISIONS[precision], device().type) if precision == "bf16" else None,
    )
    # Nothing here ends the group of processes: Fabric does when Python exits. Ended before the last wrapped model is
    # gone, it can hang.
    fabric.launch()
    return fabric


def parts(batch: int, accumulate: int) -> tuple[BatchSlice, ...]:
    """Returns what of every batch falls to this process, with one part per turn of gradient accumulation.

    Raises:
        UserError: there are more processes and turns than samples.
    """
    count = world_size() * accumulate
    if batch < count:
        raise UserError(
            f"train.batch: {batch} samples are too few for {world_size()} processes x {accumulate} turns; change "
            "batch, accumulate or the number of processes."
        )
    return BatchSlice.split(batch, count)[rank() * accumulate :][:accumulate]


class Agreement:
    """Lets all processes decide together, without waiting for a GPU."""

    def __init__(self) -> None:
        self._group = dist.new_group(backend="gloo") if dist.is_initialized() else None

    def any(self, mine: bool) -> bool:
        """Whether at least one process says yes."""
        if self._group is None:
            return mine
        votes = torch.tensor(int(mine))
        dist.all_reduce(votes, op=dist.ReduceOp.MAX, group=self._group)
        return bool(votes)

    def same(self, mine: str) -> bool:
        """Whether all processes say the same."""
        if self._group is None:
            return True
        every: list[Any] = [None] * world_size()
        dist.all_gather_object(every, mine, group=self._group)
        return len(set(every)) == 1
