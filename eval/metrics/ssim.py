"""Structural similarity."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64, UInt8
from skimage.metrics import structural_similarity

from eval.metrics import Metric
from eval.types import ScoredClip

WINDOW = 11
"""Its side in pixels."""
METRIC = Metric(
    name="ssim",
    title="SSIM",
    unit="-1 to 1, 1 for equal frames",
    lower_is_better=False,
    decimals=3,
    source="structural similarity within a Gaussian window of 1.5 px, 11 px wide, K1 = .01, K2 = .03; mean over "
    "pixels, channels and frames (Wang et al. 2004; scikit-image)",
)


def ssim(generated: UInt8[np.ndarray, "t h w 3"], real: UInt8[np.ndarray, "t h w 3"]) -> Float64[np.ndarray, " t"]:
    """Mean similarity per frame; NaN (n/a) where the window of 11 px is larger than the frame.

    >>> frames = np.zeros((1, 16, 16, 3), np.uint8)
    >>> ssim(frames, frames).tolist(), ssim(frames[:, :8], frames[:, :8]).tolist()
    ([1.0], [nan])
    """
    if min(real.shape[1:3]) < WINDOW:
        return np.full(len(real), np.nan)
    settings = {"channel_axis": -1, "data_range": 255, "gaussian_weights": True, "use_sample_covariance": False}
    pairs = zip(generated, real, strict=True)
    return np.array([structural_similarity(mine, theirs, sigma=1.5, **settings) for mine, theirs in pairs], np.float64)


def score(generated: ScoredClip, reference: ScoredClip) -> Float64[np.ndarray, " t"]:
    """`ssim` of the clips' frames."""
    return ssim(generated.frames, reference.frames)
