"""Predicts what training a run will cost: operations, memory and time."""

from __future__ import annotations

from collections import Counter, defaultdict
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from tpsm.config.sections import AvdSection, RunConfig
from tpsm.core.errors import UserError
from tpsm.core.rng import BatchRng
from tpsm.core.types import FramePair
from tpsm.data.manifest import read_manifest
from tpsm.methods.avd import AVD, AvdTraining
from tpsm.methods.base import Method
from tpsm.profiling.flops import FlopCounter, Flops, gpu_autocast, imagined_gpu, saved_bytes
from tpsm.profiling.timing import TimedRun, untrained
from tpsm.training.config import Precision, TrainConfig

# Training identities and clips of the papers' sets, where nothing has been lost.
PUBLISHED = {"vox": (424, 19550), "taichi": (252, 3049), "ted": (1273, 1320), "mgif": (900, 900)}
LOSSES = "losses"
NOTHING = Flops()


@dataclass(frozen=True)
class Work:
    """Counts what a part of a model computes: once for a source image, for each frame, and for a pair in training."""

    parameters: int = 0
    source: Flops = NOTHING
    frame: Flops = NOTHING
    forward: Flops = NOTHING
    backward: Flops = NOTHING

    def __add__(self, other: Work) -> Work:
        return Work(*(mine + theirs for mine, theirs in zip(vars(self).values(), vars(other).values(), strict=True)))

    @property
    def step(self) -> Flops:
        """What a pair takes in a training step, forward and backward."""
        return self.forward + self.backward


@dataclass(frozen=True)
class Memory:
    """The bytes that a training step needs: weights, gradients and Adam, and what is kept for the backward pass.

    The weights include those of the perceptual network, which have no gradients. Whatever a GPU's convolutions take to
    work in, and what lives for the span of an operation only, is not counted.
    """

    weights: int
    gradients: int
    adam: int
    kept: int
    kept_per_pair: int

    def activations(self, pairs: int) -> int:
        """Returns the bytes that are kept for the backward pass of so many pairs."""
        return self.kept + pairs * self.kept_per_pair

    def total(self, pairs: int) -> int:
        """Returns the bytes of a step with so many pairs."""
        return self.weights + self.gradients + self.adam + self.activations(pairs)


