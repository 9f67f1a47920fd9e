"""Some training steps, timed: the steps that `tpsm train` takes, in a process of their own."""

from __future__ import annotations

import multiprocessing
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
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import nn
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

from tpsm.core.device import device
from tpsm.core.rng import Draws, Part
from tpsm.core.types import FramePair
from tpsm.data.config import DataConfig
from tpsm.data.pairs import PairBatches
from tpsm.methods import method_module
from tpsm.methods.base import Method
from tpsm.nn.vgg import untrained_backbone
from tpsm.profiling.flops import Traffic
from tpsm.training.config import TrainConfig
from tpsm.training.distributed import launch, parts
from tpsm.training.optimizer import Optimiser

if TYPE_CHECKING:
    from lightning_fabric import Fabric

A = TypeVar("A")
R = TypeVar("R")
BLOCKS = 10
PROFILED = 3  # steps


@dataclass(frozen=True)
class Trial:
    """`warm_up` steps come before those that are timed. Without `clips`, a prepared data set, pictures are noise.

    On demand `traffic` is counted, and so many `operators` are named as take the most time.
    """

    method: str
    model: Any
    size: int
    train: TrainConfig
    steps: int
    warm_up: int = 1
    clips: Path | None = None
    traffic: bool = False
    operators: int = 0


@dataclass(frozen=True)
class Operator:
    """`seconds` and `calls` are a step's; the seconds of operators that it calls are theirs."""

    name: str
    seconds: float
    calls: float


@dataclass(frozen=True)
class Timing:
    """`first` is the first step's seconds; all else is of the steps after the warm-up.

    `blocks` are ten stretches of steps, in seconds a step; `waiting` of them went by till data came. `peak` is the most
    memory that tensors filled on a GPU; on a CPU, by how much the process grew. `traffic` is what a step moves from and
    to memory if its operations run one by one. Both are in bytes.
    """

    first: float
    blocks: tuple[float, ...]
    waiting: float
    peak: int
    traffic: int
    operators: tuple[Operator, ...] = ()

    @property
    def step(self) -> float:
        """The median, in seconds a step."""
        return statistics.median(self.blocks)


def take(trial: Trial) -> Timing:
    """Runs the trial in this process. The perceptual network has random weights: its time does not depend on them.

    Raises:
        RuntimeError: PyTorch's own; the device's memory is exhausted, or the model cannot be compiled.
        UserError: the model does not fit the size, or the batch cannot be cut into `accumulate` parts.
    """
    config = trial.train
    mine = parts(config.batch, config.accumulate)
    before = resident_peak()
    torch.manual_seed(config.seed)
    task, _ = untrained(trial.method, trial.model)
    task.to(device()).train()
    pairs = Waiting(_pairs(trial, mine))
    fabric = launch(config.precision)
    traffic = _traffic(task, pairs, mine, config, fabric) if trial.traffic else 0
    optimiser = Optimiser(task, config, fabric)

    def steps(count: int) -> None:
        for _ in range(count):
            # In the last epoch every part of the model takes part.
            optimiser.step(pairs, mine, config.epochs - 1, config.seed)

    first = _seconds(steps, 1)
    steps(trial.warm_up - 1)
    if device().type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    pairs.seconds, block = 0.0, max(1, trial.steps // BLOCKS)
    blocks = tuple(_seconds(steps, block) / block for _ in range(trial.steps // block))
    waiting = pairs.seconds / (block * len(blocks))
    peak = torch.cuda.max_memory_allocated() if device().type == "cuda" else resident_peak() - before
    operators = _operators(steps, trial.operators) if trial.operators else ()
    return Timing(first, blocks, waiting, peak, traffic, operators)


def untrained(name: str, model: Any) -> tuple[Method, nn.Module]:
    """A method, and the network that its perceptual loss compares by, both with random weights."""
    method: Method = method_module(name).Model(model)
    backbone = untrained_backbone(model.perceptual)
    method.perceptual.use(backbone)
    return method, backbone


def apart(function: Callable[[A], R], argument: A) -> R:
    """`function(argument)` in a fresh process, which takes with it whatever memory it used.

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


class Waiting(Iterator[FramePair]):
    """Adds up the `seconds` till each pair is there."""

    def __init__(self, pairs: Iterator[FramePair]) -> None:
        self.seconds = 0.0
        self._pairs = pairs

    def __next__(self) -> FramePair:
        began = time.perf_counter()
        pair = next(self._pairs)
        self.seconds += time.perf_counter() - began
        return pair


def _pairs(trial: Trial, mine: Sequence[Part]) -> Iterator[FramePair]:
    config = trial.train
    if trial.clips is None:
        source, driving = torch.rand(2, config.batch, 3, trial.size, trial.size, device=device())
        return cycle([FramePair(source[part.rows], driving[part.rows]) for part in mine])
    total = (1 + trial.warm_up + trial.steps + PROFILED) * config.batch
    batches = PairBatches(trial.clips, DataConfig(size=trial.size), config.batch, repeats=total, workers=config.workers)
    return batches.epoch(0, 0, mine)


def _traffic(
    task: Method, pairs: Iterator[FramePair], mine: Sequence[Part], config: TrainConfig, fabric: Fabric
) -> int:
    """A step's, with Adam, which reads weight, gradient and both means, and writes all but the gradient."""
    with Traffic() as traffic:
        for part in mine:
            pair = next(pairs)
            with fabric.autocast():
                losses = task(pair.source, pair.driving, config.epochs - 1, Draws(config.seed, part))
            torch.stack(list(losses.values())).sum().backward()
    task.zero_grad(set_to_none=True)
    return traffic.bytes + 7 * sum(p.numel() * p.element_size() for p in task.parameters() if p.requires_grad)


def _seconds(function: Callable[[int], None], argument: int) -> float:
    _wait()
    began = time.perf_counter()
    function(argument)
    _wait()
    return time.perf_counter() - began


def _wait() -> None:
    if device().type == "cuda":
        torch.cuda.synchronize()


def _operators(steps: Callable[[int], None], count: int) -> tuple[Operator, ...]:
    on_gpu = device().type == "cuda"
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_gpu else [])]
    with profile(activities=activities, acc_events=True) as profiled:
        steps(PROFILED)
        _wait()
    found = []
    for event in profiled.key_averages():
        # Kernels are listed too, beside the operators that launch them.
        if event.device_type == DeviceType.CPU:
            micros = event.self_device_time_total if on_gpu else event.self_cpu_time_total
            found.append(Operator(event.key, 1e-6 * micros / PROFILED, event.count / PROFILED))
    return tuple(sorted(found, key=lambda operator: -operator.seconds)[:count])


def resident_peak() -> int:
    """The most memory that this process ever filled, in bytes."""
    status = Path("/proc/self/status")
    if status.is_file():  # Linux, whose getrusage would also count what the parent process had filled
        (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
