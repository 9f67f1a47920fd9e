"""Replays a function of tensors as one CUDA graph: many small kernels take longer to launch than to run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, is_dataclass
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

R = TypeVar("R")

# Calls that are computed as usual before one is captured: they choose kernels, and allocate what stays.
WARM_UP = 3


def each(value: Any, function: Callable[[Tensor], Tensor]) -> Any:
    """Returns `value`, a tensor or a tuple or dataclass of such, with `function` applied to every tensor in it."""
    if isinstance(value, Tensor):
        return function(value)
    if isinstance(value, tuple):
        return tuple(each(part, function) for part in value)
    if is_dataclass(value) and not isinstance(value, type):
        return type(value)(**{field.name: each(getattr(value, field.name), function) for field in fields(value)})
    return value


def tensors(value: Any) -> list[Tensor]:
    """Returns the tensors of `value`, in the order in which `each` meets them."""
    found: list[Tensor] = []

    def note(tensor: Tensor) -> Tensor:
        found.append(tensor)
        return tensor

    each(value, note)
    return found


class GraphedCall(Generic[R]):
    """Calls `function`, whose arguments and result `each` takes apart, on the GPU that they are on.

    It is captured at the first call, and again where an argument's shape or type is another than at the last.
    """

    def __init__(self, function: Callable[..., R]) -> None:
        self._function = function
        self._form: list[tuple[torch.Size, torch.dtype]] | None = None

    def __call__(self, *arguments: Any) -> R:
        given = tensors(arguments)
        form = [(tensor.shape, tensor.dtype) for tensor in given]
        if form != self._form:
            self._capture(arguments)
            self._form = form
        for place, tensor in zip(self._places, given, strict=True):
            place.copy_(tensor)
        self._graph.replay()
        result: R = each(self._result, torch.clone)  # the next replay writes to the same place
        return result

    def _capture(self, arguments: Any) -> None:
        # A few calls on the stream of the capture, from tensors that stay in place.
        arguments = each(arguments, torch.clone)
        self._places = tensors(arguments)
        stream, main = torch.cuda.Stream(), torch.cuda.current_stream()
        stream.wait_stream(main)
        with torch.cuda.stream(stream):
            for _ in range(WARM_UP):
                self._function(*arguments)
        main.wait_stream(stream)

        # Capturing computes nothing: the first replay does.
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph, stream=stream):
            self._result = self._function(*arguments)
