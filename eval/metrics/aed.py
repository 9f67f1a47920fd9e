"""Average distance of identity embeddings."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Float64

from eval.metrics import Metric, Sequence

METRIC = Metric(
    name="aed",
    title="AED",
    unit="squared distance of unit vectors, 0 to 4",
    lower_is_better=True,
    decimals=3,
    source="squared Euclidean distance of the two frames' identity embeddings; mean over frames (pose-evaluation). "
    "In animation: against the source clip's first frame",
    needs=("identity",),
    animation="source",
)


def aed(generated: Float[np.ndarray, "t d"], real: Float[np.ndarray, "t d"]) -> Float64[np.ndarray, " t"]:
    """Squared Euclidean distance, a frame."""
    return np.square(np.asarray(generated, np.float64) - real).sum(axis=1)


def score(generated: Sequence, reference: Sequence) -> Float64[np.ndarray, " t"]:
    assert generated.embedding is not None and reference.embedding is not None
    return aed(generated.embedding, reference.embedding)
