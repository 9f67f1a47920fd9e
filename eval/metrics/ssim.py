"""Structural similarity."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64, UInt8
from scipy.ndimage import correlate1d

from eval.metrics import Metric
from eval.types import ScoredClip

WINDOW = 11
"""Its side in pixels."""
WEIGHTS = np.exp(-((np.arange(WINDOW) - WINDOW // 2) ** 2) / (2 * 1.5**2))
WEIGHTS /= WEIGHTS.sum()
C1, C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
METRIC = Metric(
    name="ssim",
    title="SSIM",
    unit="-1 to 1, 1 for equal frames",
    lower_is_better=False,
    decimals=3,
    source="structural similarity within a Gaussian window of 1.5 px, 11 px wide, K1 = .01, K2 = .03; mean over "
    "pixels, channels and frames (Wang et al. 2004)",
)


def ssim(generated: UInt8[np.ndarray, "t h w 3"], real: UInt8[np.ndarray, "t h w 3"]) -> Float64[np.ndarray, " t"]:
    """Mean similarity per frame; NaN (n/a) where the window of 11 px is larger than the frame.

    >>> frames = np.zeros((1, 16, 16, 3), np.uint8)
    >>> ssim(frames, frames).tolist(), ssim(frames[:, :8], frames[:, :8]).tolist()
    ([1.0], [nan])
    """
    if min(real.shape[1:3]) < WINDOW:
        return np.full(len(real), np.nan)
    return np.array([_similarity(*pair) for pair in zip(generated, real, strict=True)], np.float64)


def _similarity(generated: UInt8[np.ndarray, "h w 3"], real: UInt8[np.ndarray, "h w 3"]) -> float:
    """Wang et al. 2004, equation 13, over the windows that lie within the frame."""
    x, y = generated.astype(np.float64), real.astype(np.float64)
    maps = np.stack([x, y, x * x + y * y, x * y])
    for axis in (1, 2):
        maps = correlate1d(maps, WEIGHTS, axis)
    inner = slice(WINDOW // 2, -(WINDOW // 2))
    mean_x, mean_y, squares, product = maps[:, inner, inner]
    both, either = mean_x * mean_y, mean_x * mean_x + mean_y * mean_y
    # 2 covariances, and both variances.
    together, apart = 2 * (product - both), squares - either
    return float(np.mean((2 * both + C1) * (together + C2) / ((either + C1) * (apart + C2))))


def score(generated: ScoredClip, reference: ScoredClip) -> Float64[np.ndarray, " t"]:
    """`ssim` of the clips' frames."""
    return ssim(generated.frames, reference.frames)
