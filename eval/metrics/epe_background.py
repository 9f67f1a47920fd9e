"""End-point error of the predicted dense motion on the pixels of the background alone."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64

from eval.metrics import Metric
from eval.metrics.epe import epe_where
from eval.types import ScoredClip

METRIC = Metric(
    name="epe_background",
    title="EPE background",
    unit="px",
    lower_is_better=True,
    decimals=2,
    source="EPE over the pixels that show the background, which the camera alone moves (true labels; "
    "synthetic sets only)",
    needs=("motion", "truth"),
)


def score(generated: ScoredClip, reference: ScoredClip) -> Float64[np.ndarray, " t"]:
    """`epe` per frame over the pixels of the background; NaN where none was visible in frame 0 as well.

    >>> from tpsm.core.clips import GroundTruth
    >>> frames, still = np.zeros((1, 1, 3, 3), np.uint8), np.tile(np.eye(2, 3, dtype=np.float32), (1, 2, 1, 1))
    >>> labels = np.array([[[0, 1, 1]]], np.uint8)  # a pixel of the background and two of the figure
    >>> truth = GroundTruth(np.zeros((1, 0, 2), np.float32), np.zeros((1, 0), bool), labels, still)
    >>> motion = truth.motion(0)[None] + np.array([[[1, 0], [0, 0], [0, 0]]], np.float32)
    >>> score(ScoredClip(frames, motion=motion), ScoredClip(frames, truth=truth)).tolist()
    [1.0]
    """
    return epe_where(lambda labels: labels == 0, generated, reference)
