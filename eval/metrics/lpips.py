"""Learned perceptual image patch similarity."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import torch
from jaxtyping import Float64, UInt8
from torch import Tensor, nn

from eval.alexnet import read_alexnet
from eval.evaluators import device, to_images
from eval.evaluators.pretrained import package
from eval.metrics import Metric, Sequence
from eval.weights import locate

BATCH = 32
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


def lpips(
    network: nn.Module, generated: UInt8[np.ndarray, "t h w 3"], real: UInt8[np.ndarray, "t h w 3"]
) -> Float64[np.ndarray, " t"]:
    """A frame's. `network` takes two batches of pictures in [-1, 1]."""
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
    kernels = read_alexnet(locate("alexnet").path)
    network: Any = library.LPIPS(net="alex", pnet_rand=True, verbose=False)
    convolutions = [module for module in network.net.modules() if isinstance(module, nn.Conv2d)]
    for convolution, (kernel, bias) in zip(convolutions, kernels, strict=True):
        convolution.load_state_dict({"weight": kernel, "bias": bias})
    ready: nn.Module = network.eval().requires_grad_(False).to(device())
    return ready


def score(generated: Sequence, reference: Sequence) -> Float64[np.ndarray, " t"]:
    return lpips(load_network(), np.ascontiguousarray(generated.frames), np.ascontiguousarray(reference.frames))
