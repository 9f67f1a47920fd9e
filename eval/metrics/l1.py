"""Mean absolute difference of the pixels."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64, UInt8

from eval.metrics import Metric
from eval.types import ScoredClip

METRIC = Metric(
    name="l1",
    title="L1",
    unit="intensity, 0 to 1",
    lower_is_better=True,
    decimals=4,
    source="mean |generated - real| over pixels and channels of the 8-bit frames; mean over all frames",
    legacy="on floats before they become 8-bit frames (FOMM, MRAA and TPSMM, released reconstruction code)",
    version=2,
)


def l1(generated: UInt8[np.ndarray, "t h w 3"], real: UInt8[np.ndarray, "t h w 3"]) -> Float64[np.ndarray, " t"]:
    """Mean absolute difference a frame, of images in [0, 1]."""
    difference = np.abs(generated.astype(np.int16) - real.astype(np.int16))
    return difference.mean(axis=(1, 2, 3), dtype=np.float64) / 255


def score(generated: ScoredClip, reference: ScoredClip) -> Float64[np.ndarray, " t"]:
    return l1(generated.frames, reference.frames)


def legacy(generated: ScoredClip, reference: ScoredClip) -> Float64[np.ndarray, " t"]:
    # Measured where a model's frames are made; what no model made has 8-bit frames and nothing else.
    return score(generated, reference) if generated.l1 is None else generated.l1
