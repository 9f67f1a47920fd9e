"""Animates relatively: changes the source's pose as the driving video's pose changes from its first frame."""

from __future__ import annotations

import math

from jaxtyping import Float
from torch import Tensor

from tpsm.core.types import Keypoints
from tpsm.nn.geometry import inverse


def relative_keypoints(source: Keypoints, driving: Keypoints, initial: Keypoints, adapt_scale: bool) -> Keypoints:
    """Returns the keypoints of relative animation, one set for each in `driving`.

    `driving` is a batch; `source` and `initial` (the driving video's first frame) are of one image each. They give xy =
    s + scale (d - d0), with scale the root of the ratio of the hulls' areas of s and d0 (1 unless `adapt_scale`);
    affine = A_d A_d0^-1 A_s. The covariance stays the driving one, as in MRAA's released code.
    """
    scale = math.sqrt(area_ratio(source.xy[0], initial.xy[0])) if adapt_scale else 1.0
    affine = None
    if source.affine is not None and driving.affine is not None and initial.affine is not None:
        affine = driving.affine @ inverse(initial.affine) @ source.affine
    return Keypoints(source.xy + scale * (driving.xy - initial.xy), affine, driving.covariance)


def area_ratio(source: Float[Tensor, "k 2"], initial: Float[Tensor, "k 2"]) -> float:
    """Returns the area of the source's convex hull over that of the initial frame's; 1 where either has no area."""
    areas = hull_area(source), hull_area(initial)
    return areas[0] / areas[1] if min(areas) > 0 else 1.0


def hull_area(points: Float[Tensor, "k 2"]) -> float:
    """Returns the area of the convex hull; 0 for fewer than 3 points, and for points on one line."""
    if points.shape[0] < 3:
        return 0.0
    from scipy.spatial import ConvexHull, QhullError  # Here: SciPy takes long to load.

    try:
        return float(ConvexHull(points.detach().double().cpu().numpy()).volume)
    except QhullError:  # Qhull's way to say that all points lie on one line.
        return 0.0
