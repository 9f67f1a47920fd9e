"""Times the reconstruction of frames, in the released programs' order or in ours, in a process of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from tpsm.core.device import device
from tpsm.core.tensors import to_frames
from tpsm.inference.config import InferenceConfig
from tpsm.inference.drawer import BATCH, Drawer
from tpsm.methods.base import Method
from tpsm.profiling.released_loop import ReleasedModel
from tpsm.profiling.timing import Timing, resident_peak, timing, untrained


@dataclass(frozen=True)
class TimedFrames:
    """What to time: `steps`, after `warm_up` others. A step draws a batch of frames as `inference` says; without it a
    single one, in the plain loop."""

    method: str
    model: Any
    size: int
    inference: InferenceConfig | None
    steps: int
    warm_up: int = 1

    @property
    def batch(self) -> int:
        """Returns the frames of a step."""
        return 1 if self.inference is None else BATCH


def run_timed_frames(timed: TimedFrames) -> Timing:
    """Times the steps in this process, from images of noise on the device to 8-bit frames in the machine's memory.

    Raises:
        RuntimeError: PyTorch's own; the device's memory is exhausted, or the model cannot be compiled.
        UserError: the model does not fit the size.
    """
    before = resident_peak()
    torch.manual_seed(0)
    step = _plain(timed) if timed.inference is None else _ours(timed, timed.inference)

    def steps(count: int) -> None:
        for _ in range(count):
            to_frames(step())

    return timing(steps, timed.steps, timed.warm_up, before)


@torch.no_grad()
def plain_loop(method: Method, frames: Float[Tensor, "t 3 h w"]) -> Iterator[Float[Tensor, "1 3 h w"]]:
    """Yields the first frame, driven by each of `frames`, as the released programs do: one at a time, with the source
    encoded anew for each. TPSMM is computed in the released order too (`tpsm.profiling.released_loop`)."""
    if isinstance(method, ReleasedModel):
        yield from method.reconstruct(frames)
        return
    source = frames[:1]
    for driving in frames.split(1):
        code = method.encode(source)
        yield method.render(code, method.keypoints(driving), method.background(source, driving)).image


def _plain(timed: TimedFrames) -> Callable[[], Tensor]:
    method = ReleasedModel(timed.model) if timed.method == "tps" else untrained(timed.method, timed.model)[0]
    method.to(device()).eval().requires_grad_(False)
    frame = torch.rand(1, 3, timed.size, timed.size, device=device())
    loop = plain_loop(method, frame.expand(timed.warm_up + timed.steps, -1, -1, -1))
    return lambda: next(loop)


def _ours(timed: TimedFrames, inference: InferenceConfig) -> Callable[[], Tensor]:
    method, _ = untrained(timed.method, timed.model)
    draws = Drawer(method.to(device()).eval().requires_grad_(False), inference)
    driving = torch.rand(BATCH, 3, timed.size, timed.size, device=device())

    @torch.inference_mode()
    def step() -> Tensor:
        return draws.reconstruct(code, driving).image

    with torch.inference_mode():
        code = draws.encode(driving[:1])
    return step
