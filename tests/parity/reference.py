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
from tpsm.core.types import Keypoints
from tpsm.methods import tps
from tpsm.methods.avd import AVD
from tpsm.methods.avd_config import AvdConfig
from tpsm.methods.base import Method
from tpsm.nn.blocks import HourglassConfig
from tpsm.nn.random_tps import RandomTPS
from tpsm.nn.state_dict import ReleasedModules, load_strictly
from tpsm.nn.vgg import PerceptualConfig

NO_PERCEPTUAL = PerceptualConfig(weights=())
# The names that released losses have, and ours.
LOSSES = {
    "equivariance_value": "equivariance",
    "equivariance_jacobian": "jacobian",
    "equivariance_shift": "equivariance",
    "equivariance_affine": "affine",
    "warp_loss": "warp",
    "bg": "background",
    "gen_gan": "generator_gan",
    "generator_gan": "generator_gan",
    "feature_matching": "feature_matching",
    "disc_gan": "discriminator_gan",
    "discriminator_gan": "discriminator_gan",
}

# The keys of a fixture's configuration that are known here, by section. A list holds the only values that we compute.
ANY: list[Any] = []
BLOCKS = {"block_expansion": ANY, "max_features": ANY, "num_blocks": ANY, "scale_factor": ANY}
GENERATOR = {
    "block_expansion": ANY,
    "max_features": ANY,
    "num_down_blocks": ANY,
    "num_bottleneck_blocks": ANY,
    "estimate_occlusion_map": [True],
}
CRITIC = {key: ANY for key in ("block_expansion", "max_features", "num_blocks", "sn", "use_kp")} | {"scales": [[1]]}
COMMON = {
    "method": ANY,
    "torch": ANY,
    "size": ANY,
    "num_channels": [3],
    "avd": {"id_bottle_size": ANY, "pose_bottle_size": ANY},
    "loss_weights": dict.fromkeys(LOSSES, ANY) | {"perceptual": ANY},
}
KNOWN: dict[str, dict[str, Any]] = {
    "tps": {
        "align_corners": [True],
        "num_tps": ANY,
        "bg": ANY,
        "multi_mask": ANY,
        "generator": {"block_expansion": ANY, "max_features": ANY, "num_down_blocks": ANY},
        "dense_motion": BLOCKS,
    },
    "fomm": {
        "align_corners": ANY,
        "num_kp": ANY,
        "jacobian": ANY,
        "single_jacobian_map": ANY,
        "kp_detector": BLOCKS | {"temperature": ANY, "single_jacobian_map": ANY},
        "generator": GENERATOR | {"dense_motion_params": BLOCKS},
        "discriminator": CRITIC,
        "discriminator_params": CRITIC,
    },
    "mraa": {
        "align_corners": [False],
        "num_regions": ANY,
        "estimate_affine": [True],
        "revert_axis_swap": [True],
        "bg_predictor": BLOCKS | {"bg_type": ANY},
        "region_predictor": BLOCKS | {"temperature": ANY, "pca_based": ANY, "pad": ANY, "fast_svd": [False]},
        "generator": GENERATOR
        | {
            "skips": ANY,
            "pixelwise_flow_predictor_params": BLOCKS
            | {
                "use_covar_heatmap": ANY,
                "use_deformed_source": [True],
                "estimate_occlusion_map": [True],
                "revert_axis_swap": [True],
            },
        },
    },
}


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
        name = self.config["method"]
        refuse_unknown(self.config, COMMON | KNOWN[name], "config")
        model = {"tps": _tps, "fomm": _fomm, "mraa": _mraa}[name](self.config, self._weights())
        model.load_released(ReleasedModules(Path("released.pth"), released_state(model)))
        return model

    def losses(self) -> dict[str, str]:
        """Our names of the losses that the fixture has -> its own."""
        return {ours: released for released, ours in LOSSES.items() if f"loss/{released}" in self.entries}

    def tolerance(self, entry: str) -> float:
        """Float noise alone comes near 1e-3 in a whole picture of full size."""
        whole_picture = entry.endswith("prediction") and self.config["size"] >= 256
        return 1e-3 if whole_picture or entry.startswith(("loss/", "grad/")) else 1e-4

    def _weights(self) -> dict[str, float]:
        """Of every loss that has one: as the configuration says, or 10 (the adversarial one 1), and 0 where the fixture
        has no such loss. Feature matching has one for each map, all alike."""
        given = {LOSSES[name]: value for name, value in self.config.get("loss_weights", {}).items() if name in LOSSES}
        given = {name: float(value[0] if isinstance(value, list) else value) for name, value in given.items()}
        usual = dict.fromkeys(LOSSES.values(), 10.0) | {"generator_gan": 1.0}
        return {name: (usual | given)[name] if name in self.losses() else 0.0 for name in usual}

    def avd(self, keypoints: Keypoints) -> AVD:
        sizes = self.config["avd"]
        avd = AVD.like(keypoints, AvdConfig(id_bottle=sizes["id_bottle_size"], pose_bottle=sizes["pose_bottle_size"]))
        load_strictly(avd, det_state(avd, "avd_network"), Path("released.pth"), "avd_network")
        return avd

    def image(self, name: str) -> Tensor:
        return torch.from_numpy(det.image(name, 2, self.config["size"]))

    def transform(self) -> RandomTPS:
        theta = torch.eye(2, 3) + torch.from_numpy(self.entries["transform/theta_noise"])
        weights = torch.from_numpy(self.entries["transform/control_params"]).flatten(1)
        return RandomTPS(theta, weights, "squared_l2" if self.config["method"] == "tps" else "l1")


