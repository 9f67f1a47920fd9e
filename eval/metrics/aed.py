"""Average distance of identity embeddings."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Float64

from eval.metrics import Metric
from eval.types import ScoredClip

METRIC = Metric(
    name="aed",
    title="AED",
    unit="distance, of unit vectors 0 to 2",
    lower_is_better=True,
    decimals=3,
    source="Euclidean distance of the two frames' identity embeddings; mean over frames with both. "
    "In animation: against the source clip's first frame",
    legacy="the squared distance",
    needs=("identity",),
    animation="source",
    version=2,
)


def aed(generated: Float[np.ndarray, "t d"], real: Float[np.ndarray, "t d"]) -> Float64[np.ndarray, " t"]:
    """Euclidean distance, a frame; NaN where either has no embedding."""
    return np.linalg.norm(np.asarray(generated, np.float64) - real, axis=1)


def aed_legacy(generated: Float[np.ndarray, "t d"], real: Float[np.ndarray, "t d"]) -> Float64[np.ndarray, " t"]:
    """Squared Euclidean distance, a frame; NaN where either has no embedding."""
    return np.square(np.asarray(generated, np.float64) - real).sum(axis=1)


def score(generated: ScoredClip, reference: ScoredClip) -> Float64[np.ndarray, " t"]:
    assert generated.embedding is not None and reference.embedding is not None
    return aed(generated.embedding, reference.embedding)


def legacy(generated: ScoredClip, reference: ScoredClip) -> Float64[np.ndarray, " t"]:
    assert generated.embedding is not None and reference.embedding is not None
    return aed_legacy(generated.embedding, reference.embedding)
