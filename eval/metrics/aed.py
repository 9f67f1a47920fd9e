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
    """Euclidean distance per frame; NaN where either has no embedding.

    >>> aed(np.array([[0.6, 0.8], [np.nan, np.nan]]), np.array([[0.6, -0.8], [1.0, 0.0]])).round(2).tolist()
    [1.6, nan]
    """
    return np.linalg.norm(np.asarray(generated, np.float64) - real, axis=1)


def aed_legacy(generated: Float[np.ndarray, "t d"], real: Float[np.ndarray, "t d"]) -> Float64[np.ndarray, " t"]:
    """Squared Euclidean distance per frame; NaN where either has no embedding.

    >>> aed_legacy(np.array([[0.6, 0.8]]), np.array([[0.6, -0.8]])).round(2).tolist()
    [2.56]
    """
    return np.square(np.asarray(generated, np.float64) - real).sum(axis=1)


def score(generated: ScoredClip, reference: ScoredClip) -> Float64[np.ndarray, " t"]:
    """`aed` of the clips' embeddings."""
    assert generated.embedding is not None and reference.embedding is not None
    return aed(generated.embedding, reference.embedding)


def legacy(generated: ScoredClip, reference: ScoredClip) -> Float64[np.ndarray, " t"]:
    """`aed_legacy` of the clips' embeddings."""
    assert generated.embedding is not None and reference.embedding is not None
    return aed_legacy(generated.embedding, reference.embedding)
