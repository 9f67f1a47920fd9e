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
    """Mean absolute difference per frame, of images in [0, 1].

    >>> real = np.zeros((2, 4, 4, 3), np.uint8)
    >>> l1(real + np.array([0, 51], np.uint8)[:, None, None, None], real).tolist()  # 51 of 255 is a fifth
    [0.0, 0.2]
    """
    pairs = zip(generated, real, strict=True)
    return np.array([np.abs(mine.astype(np.int16) - theirs).mean(dtype=np.float64) for mine, theirs in pairs]) / 255


def score(generated: ScoredClip, reference: ScoredClip) -> Float64[np.ndarray, " t"]:
    """`l1` of the clips' 8-bit frames."""
    return l1(generated.frames, reference.frames)


def legacy(generated: ScoredClip, reference: ScoredClip) -> Float64[np.ndarray, " t"]:
    """The value that was measured where a model's frames were made; `l1` of what no model made, which has 8-bit frames
    and nothing else."""
    return score(generated, reference) if generated.l1 is None else generated.l1
