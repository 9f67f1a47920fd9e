"""Every method small enough to test, and pictures to try it on."""

from __future__ import annotations

from dataclasses import replace

import torch

from baselines import fomm, mraa
from baselines.layers import GeneratorConfig
from tpsm.core.types import FramePair
from tpsm.methods import method_module, tps
from tpsm.methods.base import Method
from tpsm.nn.blocks import HourglassConfig
from tpsm.nn.vgg import PerceptualConfig

SMALL = HourglassConfig(4, 16, 2, 0.25)
COMMON = {"dense_motion": SMALL, "perceptual": PerceptualConfig("pixels", weights=(1.0,))}
GENERATOR = GeneratorConfig(4, 16, 2, 1)
CONFIGS = {
    "tps": tps.Config(
        num_tps=3, encoder_width=4, background_start=2, inpainting=tps.InpaintingConfig(4, 16, 3), **COMMON
    ),
    "fomm": fomm.Config(num_keypoints=3, detector=replace(SMALL, scale_factor=0.5), generator=GENERATOR, **COMMON),
    "mraa": mraa.Config(
        num_regions=3,
        detector=replace(SMALL, scale_factor=0.5),
        generator=GENERATOR,
        background=mraa.BackgroundConfig("affine", 4, 16, 2),
        **COMMON,
    ),
}
VARIANTS = {
    "tps-one-mask": replace(CONFIGS["tps"], multi_mask=False, background=False, dropout=None),
    "fomm-not-aligned": replace(CONFIGS["fomm"], align_corners=False),
    "mraa-one-covariance": replace(CONFIGS["mraa"], covariance_heatmaps=False),
    "fomm-one-jacobian": replace(CONFIGS["fomm"], single_jacobian=True),
    "fomm-no-jacobian": replace(CONFIGS["fomm"], jacobian=False),
    "fomm-full-scale": replace(CONFIGS["fomm"], detector=replace(SMALL, scale_factor=1.0)),
    "mraa-no-pca": replace(CONFIGS["mraa"], pca=False),
    "mraa-no-skips": replace(CONFIGS["mraa"], skips=False, padding=0),
    "mraa-still": replace(CONFIGS["mraa"], background=mraa.BackgroundConfig("zero", 4, 16, 2)),
    "mraa-shift": replace(CONFIGS["mraa"], background=mraa.BackgroundConfig("shift", 4, 16, 2)),
    "mraa-perspective": replace(CONFIGS["mraa"], background=mraa.BackgroundConfig("perspective", 4, 16, 2)),
}
ALL = CONFIGS | VARIANTS


def make(name: str) -> Method:
    torch.manual_seed(0)
    return method_module(name.split("-")[0]).Model(ALL[name])


def pictures(batch: int, size: int = 32) -> FramePair:
    rng = torch.Generator().manual_seed(0)
    return FramePair(torch.rand(batch, 3, size, size, generator=rng), torch.rand(batch, 3, size, size, generator=rng))
