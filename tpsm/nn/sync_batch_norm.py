"""Normalises over the samples of all processes, on any device (PyTorch's own layer runs on GPUs alone)."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


class SyncBatchNorm(_BatchNorm):
    """Normalises by the mean and variance of the whole batch, of which every process holds a part.

    FOMM's released synchronised norm bounds the variance from below by `eps` where the plain one adds it. This one adds
    it, so that many processes compute what one does.
    """

    def __init__(self, features: int, eps: float = 1e-5, momentum: float | None = 0.1) -> None:
        super().__init__(features, eps, momentum)
        # Here, and not as a decorator: it loads PyTorch's compiler, which takes longer than all else.
        self._gather = torch.compiler.disable(_gather)

    def forward(self, input: Tensor) -> Tensor:
        if not (self.training and dist.is_initialized()):
            return super().forward(input)

        # The mean and the variance of this process's samples, then of all: the variance within and between processes.
        axes = [axis for axis in range(input.ndim) if axis != 1]
        x = input.float() if input.dtype in (torch.bfloat16, torch.float16) else input
        variance, mean = torch.var_mean(x, dim=axes, correction=0)
        count = torch.full_like(mean, x.numel() // x.shape[1])
        means, variances, counts = self._gather(torch.stack([mean, variance, count])).unbind(1)
        total = counts.sum(dim=0)
        mean = (means * counts).sum(dim=0) / total
        variance = ((variances + (means - mean).square()) * counts).sum(dim=0) / total
        self._remember(mean.detach(), variance.detach(), total)

        # The normalisation as one scale and one shift per channel.
        scale = torch.rsqrt(variance + self.eps) * self.weight
        shape = [1, -1, *[1] * (x.ndim - 2)]
        return torch.addcmul((self.bias - mean * scale).view(shape), x, scale.view(shape)).to(input.dtype)

    def _remember(self, mean: Tensor, variance: Tensor, count: Tensor) -> None:
        assert self.running_mean is not None and self.running_var is not None and self.num_batches_tracked is not None
        assert self.momentum is not None
        self.num_batches_tracked += 1
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance * count / (count - 1), self.momentum)

    def _check_input_dim(self, input: Tensor) -> None:
        """Accepts images and vectors alike."""


def synchronise(module: nn.Module) -> None:
    """Puts a `SyncBatchNorm` of the same parameters and statistics in the place of every batch norm below `module`."""
    for name, child in module.named_children():
        if isinstance(child, (nn.BatchNorm1d, nn.BatchNorm2d)):
            norm = SyncBatchNorm(child.num_features, child.eps, child.momentum)
            norm.weight, norm.bias = child.weight, child.bias
            norm.running_mean, norm.running_var = child.running_mean, child.running_var
            norm.num_batches_tracked = child.num_batches_tracked
            setattr(module, name, norm.train(child.training))
        else:
            synchronise(child)


class _Gather(torch.autograd.Function):
    """Stacks every process's tensor. Its gradient is the sum over processes, for all of them use what they gathered."""

    @staticmethod
    def forward(ctx: Any, own: Tensor) -> Tensor:
        every = [torch.empty_like(own) for _ in range(dist.get_world_size())]
        dist.all_gather(every, own)
        return torch.stack(every)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].contiguous()
        dist.all_reduce(total)
        return total[dist.get_rank()]


def _gather(own: Tensor) -> Tensor:
    every: Tensor = _Gather.apply(own.contiguous())  # type: ignore[no-untyped-call]
    return every
