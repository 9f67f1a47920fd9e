"""Replays a step of training as one CUDA graph: the kernels of a small model take longer to launch than to run."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from tpsm.core.rng import BatchRng
from tpsm.core.types import FramePair

# Steps that are computed as usual before one is captured: they choose kernels, and allocate what stays.
WARM_UP = 3


class StaticRng(BatchRng):
    """Holds the numbers of a step in tensors that stay in place on a device, so that a graph can read them."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._source: BatchRng | None = None
        self._held: list[tuple[Literal["normal", "uniform"], int, tuple[int, ...], Tensor]] = []
        self._given = 0

    def note(self, source: BatchRng) -> None:
        """From now on gives what is drawn from `source`, and holds it."""
        self._source, self._held = source, []

    def rewind(self) -> None:
        """From now on gives the tensors that it holds, in their order."""
        self._source, self._given = None, 0

    def fill(self, source: BatchRng) -> None:
        """Draws all numbers that it holds anew from `source`."""
        for kind, rows, shape, held in self._held:
            held.copy_(getattr(source, kind)(rows, *shape))

    def normal(self, rows: int, *shape: int) -> Tensor:
        return self._draw("normal", rows, shape)

    def uniform(self, rows: int, *shape: int) -> Tensor:
        return self._draw("uniform", rows, shape)

    def _draw(self, kind: Literal["normal", "uniform"], rows: int, shape: tuple[int, ...]) -> Tensor:
        if self._source is not None:
            drawn = getattr(self._source, kind)(rows, *shape).to(self._device)
            self._held.append((kind, rows, shape, drawn))
            return drawn
        self._given += 1
        return self._held[self._given - 1][-1]


Compute = Callable[[Sequence[FramePair], Sequence[BatchRng], int], dict[str, Tensor]]


@dataclass(frozen=True)
class _Captured:
    """A graph, the images that it reads, and the losses that it writes."""

    graph: torch.cuda.CUDAGraph
    pairs: tuple[FramePair, ...]
    losses: dict[str, Tensor]


class GraphedStep:
    """Takes the steps of `compute`: the forward and the backward pass, and the optimiser's update.

    They are captured once, and again where `phase(epoch)` says that the computation has changed. The images and the
    random numbers of a step are copied to where the graph reads them.
    """

    def __init__(self, compute: Compute, phase: Callable[[int], Hashable], turns: int, device: torch.device) -> None:
        self._compute, self._phase = compute, phase
        self._draws = tuple(StaticRng(device) for _ in range(turns))
        self._stream = torch.cuda.Stream(device)
        self._current: Hashable = None
        self._warm = 0
        self._captured: _Captured | None = None

    def __call__(self, pairs: Sequence[FramePair], draws: Sequence[BatchRng], epoch: int) -> dict[str, Tensor]:
        """Takes a step with a pair and random numbers for each turn, and returns its losses, by name."""
        if (phase := self._phase(epoch)) != self._current:
            self._current, self._warm, self._captured = phase, 0, None

        # The first steps of a phase, on the stream of the capture. They note which numbers are drawn.
        if self._warm < WARM_UP:
            self._warm += 1
            main = torch.cuda.current_stream()
            self._stream.wait_stream(main)
            with torch.cuda.stream(self._stream):
                for held, rng in zip(self._draws, draws, strict=True):
                    held.note(rng)
                losses = self._compute(pairs, self._draws, epoch)
            main.wait_stream(self._stream)
            return losses

        # All others. Capturing computes nothing: the step is taken by the replay.
        if self._captured is None:
            self._captured = self._capture(pairs, epoch)
        for place, pair in zip(self._captured.pairs, pairs, strict=True):
            place.source.copy_(pair.source)
            place.driving.copy_(pair.driving)
        for held, rng in zip(self._draws, draws, strict=True):
            held.fill(rng)
        self._captured.graph.replay()
        return {name: value.clone() for name, value in self._captured.losses.items()}

    def _capture(self, pairs: Sequence[FramePair], epoch: int) -> _Captured:
        places = tuple(FramePair(pair.source.clone(), pair.driving.clone()) for pair in pairs)
        for held in self._draws:
            held.rewind()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=self._stream):
            losses = self._compute(places, self._draws, epoch)
        return _Captured(graph, places, losses)
