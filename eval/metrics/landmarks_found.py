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
    assert generated.landmarks is not None
    return np.asarray(generated.landmarks.found.any(axis=1), np.float64)
