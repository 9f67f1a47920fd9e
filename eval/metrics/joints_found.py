"""How many of its joints the landmark evaluator finds in generated frames."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64

from eval.metrics import Metric
from eval.types import ScoredClip

METRIC = Metric(
    name="joints_found",
    title="Joints found",
    unit="share, 0 to 1",
    lower_is_better=False,
    decimals=3,
    source="joints found in the generated frame, over all that the detector looks for; mean over frames",
    needs=("landmarks",),
    animation="driving",
    detection=True,
)


def score(generated: ScoredClip, reference: ScoredClip) -> Float64[np.ndarray, " t"]:
    """Share of all joints that was found, per generated frame.

    >>> from eval.types import Landmarks
    >>> found = np.array([[True, True], [True, False], [False, False]])
    >>> clip = ScoredClip(np.zeros((3, 8, 8, 3), np.uint8), Landmarks(np.zeros((3, 2, 2), np.float32), found))
    >>> score(clip, clip).tolist()
    [1.0, 0.5, 0.0]
    """
    assert generated.landmarks is not None
    return generated.landmarks.found.mean(axis=1, dtype=np.float64)
