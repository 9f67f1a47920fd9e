"""How well an animated clip follows the driving pose, whatever the place and size of the figure."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Float64

from eval.metrics import Metric
from eval.metrics.akd import akd
from eval.types import ScoredClip

METRIC = Metric(
    name="pose",
    title="Pose",
    unit="px of the driving figure",
    lower_is_better=True,
    decimals=2,
    source="AKD to the driving frame after each frame's joints found in both were moved to their mean and "
    "scaled to the driving figure's "
    "root-mean-square radius (this benchmark; limb lengths of two identities differ, so it is not 0 "
    "for a perfect animation)",
    needs=("landmarks",),
    reconstruction=False,
    animation="driving",
    version=2,
)
FEWEST = 3
"""Two points lie on a line and always fit after moving and scaling up to a rotation; three say something of a pose."""


def pose(
    generated: Float[np.ndarray, "t j 2"], driving: Float[np.ndarray, "t j 2"], both: Bool[np.ndarray, "t j"]
) -> Float64[np.ndarray, " t"]:
    """AKD of centred joints, `generated` scaled to `driving`; NaN below three joints or where one figure is a point.

    >>> driving = np.array([[[0.0, 0.0], [3.0, 0.0], [0.0, 4.0]]])
    >>> pose(2 * driving + 5, driving, np.array([[True, True, True]])).round(6).tolist()  # larger, elsewhere
    [0.0]
    >>> pose(driving, driving, np.array([[True, True, False]])).tolist()
    [nan]
    """
    counts = both.sum(axis=1) >= FEWEST
    mine, radius = _centre(generated, both)
    theirs, size = _centre(driving, both)
    counts &= (radius > 0) & (size > 0)
    scale = np.divide(size, radius, out=np.ones_like(size), where=counts)
    return np.where(counts, akd(mine * scale[:, None, None], theirs, both), np.nan)


def _centre(
    points: Float[np.ndarray, "t j 2"], counted: Bool[np.ndarray, "t j"]
) -> tuple[Float64[np.ndarray, "t j 2"], Float64[np.ndarray, " t"]]:
    """Points about the mean of those counted, and the latter's root-mean-square distance from it."""
    weight = counted[..., None] / np.maximum(counted.sum(axis=1), 1)[:, None, None]
    centred = points - (points * weight).sum(axis=1, keepdims=True)
    return centred, np.sqrt((np.square(centred) * weight).sum(axis=(1, 2)))


def score(generated: ScoredClip, reference: ScoredClip) -> Float64[np.ndarray, " t"]:
    """`pose` of the joints that were found in both clips."""
    assert generated.landmarks is not None and reference.landmarks is not None
    both = generated.landmarks.found & reference.landmarks.found
    return pose(generated.landmarks.pixels(*generated.size), reference.landmarks.pixels(*generated.size), both)
