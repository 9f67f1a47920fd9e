"""Counts what a computation costs. It needs shapes and no values, so PyTorch's `meta` tensors are enough."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any
from weakref import WeakSet

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd.graph import saved_tensors_hooks
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from tpsm.nn.blocks import AntiAlias, UpBlock


@dataclass(frozen=True)
class Flops:
    """Counts 2 for every multiply-add of a convolution or a matrix product, and nothing else.

    `published` counts what the released code computes where ours is rearranged: doubled pixels and a 3 x 3 convolution
    in `UpBlock`, and all pixels in `AntiAlias`, also those that are then dropped.
    """

    computed: float = 0.0
    published: float = 0.0

    def __add__(self, other: Flops) -> Flops:
        return Flops(self.computed + other.computed, self.published + other.published)


@dataclass(frozen=True)
class _Owner:
    """The submodule that computes, and by what factors the released code computes more in its place."""

    name: str
    convolutions: float = 1.0
    products: float = 1.0

    @staticmethod
    def of(name: str, module: nn.Module) -> _Owner:
        if isinstance(module, UpBlock):
            # 4 * 3 * 3 weights per pixel, in the place of 4 * 4; their spreading is a product of ours alone.
            return _Owner(name, 36 / 16, 0.0)
        return _Owner(name, float(module.stride**2)) if isinstance(module, AntiAlias) else _Owner(name)

    def flops(self, operation: Any, count: int) -> Flops:
        convolves = operation in (torch.ops.aten.convolution, torch.ops.aten.convolution_backward)
        return Flops(float(count), count * (self.convolutions if convolves else self.products))


class FlopCounter(TorchDispatchMode):
    """Counts, within the block, in `flops` by the name of the submodule of `root` that computes ("": none of them).

    The backward pass has no modules, so `backward` runs it: what it computes belongs to the module whose weights or
    inputs it reads.
    """

    def __init__(self, root: nn.Module) -> None:
        super().__init__()
        self.flops: defaultdict[str, Flops] = defaultdict(Flops)
        self._root = root
        self._active = [_Owner("")]
        self._inputs: dict[int, tuple[Any, _Owner]] = {}
        self._in_backward = False
        self._hooks: list[Any] = []

    def __enter__(self) -> FlopCounter:
        for name, module in self._root.named_modules():
            if name:
                enter = partial(self._enter, _Owner.of(name, module))
                self._hooks.append(module.register_forward_pre_hook(enter))
                self._hooks.append(module.register_forward_hook(self._leave, always_call=True))
        super().__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        for hook in self._hooks:
            hook.remove()

    def backward(self, loss: Tensor) -> None:
        """Runs the backward pass from `loss`, and counts it."""
        self._in_backward = True
        loss.backward()  # type: ignore[no-untyped-call]
        self._in_backward = False

    def _enter(self, owner: _Owner, *_: Any) -> None:
        self._active.append(owner)

    def _leave(self, *_: Any) -> None:
        self._active.pop()

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """PyTorch asks when this class is made. Its own answer loads the compiler at the first operation, which takes
        seconds, to keep it away from `__torch_dispatch__`; nothing is compiled while operations are counted."""
        return False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        operation = func.overloadpacket
        if operation in flop_registry:
            owner = self._owner(args)
            count = flop_registry[operation](*args, **(kwargs or {}), out_val=result)
            self.flops[owner.name] += owner.flops(operation, count)
        return result

    def _owner(self, inputs: Iterable[Any]) -> _Owner:
        # The last first: a convolution's weights tell more than its input, which two modules may share. A storage is
        # kept, or its number might become another's.
        storages = [tensor.untyped_storage() for tensor in inputs if isinstance(tensor, Tensor)][::-1]
        if not self._in_backward:
            for storage in storages:
                self._inputs[storage._cdata] = storage, self._active[-1]
            return self._active[-1]
        known = (self._inputs[storage._cdata][1] for storage in storages if storage._cdata in self._inputs)
        return next(known, _Owner(""))


def saved_bytes(compute: Callable[[], object], apart: Iterable[Tensor]) -> int:
    """Returns the bytes that the result of `compute` keeps for its backward pass: each storage once, without those of
    `apart`."""
    weights = {tensor.untyped_storage()._cdata for tensor in apart}
    kept: WeakSet[_Saved] = WeakSet()

    def pack(tensor: Tensor) -> _Saved:
        saved = _Saved(tensor)
        kept.add(saved)
        return saved

    with saved_tensors_hooks(pack, lambda saved: saved.tensor):
        result = compute()
    storages = {saved.tensor.untyped_storage()._cdata: saved.tensor.untyped_storage().nbytes() for saved in kept}
    del result  # till now it kept alive what was saved
    return sum(size for storage, size in storages.items() if storage not in weights)


class _Saved:
    """What stands for a saved tensor, and ends with the last operation that saved it."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor


@contextmanager
def imagined_gpu() -> Iterator[None]:
    """Makes tensors within the block a GPU's, without values: bf16's rules, say, depend on the device."""
    with FakeTensorMode(), torch.backends.cudnn.flags(enabled=False), torch.device("cuda"):
        yield


@contextmanager
def gpu_autocast() -> Iterator[None]:
    """Computes in bf16 by a GPU's rules within the block, also where there is none and `torch.autocast` refuses."""
    torch.set_autocast_dtype("cuda", torch.bfloat16)
    torch.set_autocast_enabled("cuda", True)
    try:
        yield
    finally:
        torch.set_autocast_enabled("cuda", False)
        torch.clear_autocast_cache()
