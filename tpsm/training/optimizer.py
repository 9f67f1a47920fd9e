"""Takes one step of optimisation, on one device or many, in the same way for every method."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol, cast, runtime_checkable

import torch
from torch import Tensor, nn

from tpsm.core.device import world_size
from tpsm.core.rng import BatchRng, BatchSlice
from tpsm.core.types import FramePair
from tpsm.nn.sync_batch_norm import synchronise
from tpsm.training.graph import Compute, GraphedStep

if TYPE_CHECKING:
    from lightning_fabric import Fabric

    from tpsm.training.config import TrainConfig


@runtime_checkable
class Task(Protocol):
    """What the loop needs of a model; `Method` and `AvdTraining` both have it."""

    clip_grad_modules: Any
    sync_batch_norm: Any

    def losses(self, pair: FramePair, epoch: int, draws: BatchRng) -> dict[str, Tensor]: ...

    def phase(self, epoch: int) -> Hashable: ...


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
        graphed = config.graph and fabric.device.type == "cuda" and world_size() == 1
        # A graph reads the rate from a tensor, and the number of the step too.
        self._rate = torch.tensor(config.learning_rate, device=fabric.device) if graphed else None
        self.adam = torch.optim.Adam(
            trained,
            lr=config.learning_rate if self._rate is None else self._rate,
            betas=config.betas,
            weight_decay=config.weight_decay,
            capturable=graphed,
            fused=fabric.device.type == "cpu" or None,  # in one pass over memory; a GPU's default makes few already
        )
        self._model, self._adam = fabric.setup(task, self.adam)
        self._take: Compute = self._compute
        if graphed:
            self._take = GraphedStep(self._compute, cast(Task, task).phase, config.accumulate, fabric.device)

    def go_on(self, state: dict[str, Any]) -> None:
        """Takes Adam's state from a working checkpoint. How it is computed stays as configured for this device: the
        checkpoint may be another's, or of steps without a graph."""
        self.adam.load_state_dict({**state, "param_groups": self.adam.state_dict()["param_groups"]})

    def step(self, pairs: Iterator[FramePair], parts: Sequence[BatchSlice], epoch: int, seed: int) -> dict[str, Tensor]:
        """Takes a batch of pairs for each part, and lowers the mean loss of the whole batch.

        Returns this process's share of the losses, by name, times the number of processes: the mean of that over all
        processes is the mean over all samples.
        """
        rate = self.config.rate(epoch)
        for group in self.adam.param_groups:
            group["lr"] = rate if self._rate is None else self._rate.fill_(rate)
        turns = [next(pairs).to(self.fabric.device) for _ in parts]
        return self._take(turns, [BatchRng(seed, part) for part in parts], epoch)

    def _compute(self, turns: Sequence[FramePair], draws: Sequence[BatchRng], epoch: int) -> dict[str, Tensor]:
        # Gradients of all parts, which are summed over turns and processes.
        self.adam.zero_grad(set_to_none=True)
        means: dict[str, Tensor] = {}
        for turn, (pair, rng) in enumerate(zip(turns, draws, strict=True), start=1):
            with self.fabric.no_backward_sync(self._model, enabled=turn < len(turns)):
                losses = self._model(pair.source, pair.driving, epoch, rng)
                # Gradients are then averaged over processes, whose parts of the batch may differ by a sample.
                weight = len(pair.source) / self.config.batch * world_size()
                self.fabric.backward(torch.stack(list(losses.values())).sum() * weight)
            for name, value in losses.items():
                term = value.detach() * weight
                means[name] = means[name] + term if name in means else term

        # As in TPSMM's released code, gradients are clipped once all parts are in.
        clip_gradients(self.task, self.config.clip_norm)
        self._adam.step()
        # One pass over memory leaves no trace of a change, by which inference knows that kernels made of it are old.
        torch.autograd.graph.increment_version(self.adam.param_groups[0]["params"])
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
