"""Pictures so small that a network's bottom is a single pixel are refused; the next size trains."""

from __future__ import annotations

import pytest
import torch

from baselines import fomm, mraa
from baselines.layers import GeneratorConfig
from tpsm.core.errors import UserError
from tpsm.core.rng import BatchRng
from tpsm.core.types import FramePair
from tpsm.methods import tps
from tpsm.methods.base import Method
from tpsm.nn.blocks import HourglassConfig
from tpsm.nn.vgg import PerceptualConfig

SHALLOW, DEEP = HourglassConfig(4, 16, 1, 0.25), HourglassConfig(4, 16, 3, 0.25)
PIXELS = PerceptualConfig("pixels", weights=(1.0,))
GENERATOR = GeneratorConfig(4, 16, 2, 1)


def build(name: str) -> Method:
    method, deep = name.split("-")
    torch.manual_seed(0)
    if method == "tps":
        inpainting = tps.InpaintingConfig(4, 16, 3)
        return tps.Model(
            tps.Config(num_tps=2, encoder_width=4, dense_motion=DEEP, inpainting=inpainting, perceptual=PIXELS)
        )
    detector, motion = (DEEP if deep == part else SHALLOW for part in ("detector", "motion"))
    if method == "fomm":
        return fomm.Model(
            fomm.Config(num_keypoints=2, detector=detector, dense_motion=motion, generator=GENERATOR, perceptual=PIXELS)
        )
    return mraa.Model(
        mraa.Config(
            num_regions=2,
            detector=detector,
            dense_motion=motion,
            generator=GENERATOR,
            background=mraa.BackgroundConfig("affine", 4, 16, 5 if deep == "background" else 1),
            perceptual=PIXELS,
        )
    )


@pytest.mark.parametrize(
    "name", ["tps-motion", "fomm-detector", "fomm-motion", "mraa-detector", "mraa-motion", "mraa-background"]
)
def test_a_bottom_of_one_pixel_is_refused(name: str) -> None:
    model = build(name).train()
    small, large = (torch.rand(1, 3, side, side) for side in (32, 64))
    with pytest.raises(UserError, match=r"An image of 32 x 32 does not fit.* 64 at least"):
        model.losses(FramePair(small, small), 0, BatchRng(0))
    losses = model.losses(FramePair(large, large.flip(3)), 0, BatchRng(0))
    assert all(loss.isfinite() for loss in losses.values())