@dataclass(frozen=True)
class Items:
    """How many identities or clips an epoch passes over, and where the number is from."""

    count: int
    source: str

    def steps(self, config: TrainConfig) -> int:
        """Returns the steps of the whole schedule."""
        return config.epochs * (self.count * config.repeats // config.batch)


def count_work(config: RunConfig) -> dict[str, Work]:
    """Returns the work of each submodule; what none of them computes (mostly losses) comes last.

    Training is counted as in the last epoch, in which every part of the model takes part.

    Raises:
        UserError: the model does not fit the size.
    """
    with torch.device("meta"):
        method, _ = untrained(config.method, config.model)
    image = torch.empty(1, 3, config.size, config.size, device="meta")
    two = image.expand(2, -1, -1, -1)  # A single one would not do where a batch norm comes down to one pixel.

    def part(name: str) -> str:
        return name.partition(".")[0] or LOSSES

    # Source, frame, forward and backward, one after the other.
    columns: list[dict[str, Flops]] = []
    with FlopCounter(method.eval()) as counter:

        def end_column(pictures: int = 1) -> None:
            column: defaultdict[str, Flops] = defaultdict(Flops)
            for name, flops in counter.flops.items():
                column[part(name)] += Flops(flops.computed / pictures, flops.published / pictures)
            columns.append(column)
            counter.flops.clear()

        with torch.no_grad():
            code = method.encode(image)
            end_column()
            method.render(code, method.keypoints(image), method.background(image, image))
            end_column()
        losses = method.train().losses(FramePair(two, two), config.train.epochs - 1, BatchRng(0))
        end_column(2)
        counter.backward(total(losses))
        end_column(2)

    # The same by part, with the parameters.
    parameters: Counter[str] = Counter()
    for name, parameter in method.named_parameters():
        parameters[part(name.rpartition(".")[0])] += parameter.numel()
    parts = [*dict.fromkeys(part(name) for name, _ in method.named_modules() if name), LOSSES]
    work = {name: Work(parameters[name], *(column.get(name, NOTHING) for column in columns)) for name in parts}
    return {name: done for name, done in work.items() if done != Work()}


def total(losses: dict[str, Tensor]) -> Tensor:
    """Returns the sum of the losses, which training minimises."""
    return torch.stack(list(losses.values())).sum()


def in_all(work: dict[str, Work]) -> Work:
    """Returns the work of all parts together."""
    return sum(work.values(), start=Work())


def count_avd(config: RunConfig, avd: AvdSection) -> float:
    """Returns the operations for a pair in the training of the AVD network; the fixed method's keypoints take most."""
    with torch.device("meta"):
        method, _ = untrained(config.method, config.model)
        method.eval()
        image = torch.empty(2, 3, config.size, config.size)  # Its batch norms want two.
        task = AvdTraining(method, AVD.like(method.keypoints(image), avd.model), avd.model)
    with FlopCounter(task) as counter:
        counter.backward(total(task.losses(FramePair(image, image), 0, BatchRng(0))))
    return sum(flops.computed for flops in counter.flops.values()) / 2


def predict_memory(config: RunConfig, precision: Precision) -> Memory:
    """Returns the memory of a training step; activations of 2 pairs and of 3 say how they grow."""
    # What bf16 means differs from device to device: here it is a GPU's.
    with torch.device("meta") if precision == "fp32" else imagined_gpu():
        method, backbone = untrained(config.method, config.model)
        weights = [*method.parameters(), *method.buffers(), *backbone.parameters()]
        kept = [_kept(method.train(), config, precision, pairs, weights) for pairs in (2, 3)]
    trained = sum(_bytes(parameter) for parameter in method.parameters() if parameter.requires_grad)
    slope = kept[1] - kept[0]
    return Memory(sum(map(_bytes, weights)), trained, 2 * trained, kept[0] - 2 * slope, slope)


def _kept(method: Method, config: RunConfig, precision: Precision, pairs: int, weights: list[Tensor]) -> int:
    source, driving = (torch.empty(pairs, 3, config.size, config.size) for _ in range(2))

    def losses() -> dict[str, Tensor]:
        with gpu_autocast() if precision == "bf16" else nullcontext():
            return method.losses(FramePair(source, driving), config.train.epochs - 1, BatchRng(0))

    return saved_bytes(losses, weights)


def _bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()


def training_items(dataset: str, identity_sampling: bool, given: int | None, clips: Path) -> Items:
    """Returns what an epoch passes over: the number that was given, or the prepared set's, or the published one.

    Raises:
        UserError: no number is known.
    """
    kind = "identities" if identity_sampling else "clips"
    if given is not None:
        return Items(given, f"{kind}, as given")
    if (clips / dataset / "manifest.json").is_file():
        entries = read_manifest(clips / dataset).clips("train")
        names = {entry.identity if identity_sampling else entry.name for entry in entries}
        return Items(len(names), f"{kind} of {clips / dataset}")
    if dataset not in PUBLISHED:
        raise UserError(f"The data set '{dataset}' is not prepared: say with --items how many training {kind} it has.")
    return Items(PUBLISHED[dataset][not identity_sampling], f"{kind} of the published set")


def timed_run(config: RunConfig, steps: int, batch: int | None) -> TimedRun:
    """Describes some steps of the run on this machine, with images of noise."""
    train = config.train
    if batch is not None:
        train = replace(train, batch=batch, accumulate=min(train.accumulate, batch))
    return TimedRun(config.method, config.model, config.size, train, steps)
