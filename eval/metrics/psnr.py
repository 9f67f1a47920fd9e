"""Peak signal-to-noise ratio."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64, UInt8

from eval.metrics import Metric
from eval.types import ScoredClip

METRIC = Metric(
    name="psnr",
    title="PSNR",
    unit="dB",
    lower_is_better=False,
    decimals=2,
    source="-10 log10 of the mean squared difference over pixels and channels, intensities in [0, 1], at least what "
    "rounding to 8 bits leaves (a frame without any error has 58.92 dB); mean over frames of their dB",
)
ROUNDING = 1 / 255**2 / 12
"""Mean square of an error that is uniform over one level of 255."""


def psnr(generated: UInt8[np.ndarray, "t h w 3"], real: UInt8[np.ndarray, "t h w 3"]) -> Float64[np.ndarray, " t"]:
    """dB per frame, at most 58.92.

    >>> real = np.zeros((2, 4, 4, 3), np.uint8)
    >>> psnr(real + np.array([0, 51], np.uint8)[:, None, None, None], real).round(2).tolist()
    [58.92, 13.98]
    """
    # Frame by frame: the floats of a long clip would fill many times what the clip does.
    pairs = zip(generated, real, strict=True)
    errors = [np.square((mine.astype(np.float32) - theirs) / 255).mean(dtype=np.float64) for mine, theirs in pairs]
    return -10 * np.log10(np.maximum(errors, ROUNDING))


def score(generated: ScoredClip, reference: ScoredClip) -> Float64[np.ndarray, " t"]:
    """`psnr` of the clips' frames."""
    return psnr(generated.frames, reference.frames)