def refuse_unknown(values: dict[str, Any], known: dict[str, Any], where: str) -> None:
    """Raises ValueError at a key that is not known, or a value that is not computed here: were it passed over, the
    fixture would be held against another model than its own."""
    for key, value in values.items():
        if key not in known:
            raise ValueError(f"the fixture has {where}.{key}, which is not known here")
        if isinstance(known[key], dict):
            refuse_unknown(value or {}, known[key], f"{where}.{key}")
        elif known[key] and value not in known[key]:
            raise ValueError(f"the fixture has {where}.{key} = {value!r}; only {known[key]} is computed here")


def det_state(module: nn.Module, name: str) -> dict[str, Tensor]:
    """The deterministic weights; fixed kernels keep the value of their formula."""
    return {
        key: value
        if key.endswith("down.weight")
        else torch.from_numpy(np.asarray(det.parameter(f"{name}.{key}", tuple(value.shape)))).to(value.dtype)
        for key, value in module.state_dict().items()
    }


def released_state(model: nn.Module) -> dict[str, dict[str, Tensor]]:
    return {name: det_state(module, name) for name, module in model.named_children()}


def _hourglass(values: dict[str, Any]) -> HourglassConfig:
    return HourglassConfig(
        values["block_expansion"], values["max_features"], values["num_blocks"], values.get("scale_factor", 1.0)
    )


def _tps(config: dict[str, Any], weights: dict[str, float]) -> Method:
    generator = config["generator"]
    return tps.Model(
        tps.Config(
            num_tps=config["num_tps"],
            background=config["bg"],
            background_start=0,
            multi_mask=config.get("multi_mask", True),
            dense_motion=_hourglass(config["dense_motion"]),
            inpainting=tps.InpaintingConfig(
                generator["block_expansion"], generator["max_features"], generator["num_down_blocks"]
            ),
            dropout=None,
            perceptual=NO_PERCEPTUAL,
            weights=tps.LossWeights(weights["equivariance"], weights["warp"], weights["background"]),
        )
    )


def _generator(values: dict[str, Any]) -> GeneratorConfig:
    return GeneratorConfig(
        values["block_expansion"], values["max_features"], values["num_down_blocks"], values["num_bottleneck_blocks"]
    )


def _fomm(config: dict[str, Any], weights: dict[str, float]) -> Method:
    detector = config["kp_detector"]
    discriminator = config.get("discriminator", config.get("discriminator_params", {}))
    return fomm.Model(
        fomm.Config(
            num_keypoints=config["num_kp"],
            jacobian=config["jacobian"],
            single_jacobian=config.get("single_jacobian_map", detector.get("single_jacobian_map", False)),
            temperature=detector["temperature"],
            align_corners=config.get("align_corners", True),
            detector=_hourglass(detector),
            dense_motion=_hourglass(config["generator"]["dense_motion_params"]),
            generator=_generator(config["generator"]),
            discriminator=fomm.DiscriminatorConfig(
                discriminator.get("block_expansion", 32),
                discriminator.get("max_features", 512),
                discriminator.get("num_blocks", 4),
                discriminator.get("sn", False),
                discriminator.get("use_kp", False),
            ),
            perceptual=NO_PERCEPTUAL,
            weights=fomm.LossWeights(
                weights["equivariance"], weights["jacobian"], weights["generator_gan"], weights["feature_matching"]
            ),
        )
    )


def _mraa(config: dict[str, Any], weights: dict[str, float]) -> Method:
    background = config.get("bg_predictor") or {}
    flow = config["generator"]["pixelwise_flow_predictor_params"]
    return mraa.Model(
        mraa.Config(
            num_regions=config["num_regions"],
            pca=config["region_predictor"]["pca_based"],
            padding=config["region_predictor"].get("pad", 3),
            temperature=config["region_predictor"]["temperature"],
            skips=config["generator"]["skips"],
            covariance_heatmaps=flow.get("use_covar_heatmap", True),
            detector=_hourglass(config["region_predictor"]),
            dense_motion=_hourglass(flow),
            generator=_generator(config["generator"]),
            background=mraa.BackgroundConfig(
                background.get("bg_type", "zero"),
                background.get("block_expansion", 32),
                background.get("max_features", 1024),
                background.get("num_blocks", 5),
            ),
            perceptual=NO_PERCEPTUAL,
            weights=mraa.LossWeights(weights["equivariance"], weights["affine"]),
        )
    )
