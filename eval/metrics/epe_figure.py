"""End-point error of the predicted dense motion on the pixels of the figure alone."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64

from eval.metrics import Metric
from eval.metrics.epe import epe
from eval.types import ScoredClip

METRIC = Metric(
    name="epe_figure",
    title="EPE figure",
    unit="px",
    lower_is_better=True,
    decimals=2,
    source="EPE over the pixels that show whatever moves before the background (true labels; synthetic sets only)",
    needs=("motion", "truth"),
)


def score(generated: ScoredClip, reference: ScoredClip) -> Float64[np.ndarray, " t"]:
    """One value per frame of `t`, in pixels; NaN where no pixel of the figure was visible in frame 0 as well."""
    truth, motion = reference.truth, generated.motion
    assert truth is not None and motion is not None
    counts = [truth.motion_is_visible(t) & (truth.labels[t] > 0) for t in range(len(motion))]
    return np.array([epe(p, truth.motion(t), counts[t]) for t, p in enumerate(motion)])
