"""Average keypoint distance between detections in the generated and in the real frame."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Float64

from eval.metrics import Metric, Sequence

METRIC = Metric(
    name="akd",
    title="AKD",
    unit="px",
    lower_is_better=True,
    decimals=2,
    source="mean |difference| over x and y of the joints found in both frames (not Euclidean), in pixels of the frame; "
    "mean over frames with such a joint (pose-evaluation)",
    needs=("landmarks",),
    animation="driving",
    modes=("standard",),
)


def akd(
    generated: Float[np.ndarray, "t j 2"],
    real: Float[np.ndarray, "t j 2"],
    both: Bool[np.ndarray, "t j"],
) -> Float64[np.ndarray, " t"]:
    """Mean absolute coordinate difference a frame, over the joints in `both`; NaN where there are none."""
    distance = np.abs(generated - real).mean(axis=-1, dtype=np.float64)
    count = both.sum(axis=1)
    total = np.where(both, distance, 0).sum(axis=1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def score(generated: Sequence, reference: Sequence) -> Float64[np.ndarray, " t"]:
    assert generated.landmarks is not None and reference.landmarks is not None
    both = generated.landmarks.found & reference.landmarks.found
    return akd(generated.landmarks.pixels(*generated.size), reference.landmarks.pixels(*generated.size), both)
