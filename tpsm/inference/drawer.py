"""Computes a method's frames as an `InferenceConfig` says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache, wraps
from typing import Any, ParamSpec, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor

from tpsm.core.types import EncodedSource, Keypoints, Prediction
from tpsm.inference.config import InferenceConfig
from tpsm.inference.graphed import GraphedCall, each
from tpsm.methods.base import Method

BATCH = 16
"""Frames at once."""

P = ParamSpec("P")
R = TypeVar("R")


class Drawer:
    """Offers what a method offers for inference, for one source and at most `BATCH` driving frames at a time.

    Compiled or captured, a computation holds for one shape: there a batch with fewer frames is filled up with its last
    frame, and what is drawn of that is left out. The method's memory format and its compilation change in place.
    """

    def __init__(self, method: Method, config: InferenceConfig) -> None:
        # Weights and networks as the configuration wants them.
        self.method = method
        self.device = next(method.parameters()).device
        if config.channels_last:
            method.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if config.compile:
            for child in method.children():
                child.compile(dynamic=False)

        # One shape for all batches, by which a GPU chooses its kernels.
        graphed = config.graph and self.device.type == "cuda"
        self.fills = config.compile or graphed
        if self.fills and self.device.type == "cuda":
            torch.backends.cudnn.benchmark = True

        # What is computed of a batch, each a graph by itself; between them an animation changes poses.
        self._bf16 = config.precision == "bf16"
        way: Callable[[Any], Any] = GraphedCall if graphed else _as_it_is
        self._encode = self._in_precision(method.encode)
        self._keypoints = way(self._in_precision(method.keypoints))
        self._background = way(self._in_precision(self._background_of))
        self._render = way(self._in_precision(self._drawn))

    def encode(self, source: Float[Tensor, "1 3 h w"]) -> EncodedSource:
        """Computes everything that depends on the source alone."""
        return self._encode(source)

    def keypoints(self, image: Float[Tensor, "b 3 h w"]) -> Keypoints:
        """Returns the pose of each image."""
        found: Keypoints = each(self._keypoints(self._filled(image)), lambda part: part[: len(image)])
        return found

    def render(self, code: EncodedSource, driving: Keypoints) -> Prediction:
        """Draws the source in the poses `driving`, before a still background."""
        return self._cut(self._render(code, each(driving, self._filled), None), len(driving.xy))

    def reconstruct(self, code: EncodedSource, driving: Float[Tensor, "b 3 h w"]) -> Prediction:
        """Draws the source in the pose of each driving frame of the same clip, whose background moves."""
        images = self._filled(driving)
        drawn = self._render(code, self._keypoints(images), self._background(code.image, images))
        return self._cut(drawn, len(driving))

    def _background_of(self, source: Tensor, driving: Tensor) -> Tensor | None:
        return self.method.background(source.expand_as(driving), driving)

    def _drawn(self, code: EncodedSource, driving: Keypoints, background: Tensor | None) -> Prediction:
        drawn = self.method.render(code.expand(len(driving.xy)), driving, background)
        return replace(drawn, image=drawn.image.float())

    def _in_precision(self, function: Callable[P, R]) -> Callable[P, R]:
        @wraps(function)
        def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self._bf16):
                return function(*args, **kwargs)

        return wrapper

    def _filled(self, frames: Tensor) -> Tensor:
        missing = BATCH - len(frames) if self.fills else 0
        return torch.cat([frames, frames[-1:].expand(missing, *frames.shape[1:])]) if missing > 0 else frames

    def _cut(self, drawn: Prediction, count: int) -> Prediction:
        cut: Prediction = each(drawn, lambda part: part[:count])
        return cut


@lru_cache(maxsize=1)
def drawer(method: Method, config: InferenceConfig) -> Drawer:
    """Returns the same drawer for the same method and configuration, so that its compilation and its graphs serve all
    clips of a run."""
    return Drawer(method, config)


def _as_it_is(function: Callable[P, R]) -> Callable[P, R]:
    return function
