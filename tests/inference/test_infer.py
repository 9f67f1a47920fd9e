"""What is reported as motion is where a method's own sampling takes a pixel from."""

import numpy as np
import pytest
import torch

from baselines.layers import warp_and_mask
from tpsm.core.tensors import to_frames, to_truncated_frames
from tpsm.core.types import Motion
from tpsm.methods import METHODS, method_module
from tpsm.methods.base import full_motion
from tpsm.nn.geometry import coordinate_grid, resize_grid, warp


def gentle_motion(rows: int, columns: int) -> torch.Tensor:
    """Shrinks and shifts, so that nothing comes from beyond the picture."""
    grid = coordinate_grid(rows, columns, torch.zeros(1))
    return (0.7 * grid + torch.tensor([0.1, -0.05]) + 0.05 * torch.sin(3 * grid.flip(-1)))[None]


@pytest.mark.parametrize("method", METHODS)
def test_motion_is_where_the_sampling_takes_a_pixel_from(method: str) -> None:
    height, width = 32, 48
    ramp = coordinate_grid(height, width, torch.zeros(1)).permute(2, 0, 1)[None]  # a picture of its own coordinates
    grid = gentle_motion(8, 12)
    with torch.device("meta"):
        model = method_module(method).Model(method_module(method).Config())
    if method == "tps":
        taken = warp(ramp, resize_grid(grid, (height, width), align_corners=True), align_corners=True)
    else:  # the released conventions, by the baselines' own function
        motion = Motion(grid, (torch.ones(1, 1, 8, 12),), torch.ones(1, 1, 8, 12))
        taken, _ = warp_and_mask(ramp, motion, model.align_corners)
    reported = full_motion(model, grid, (height, width))
    assert (taken[0].permute(1, 2, 0) - reported[0]).abs().max() < 1e-5


def test_frames_are_rounded_not_truncated() -> None:
    image = torch.tensor([0.0, 0.4999 / 255, 0.5001 / 255, 254.6 / 255, 1.2, -0.3]).view(1, 1, 1, 6).expand(1, 3, 1, 6)
    assert to_frames(image)[0, 0, :, 0].tolist() == [0, 0, 1, 255, 255, 0]
    assert to_truncated_frames(image)[0, 0, :, 0].tolist() == [0, 0, 0, 254, 255, 0]


def test_truncated_frames_are_the_released_codes_and_one_below_where_rounding_went_up() -> None:
    image = torch.rand(2, 3, 32, 48, generator=torch.Generator().manual_seed(0))
    image[0, :, :16, :16] = torch.arange(256).view(16, 16) / 255  # values that are levels already
    truncated, rounded = to_truncated_frames(image), to_frames(image)
    np.testing.assert_array_equal(truncated, (255 * image.permute(0, 2, 3, 1).numpy()).astype(np.uint8))
    np.testing.assert_array_equal(rounded - (rounded > truncated), truncated)
