"""Average keypoint distance between detections in the generated and in the real frame."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Float64

from eval.metrics import Metric
from eval.types import ScoredClip

METRIC = Metric(
    name="akd",
    title="AKD",
    unit="px",
    lower_is_better=True,
    decimals=2,
    source="mean Euclidean distance of the joints found in both frames, in pixels of the frame; mean over frames with "
    "such a joint",
    legacy="mean |difference| over x and y apart, which is not Euclidean. Where a real frame shows no face the program "
    "stops; here that frame is left out",
    needs=("landmarks",),
    animation="driving",
    modes=("standard",),
    version=2,
)


def akd(
    generated: Float[np.ndarray, "t j 2"],
    real: Float[np.ndarray, "t j 2"],
    both: Bool[np.ndarray, "t j"],
) -> Float64[np.ndarray, " t"]:
    """Mean Euclidean distance per frame, over the joints in `both`; NaN where there are none.

    >>> generated, real = np.array([[[3.0, 4.0], [0.0, 0.0]]]), np.zeros((1, 2, 2))
    >>> akd(generated, real, np.array([[True, True]])).tolist()  # 5 px and 0 px
    [2.5]
    >>> akd(generated, real, np.array([[True, False]])).tolist()
    [5.0]
    """
    return _mean_over_joints(np.linalg.norm(np.asarray(generated, np.float64) - real, axis=-1), both)


def akd_legacy(
    generated: Float[np.ndarray, "t j 2"],
    real: Float[np.ndarray, "t j 2"],
    both: Bool[np.ndarray, "t j"],
) -> Float64[np.ndarray, " t"]:
    """Mean absolute coordinate difference per frame, over the joints in `both`; NaN where there are none.

    >>> akd_legacy(np.array([[[3.0, 4.0]]]), np.zeros((1, 1, 2)), np.array([[True]])).tolist()
    [3.5]
    """
    return _mean_over_joints(np.abs(np.asarray(generated, np.float64) - real).mean(axis=-1), both)


def _mean_over_joints(
    distance: Float64[np.ndarray, "t j"], counted: Bool[np.ndarray, "t j"]
) -> Float64[np.ndarray, " t"]:
    count = counted.sum(axis=1)
    total = np.where(counted, distance, 0).sum(axis=1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def score(generated: ScoredClip, reference: ScoredClip) -> Float64[np.ndarray, " t"]:
    """`akd` of the joints that were found in both clips."""
    return akd(*_detections(generated, reference))


def legacy(generated: ScoredClip, reference: ScoredClip) -> Float64[np.ndarray, " t"]:
    """`akd_legacy` of the joints that were found in both clips."""
    return akd_legacy(*_detections(generated, reference))


def _detections(
    generated: ScoredClip, reference: ScoredClip
) -> tuple[Float64[np.ndarray, "t j 2"], Float64[np.ndarray, "t j 2"], Bool[np.ndarray, "t j"]]:
    """Both's joints in pixels, and which were found in both."""
    mine, theirs = generated.landmarks, reference.landmarks
    assert mine is not None and theirs is not None
    return mine.pixels(*generated.size), theirs.pixels(*generated.size), mine.found & theirs.found
