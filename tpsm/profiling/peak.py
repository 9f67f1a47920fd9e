"""What a device reaches at its best, measured: the yardstick for what training reaches on it."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from tpsm.core.device import device

REPEATS = 20


@dataclass(frozen=True)
class Ceilings:
    """Products of square matrices in FLOP/s, by type, and copying in bytes/s (each byte read and written).

    `tf32` is None where there is no such type. Medians of `REPEATS` calls.
    """

    fp32: float
    tf32: float | None
    bf16: float
    copy: float

    def convolutions(self, precision: str) -> tuple[str, float]:
        """The type that convolutions compute in, and its ceiling: PyTorch lets those of fp32 use TF32."""
        if precision == "bf16":
            return "bf16", self.bf16
        if self.tf32 is not None and torch.backends.cudnn.allow_tf32:
            return "TF32", self.tf32
        return "fp32", self.fp32


def measure_ceilings(side: int | None = None) -> Ceilings:
    """`side` is that of the matrices (default: 8192 on a GPU, 1024 on a CPU); what is copied has 16 times their bytes.

    Raises:
        RuntimeError: the device's memory is exhausted.
    """
    on_gpu = device().type == "cuda"
    side = side or (8192 if on_gpu else 1024)
    before = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision("highest")
        fp32 = _product(side, torch.float32)
        torch.set_float32_matmul_precision("high")
        tf32 = _product(side, torch.float32) if on_gpu else None
    finally:
        torch.set_float32_matmul_precision(before)
    source = torch.zeros(16, side, side, device=device())
    target = torch.zeros_like(source)
    copy = 2 * source.numel() * source.element_size() / _median_seconds(lambda: target.copy_(source))
    return Ceilings(fp32, tf32, _product(side, torch.bfloat16), copy)


def _product(side: int, kind: torch.dtype) -> float:
    a, b = (torch.randn(side, side, device=device(), dtype=kind) for _ in range(2))
    out = torch.empty_like(a)
    return 2 * side**3 / _median_seconds(lambda: torch.mm(a, b, out=out))


def _median_seconds(call: Callable[[], object]) -> float:
    for _ in range(3):
        call()
    return statistics.median(_gpu_seconds(call) if device().type == "cuda" else _seconds(call) for _ in range(REPEATS))


def _gpu_seconds(call: Callable[[], object]) -> float:
    start, stop = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    call()
    stop.record()
    stop.synchronize()
    return 1e-3 * start.elapsed_time(stop)


def _seconds(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began
