"""Draws what a run has learnt so far: source | driving | prediction | motion | masks, with one row per pair."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate

from tpsm.core.files import atomic
from tpsm.core.tensors import to_frames
from tpsm.core.types import FramePair
from tpsm.methods.base import Method, full_motion
from tpsm.nn.geometry import coordinate_grid


@torch.inference_mode()
def write_preview(method: Method, pair: FramePair, path: Path) -> None:
    """Writes the preview of `pair`, every pixel twice as large, as an image in `path`."""
    # The prediction, in eval mode.
    training = method.training
    method.eval()
    code = method.encode(pair.source)
    background = method.background(pair.source, pair.driving)
    prediction = method.render(code, method.keypoints(pair.driving), background)
    method.train(training)

    # The columns of the image, from left to right.
    size = (pair.source.shape[-2], pair.source.shape[-1])
    columns = [to_frames(image) for image in (pair.source, pair.driving, prediction.image)]
    columns.append(colour_motion(full_motion(method, prediction.motion.grid, size)))
    for mask in prediction.motion.occlusion:
        columns.append(to_frames(interpolate(mask, size, mode="nearest").expand(-1, 3, -1, -1)))
    sheet = np.concatenate([np.concatenate(list(column)) for column in columns], axis=1)
    with atomic(path) as draft:
        Image.fromarray(sheet.repeat(2, 0).repeat(2, 1)).save(draft)


def colour_motion(grid: Float[Tensor, "n h w 2"]) -> UInt8[np.ndarray, "n h w 3"]:
    """Draws motion as hue (its direction) and saturation (its length; full at half the image)."""
    shift = grid - coordinate_grid(grid.shape[1], grid.shape[2], grid)
    from matplotlib.colors import hsv_to_rgb  # Here: Matplotlib takes long to load.

    dx, dy = shift.cpu().numpy().transpose(3, 0, 1, 2)
    hue = np.arctan2(dy, dx) / (2 * np.pi) + 0.5
    strength = np.clip(np.hypot(dx, dy), 0, 1)
    return (255 * hsv_to_rgb(np.stack([hue, strength, np.ones_like(hue)], axis=-1))).astype(np.uint8)
