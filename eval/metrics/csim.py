"""Cosine similarity of identity embeddings across identities."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Float64

from eval.metrics import Metric
from eval.types import ScoredClip

METRIC = Metric(
    name="csim",
    title="CSIM",
    unit="cosine, -1 to 1",
    lower_is_better=False,
    decimals=3,
    source="cosine of the angle between the identity embeddings of the animated frame and of the source's first frame; "
    "mean over frames with both (as in the literature on talking heads, by this data set's evaluator)",
    needs=("identity",),
    reconstruction=False,
    animation="source",
)


def csim(generated: Float[np.ndarray, "t d"], source: Float[np.ndarray, "t d"]) -> Float64[np.ndarray, " t"]:
    """Cosine per frame; NaN where either has no embedding, or one without length.

    >>> csim(np.array([[1.2, 1.6], [0.0, 0.0]]), np.array([[1.0, 0.0], [1.0, 0.0]])).round(2).tolist()
    [0.6, nan]
    """
    mine, theirs = np.asarray(generated, np.float64), np.asarray(source, np.float64)
    lengths = np.linalg.norm(mine, axis=1) * np.linalg.norm(theirs, axis=1)
    return np.divide((mine * theirs).sum(axis=1), lengths, out=np.full(len(mine), np.nan), where=lengths > 0)


def score(generated: ScoredClip, reference: ScoredClip) -> Float64[np.ndarray, " t"]:
    """`csim` of the clips' embeddings."""
    assert generated.embedding is not None and reference.embedding is not None
    return csim(generated.embedding, reference.embedding)
