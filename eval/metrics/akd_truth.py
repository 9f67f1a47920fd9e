"""Average keypoint distance between detections in the generated frame and the joints that the data set knows."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64

from eval.metrics import Metric
from eval.metrics.akd import akd
from eval.types import ScoredClip, to_pixels
from tpsm.core.errors import UserError

METRIC = Metric(
    name="akd_truth",
    title="AKD to truth",
    unit="px",
    lower_is_better=True,
    decimals=2,
    source="AKD with the data set's true joints in place of detections in the real frame; joints that are visible "
    "there and found in the generated frame (this benchmark; synthetic sets only)",
    needs=("landmarks", "truth"),
    version=2,
)


def score(generated: ScoredClip, reference: ScoredClip) -> Float64[np.ndarray, " t"]:
    """`akd` to the true joints, of those that are visible and were found in the generated frame.

    >>> from eval.types import Landmarks
    >>> from tpsm.core.clips import GroundTruth
    >>> frames, seen = np.zeros((1, 5, 5, 3), np.uint8), np.array([[True]])
    >>> found = Landmarks(np.array([[[0.5, 0.0]]], np.float32), seen)
    >>> truth = GroundTruth(np.zeros((1, 1, 2), np.float32), seen, frames[..., 0], np.zeros((1, 1, 2, 3), np.float32))
    >>> score(ScoredClip(frames, found), ScoredClip(frames, truth=truth)).tolist()  # half a unit, which is 2 px
    [1.0]
    """
    assert generated.landmarks is not None and reference.truth is not None
    if generated.landmarks.xy.shape != reference.truth.joints.shape:
        raise UserError(
            "akd_truth needs a detector of the set's own joints (kind heatmap), and this one's are others; take it off "
            "the metrics."
        )
    joints = to_pixels(reference.truth.joints, *generated.size)
    both = generated.landmarks.found & reference.truth.visible
    return akd(generated.landmarks.pixels(*generated.size), joints, both)
