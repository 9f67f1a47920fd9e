"""End-point error of the predicted dense motion."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float, Float64, UInt8

from eval.metrics import Metric
from eval.types import ScoredClip, to_pixels

METRIC = Metric(
    name="epe",
    title="EPE",
    unit="px",
    lower_is_better=True,
    decimals=2,
    source="Euclidean distance between predicted and true backward motion to frame 0, the prediction enlarged as the "
    "method itself enlarges it; mean over the pixels whose surface point is visible in frame 0 (optical-flow practice; "
    "synthetic sets only)",
    needs=("motion", "truth"),
)


def epe(
    predicted: Float[np.ndarray, "h w 2"], true: Float[np.ndarray, "h w 2"], counts: Bool[np.ndarray, "h w"]
) -> float:
    """Mean Euclidean distance in pixels, over the pixels that count, of motions in [-1, 1]; NaN where none counts.

    >>> true = np.zeros((5, 5, 2))
    >>> predicted = true + [0.5, 0.0]  # a unit is half the picture: 2 px between the centres of 5
    >>> epe(predicted, true, np.ones((5, 5), bool)), epe(predicted, true, np.zeros((5, 5), bool))
    (1.0, nan)
    """
    if not counts.any():
        return float("nan")
    height, width = counts.shape
    offset = to_pixels(predicted[counts], height, width) - to_pixels(true[counts], height, width)
    return float(np.linalg.norm(offset, axis=-1).mean())


def score(generated: ScoredClip, reference: ScoredClip) -> Float64[np.ndarray, " t"]:
    """`epe` of each frame, over the pixels whose surface point is visible in frame 0."""
    return epe_where(None, generated, reference)


def epe_where(
    counts: Callable[[UInt8[np.ndarray, "t h w"]], Bool[np.ndarray, "t h w"]] | None,
    generated: ScoredClip,
    reference: ScoredClip,
) -> Float64[np.ndarray, " t"]:
    """The same over those of the pixels that count by the part that they show; None counts all."""
    truth, motion = reference.truth, generated.motion
    assert truth is not None and motion is not None
    true, visible = truth.dense
    counted = visible if counts is None else visible & counts(truth.labels)
    return np.array([epe(*frame) for frame in zip(motion, true, counted, strict=True)])
