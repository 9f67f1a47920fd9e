"""End-point error of the predicted dense motion."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64
from torch.nn import functional

from eval.metrics import Metric, Sequence, to_pixels

METRIC = Metric(
    name="epe",
    title="EPE",
    unit="px",
    lower_is_better=True,
    decimals=2,
    source="Euclidean distance between predicted and true backward motion to frame 0, the "
    "prediction upsampled bilinearly; mean over the pixels whose surface point is visible in frame 0 "
    "(optical-flow practice; synthetic sets only)",
    needs=("motion", "truth"),
)


def upsample(grid: Float[np.ndarray, "t a b 2"], height: int, width: int) -> Float[np.ndarray, "t {height} {width} 2"]:
    """Bilinear, corner pixels' centres kept at the corners, as the grid's coordinates have them."""
    planes = torch.from_numpy(np.ascontiguousarray(grid)).permute(0, 3, 1, 2)
    large = functional.interpolate(planes, size=(height, width), mode="bilinear", align_corners=True)
    return large.permute(0, 2, 3, 1).numpy()


def epe(
    predicted: Float[np.ndarray, "h w 2"], true: Float[np.ndarray, "h w 2"], counts: Bool[np.ndarray, "h w"]
) -> float:
    """Mean Euclidean distance in pixels, over the pixels that count, of motions in [-1, 1]; NaN where none counts."""
    if not counts.any():
        return float("nan")
    height, width = counts.shape
    offset = to_pixels(predicted[counts], height, width) - to_pixels(true[counts], height, width)
    return float(np.linalg.norm(offset, axis=-1).mean())


def score(generated: Sequence, reference: Sequence) -> Float64[np.ndarray, " t"]:
    truth, motion = reference.truth, generated.motion
    assert truth is not None and motion is not None
    predicted = upsample(motion, *reference.size)
    return np.array([epe(p, truth.motion(t), truth.motion_is_visible(t)) for t, p in enumerate(predicted)])
