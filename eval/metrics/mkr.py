"""Missing keypoint rate."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float64

from eval.metrics import Metric
from eval.types import ScoredClip

METRIC = Metric(
    name="mkr",
    title="MKR",
    unit="share, 0 to 1",
    lower_is_better=True,
    decimals=3,
    source="joints found in the real frame and missed in the generated one, over joints found in the real frame; "
    "mean over frames with a joint in the real frame",
    legacy="the same formula",
    needs=("landmarks",),
    animation="driving",
)


def mkr(generated: Bool[np.ndarray, "t j"], real: Bool[np.ndarray, "t j"]) -> Float64[np.ndarray, " t"]:
    """Share of the `real` joints that `generated` lacks, per frame; NaN where `real` has none.

    >>> real = np.array([[True, True, False], [False, False, False]])
    >>> mkr(np.array([[True, False, True], [True, True, True]]), real).tolist()
    [0.5, nan]
    """
    present = real.sum(axis=1)
    missed = (real & ~generated).sum(axis=1)
    return np.where(present > 0, missed / np.maximum(present, 1), np.nan)


def score(generated: ScoredClip, reference: ScoredClip) -> Float64[np.ndarray, " t"]:
    """`mkr` of the joints that were found."""
    assert generated.landmarks is not None and reference.landmarks is not None
    return mkr(generated.landmarks.found, reference.landmarks.found)


legacy = score
