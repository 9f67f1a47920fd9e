"""How often the landmark evaluator finds anything in generated frames."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64

from eval.metrics import Metric
from eval.types import ScoredClip

METRIC = Metric(
    name="landmarks_found",
    title="Landmarks found",
    unit="share, 0 to 1",
    lower_is_better=False,
    decimals=3,
    source="share of the generated frames in which any joint is found",
    needs=("landmarks",),
    animation="driving",
    detection=True,
)


def score(generated: ScoredClip, reference: ScoredClip) -> Float64[np.ndarray, " t"]:
    """1 per generated frame in which any joint was found, or else 0.

    >>> from eval.types import Landmarks
    >>> found = np.array([[True, True], [True, False], [False, False]])
    >>> clip = ScoredClip(np.zeros((3, 8, 8, 3), np.uint8), Landmarks(np.zeros((3, 2, 2), np.float32), found))
    >>> score(clip, clip).tolist()
    [1.0, 1.0, 0.0]
    """
    assert generated.landmarks is not None
    return np.asarray(generated.landmarks.found.any(axis=1), np.float64)
