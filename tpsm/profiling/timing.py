"""Times some steps, above all those of training as `tpsm train` takes them, in a process of their own."""

from __future__ import annotations

import multiprocessing
import re
import resource
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn

from tpsm.core.device import device
from tpsm.core.rng import BatchSlice
from tpsm.core.types import FramePair
from tpsm.data.config import DataConfig
from tpsm.data.pairs import PairBatches
from tpsm.methods import method_module
from tpsm.methods.base import Method
from tpsm.nn.vgg import Pixels, untrained_backbone
from tpsm.training.config import TrainConfig
from tpsm.training.distributed import launch, parts
from tpsm.training.optimizer import Optimiser

A = TypeVar("A")
R = TypeVar("R")
BLOCKS = 10


@dataclass(frozen=True)
class TimedRun:
    """What to time: `steps`, after `warm_up` others. Without `clips`, a prepared data set, images are noise."""

    method: str
    model: Any
    size: int
    train: TrainConfig
    steps: int
    warm_up: int = 1
    clips: Path | None = None


@dataclass(frozen=True)
class Timing:
    """The seconds of the `first` step and of a later `step` (the median over blocks of steps), and the `peak` memory.

    The peak, in bytes, is the most that tensors filled on a GPU; on a CPU, by how much the process grew.
    """

    first: float
    step: float
    peak: int


def run_timed_steps(timed_run: TimedRun) -> Timing:
    """Times the steps in this process. The perceptual network has random weights, which do not change the time.

    Raises:
        RuntimeError: PyTorch's own; the device's memory is exhausted, or the model cannot be compiled.
        UserError: the model does not fit the size, or the batch cannot be cut into `accumulate` parts.
    """
    # The model, the pairs and the optimizer of a training.
    config = timed_run.train
    mine = parts(config.batch, config.accumulate)
    before = resident_peak()
    torch.manual_seed(config.seed)
    task, _ = untrained(timed_run.method, timed_run.model)
    task.to(device()).train()
    pairs = _pairs(timed_run, mine)
    optimiser = Optimiser(task, config, launch(config.precision))

    def steps(count: int) -> None:
        for _ in range(count):
            # In the last epoch every part of the model takes part.
            optimiser.step(pairs, mine, config.epochs - 1, config.seed)

    return timing(steps, timed_run.steps, timed_run.warm_up, before)


def timing(steps: Callable[[int], None], count: int, warm_up: int, before: int) -> Timing:
    """Times `count` of the steps that `steps` takes, after `warm_up` others; `before` is this process's peak memory
    before it built what takes them."""
    # The first step compiles and allocates; a few more warm up.
    first = _seconds(steps, 1)
    steps(warm_up - 1)
    if device().type == "cuda":
        torch.cuda.reset_peak_memory_stats()

    # A GPU is waited for once per block, since it runs behind the program.
    block = max(1, count // BLOCKS)
    blocks = [_seconds(steps, block) / block for _ in range(count // block)]
    grown = max(0, resident_peak() - before)  # Linux counts pages with a delay, and so may say less than before
    peak = torch.cuda.max_memory_allocated() if device().type == "cuda" else grown
    return Timing(first, statistics.median(blocks), peak)


@dataclass(frozen=True)
class Ceilings:
    """What this GPU reaches at best: bytes read and written a second, and operations a second of a bf16 product."""

    copy: float
    bf16: float


def measure_ceilings(_: None = None) -> Ceilings:
    """Times a copy of a gigabyte and a product of 8192 x 8192 matrices of random numbers, each twenty times."""
    numbers = torch.randn(1 << 28, device=device())
    target = torch.empty_like(numbers)
    matrix = numbers[: 8192 * 8192].view(8192, 8192).bfloat16()

    def copies(count: int) -> None:
        for _ in range(count):
            target.copy_(numbers)

    def products(count: int) -> None:
        for _ in range(count):
            matrix @ matrix

    for warm_up in (copies, products):
        _seconds(warm_up, 3)
    return Ceilings(2 * numbers.nbytes * 20 / _seconds(copies, 20), 2 * 8192**3 * 20 / _seconds(products, 20))


def as_file_name(device_name: str) -> str:
    """Returns a device's name in lower case, with hyphens, as reports of measurements are called."""
    return re.sub(r"[^a-z0-9]+", "-", device_name.lower()).strip("-")


def untrained(name: str, model: Any) -> tuple[Method, nn.Module]:
    """Returns a method, and the network that its perceptual loss compares by, both with random weights.

    Of a method without this loss the network is one that computes nothing.
    """
    method: Method = method_module(name).Model(model)
    if not hasattr(model, "perceptual"):
        return method, Pixels()
    backbone = untrained_backbone(model.perceptual)
    method.perceptual.use(backbone)
    return method, backbone


def run_in_subprocess(function: Callable[[A], R], argument: A) -> R:
    """Returns `function(argument)`, computed in a fresh process whose memory is free again afterwards.

    Raises:
        RuntimeError: what PyTorch raised there, in one line; or that the process was killed.
    """
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as processes:
        try:
            return processes.submit(_in_one_line, function, argument).result()
        except BrokenProcessPool:
            raise RuntimeError("its process was killed, as happens where memory runs out") from None


def _in_one_line(function: Callable[[A], R], argument: A) -> R:
    try:
        return function(argument)
    except RuntimeError as error:  # Some of PyTorch's do not survive the way from process to process.
        lines = str(error).strip().splitlines() or [""]
        raise RuntimeError(f"{type(error).__name__}: {lines[0][:200]}") from None


def _pairs(timed_run: TimedRun, mine: Sequence[BatchSlice]) -> Iterator[FramePair]:
    config = timed_run.train
    if timed_run.clips is None:
        source, driving = torch.rand(2, config.batch, 3, timed_run.size, timed_run.size, device=device())
        return cycle([FramePair(source[part.rows], driving[part.rows]) for part in mine])
    total = (1 + timed_run.warm_up + timed_run.steps) * config.batch
    batches = PairBatches(
        timed_run.clips, DataConfig(size=timed_run.size), config.batch, repeats=total, workers=config.workers
    )
    return batches.epoch(0, 0, mine)


def _seconds(function: Callable[[int], None], argument: int) -> float:
    _wait()
    began = time.perf_counter()
    function(argument)
    _wait()
    return time.perf_counter() - began


def _wait() -> None:
    if device().type == "cuda":
        torch.cuda.synchronize()


def resident_peak() -> int:
    """Returns the most memory that this process ever filled, in bytes."""
    status = Path("/proc/self/status")
    if status.is_file():  # Linux, whose getrusage would also count what the parent process had filled
        (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
