"""Takes one step of optimisation, on one device or many, in the same way for every method."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol, cast, runtime_checkable

import torch
from torch import Tensor, nn

from tpsm.core.device import world_size
from tpsm.core.rng import BatchRng, BatchSlice
from tpsm.core.types import FramePair
from tpsm.nn.sync_batch_norm import synchronise

if TYPE_CHECKING:
    from lightning_fabric import Fabric

    from tpsm.training.config import TrainConfig


@runtime_checkable
class Task(Protocol):
    """What the loop needs of a model; `Method` and `AvdTraining` both have it."""

    clip_grad_modules: Any
    sync_batch_norm: Any

    def losses(self, pair: FramePair, epoch: int, draws: BatchRng) -> dict[str, Tensor]: ...


class Optimiser:
    """Applies Adam to the parameters of a task that want a gradient."""

    def __init__(self, task: nn.Module, config: TrainConfig, fabric: Fabric) -> None:
        self.task, self.config, self.fabric = task, config, fabric
        wanted = cast(Task, task).sync_batch_norm if config.sync_batch_norm is None else config.sync_batch_norm
        if wanted and world_size() > 1:
            synchronise(task)
        if config.channels_last:
            task.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if config.compile:
            for child in task.children():
                child.compile()
        trained = [parameter for parameter in task.parameters() if parameter.requires_grad]
        fused = fabric.device.type == "cpu"  # in one pass over memory; a GPU's default makes few passes already
        self.adam = torch.optim.Adam(
            trained, lr=config.learning_rate, betas=config.betas, weight_decay=config.weight_decay, fused=fused or None
        )
        self._model, self._adam = fabric.setup(task, self.adam)

    def step(self, pairs: Iterator[FramePair], parts: Sequence[BatchSlice], epoch: int, seed: int) -> dict[str, Tensor]:
        """Takes a batch of pairs for each part, and lowers the mean loss of the whole batch.

        Returns this process's share of the losses, by name, times the number of processes: the mean of that over all
        processes is the mean over all samples.
        """
        # Gradients of all parts, which are summed over turns and processes.
        for group in self.adam.param_groups:
            group["lr"] = self.config.rate(epoch)
        self.adam.zero_grad(set_to_none=True)
        means: dict[str, Tensor] = {}
        for turn, part in enumerate(parts, start=1):
            pair = next(pairs).to(self.fabric.device)
            with self.fabric.no_backward_sync(self._model, enabled=turn < len(parts)):
                losses = self._model(pair.source, pair.driving, epoch, BatchRng(seed, part))
                # Gradients are then averaged over processes, whose parts of the batch may differ by a sample.
                weight = part.share * world_size()
                self.fabric.backward(torch.stack(list(losses.values())).sum() * weight)
            for name, value in losses.items():
                term = value.detach() * weight
                means[name] = means[name] + term if name in means else term

        # As in TPSMM's released code, gradients are clipped once all parts are in.
        clip_gradients(self.task, self.config.clip_norm)
        self._adam.step()
        return means


def clip_gradients(task: nn.Module, bound: float | None) -> None:
    """Bounds the infinity norm of the gradient of each submodule that the task names, as TPSMM's released code does."""
    if bound is None:
        return
    children = dict(task.named_children())
    # A part that the configuration leaves out is no child.
    for name in children.keys() & set(cast(Task, task).clip_grad_modules):
        gradients = [parameter.grad for parameter in children[name].parameters() if parameter.grad is not None]
        if not gradients:  # its training has not begun
            continue
        # PyTorch's own norm takes several times as long as the extremes.
        norm = torch.stack([extreme for gradient in gradients for extreme in torch.aminmax(gradient)]).abs().max()
        nn.utils.clip_grads_with_norm_(children[name].parameters(), bound, norm)
