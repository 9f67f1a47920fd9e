"""How often the identity evaluator reads generated frames."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64

from eval.metrics import Metric
from eval.types import ScoredClip

METRIC = Metric(
    name="identity_found",
    title="Identity found",
    unit="share, 0 to 1",
    lower_is_better=False,
    decimals=3,
    source="share of the generated frames that have an identity embedding (with a face encoder: that show a face)",
    needs=("identity",),
    animation="driving",
    detection=True,
)


def score(generated: ScoredClip, reference: ScoredClip) -> Float64[np.ndarray, " t"]:
    """1 per frame that has an embedding, or else 0.

    >>> embedding = np.array([[0.6, 0.8], [np.nan, np.nan]], np.float32)
    >>> clip = ScoredClip(np.zeros((2, 8, 8, 3), np.uint8), embedding=embedding)
    >>> score(clip, clip).tolist()
    [1.0, 0.0]
    """
    assert generated.embedding is not None
    return np.isfinite(generated.embedding).all(axis=1).astype(np.float64)
