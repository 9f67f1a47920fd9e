"""A fixture's configuration, weights and inputs, rebuilt as our objects."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import det
import numpy as np
import torch
from torch import Tensor, nn

from baselines import fomm, mraa
from baselines.layers import GeneratorConfig
from tpsm import model as tps
from tpsm import official
from tpsm.avd import AVD, AvdConfig
from tpsm.backbones import PerceptualConfig
from tpsm.blocks import HourglassConfig
from tpsm.method import Method
from tpsm.random_tps import RandomTPS
from tpsm.types import Keypoints

NO_PERCEPTUAL = PerceptualConfig(weights=())


@dataclass(frozen=True)
class Reference:
    entries: dict[str, np.ndarray]
    config: dict[str, Any]

    @staticmethod
    def read(file: Path) -> Reference:
        with np.load(file) as archive:
            entries = {key: archive[key] for key in archive.files if key != "config"}
            return Reference(entries, json.loads(str(archive["config"])))

    def method(self) -> Method:
        model = {"tps": _tps, "fomm": _fomm, "mraa": _mraa}[self.config["method"]](self.config)
        if self.config["align_corners"] != model.align_corners if "align_corners" in self.config else False:
            raise ValueError("the fixture has the other align_corners")
        model.load_official(official_state(model))
        return model

    def avd(self, keypoints: Keypoints) -> AVD:
        sizes = self.config["avd"]
        avd = AVD.like(keypoints, AvdConfig(id_bottle=sizes["id_bottle_size"], pose_bottle=sizes["pose_bottle_size"]))
        official.take(avd, {"avd_network": det_state(avd, "avd_network")}, "avd_network")
        return avd

    def image(self, name: str) -> Tensor:
        return torch.from_numpy(det.image(name, 2, self.config["size"]))

    def transform(self) -> RandomTPS:
        theta = torch.eye(2, 3) + torch.from_numpy(self.entries["transform/theta_noise"])
        weights = torch.from_numpy(self.entries["transform/control_params"]).flatten(1)
        return RandomTPS(theta, weights, "squared_l2" if self.config["method"] == "tps" else "l1")


def det_state(module: nn.Module, name: str) -> dict[str, Tensor]:
    """The deterministic weights; fixed kernels keep the value of their formula."""
    return {
        key: value
        if key.endswith("down.weight")
        else torch.from_numpy(np.asarray(det.parameter(f"{name}.{key}", tuple(value.shape)))).to(value.dtype)
        for key, value in module.state_dict().items()
    }


def official_state(model: nn.Module) -> dict[str, dict[str, Tensor]]:
    return {name: det_state(module, name) for name, module in model.named_children()}


def _hourglass(values: dict[str, Any]) -> HourglassConfig:
    return HourglassConfig(
        values["block_expansion"], values["max_features"], values["num_blocks"], values.get("scale_factor", 1.0)
    )


def _tps(config: dict[str, Any]) -> Method:
    generator = config["generator"]
    return tps.Model(
        tps.Config(
            num_tps=config["num_tps"],
            background=config["bg"],
            background_start=0,
            multi_mask=config["multi_mask"],
            dense_motion=_hourglass(config["dense_motion"]),
            inpainting=tps.InpaintingConfig(
                generator["block_expansion"], generator["max_features"], generator["num_down_blocks"]
            ),
            dropout=None,
            perceptual=NO_PERCEPTUAL,
            weights=tps.LossWeights(warp=10.0 if config["multi_mask"] else 0.0),
        )
    )


def _generator(values: dict[str, Any]) -> GeneratorConfig:
    return GeneratorConfig(
        values["block_expansion"], values["max_features"], values["num_down_blocks"], values["num_bottleneck_blocks"]
    )


def _fomm(config: dict[str, Any]) -> Method:
    return fomm.Model(
        fomm.Config(
            num_keypoints=config["num_kp"],
            jacobian=config["jacobian"],
            single_jacobian=config.get("single_jacobian_map", False),
            temperature=config["kp_detector"]["temperature"],
            detector=_hourglass(config["kp_detector"]),
            dense_motion=_hourglass(config["generator"]["dense_motion_params"]),
            generator=_generator(config["generator"]),
            perceptual=NO_PERCEPTUAL,
        )
    )


def _mraa(config: dict[str, Any]) -> Method:
    background = config["bg_predictor"]
    return mraa.Model(
        mraa.Config(
            num_regions=config["num_regions"],
            pca=config["region_predictor"]["pca_based"],
            padding=config["region_predictor"].get("pad", 3),
            temperature=config["region_predictor"]["temperature"],
            skips=config["generator"]["skips"],
            detector=_hourglass(config["region_predictor"]),
            dense_motion=_hourglass(config["generator"]["pixelwise_flow_predictor_params"]),
            generator=_generator(config["generator"]),
            background=mraa.BackgroundConfig(
                background["bg_type"],
                background["block_expansion"],
                background["max_features"],
                background["num_blocks"],
            ),
            perceptual=NO_PERCEPTUAL,
        )
    )
