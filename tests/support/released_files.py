"""Files as the released programs write them, with the deterministic weights of the parity fixtures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import det
import numpy as np
import torch
from torch import Tensor, nn

from baselines.discriminator import Discriminator
from tpsm.checkpoints.released import skeleton
from tpsm.checkpoints.trained import example_keypoints
from tpsm.methods.avd import AVD
from tpsm.methods.avd_config import AvdConfig
from tpsm.nn.blocks import AntiAlias

# What a file of each method holds beside its modules: (optimisers, epoch).
STATE = {
    "tps": (("optimizer", "optimizer_bg_predictor", "optimizer_avd"), ("epoch",)),
    "fomm": (("optimizer_generator", "optimizer_discriminator", "optimizer_kp_detector"), ("epoch",)),
    "mraa": (("optimizer_reconstruction", "optimizer_avd"), ("epoch_reconstruction", "epoch_avd")),
}


def entry(name: str, shape: tuple[int, ...], scale: float = 0.25) -> Tensor:
    """A module's entry by its whole name; anti-aliasing kernels keep the value of their formula."""
    if name.endswith("down.weight"):
        return AntiAlias(3, scale).weight
    value = torch.from_numpy(np.asarray(det.parameter(name, shape)))
    return value if name.endswith("num_batches_tracked") else value.float()


def modules(method: str, config: Any, size: int, avd: AvdConfig | None) -> dict[str, dict[str, Tensor]]:
    """Every module of a file, by shapes alone: no model is built."""
    model = skeleton(method, config)
    parts: dict[str, nn.Module] = dict(model.named_children())
    with torch.device("meta"):
        if method == "fomm":
            parts["discriminator"] = Discriminator(config.discriminator, config.num_keypoints)
        if avd is not None:
            parts["avd_network"] = AVD.like(example_keypoints(model, size), avd)
    scales = {"kp_detector.": getattr(config, "detector", None), "region_predictor.": getattr(config, "detector", None)}

    def scale(name: str) -> float:
        found = next((sizes for prefix, sizes in scales.items() if name.startswith(prefix) and sizes), None)
        return (found or config.dense_motion).scale_factor

    return {
        part: {
            key: entry(f"{part}.{key}", tuple(value.shape), scale(f"{part}.{key}"))
            for key, value in module.state_dict().items()
        }
        for part, module in parts.items()
    }


def write(path: Path, method: str, parts: dict[str, dict[str, Tensor]], *, legacy: bool = False) -> Path:
    """With an optimiser's state in small, which nothing should read."""
    if method == "mraa":
        parts = {"bg_predictor": {}} | parts  # as saved without a background: there, and empty
    adam = {
        "state": {0: {"step": 3, "exp_avg": torch.zeros(3), "exp_avg_sq": torch.zeros(3)}},
        "param_groups": [{"lr": 2e-4, "betas": (0.5, 0.999), "params": [0]}],
    }
    optimisers, epochs = STATE[method]
    content = parts | dict.fromkeys(optimisers, adam) | dict.fromkeys(epochs, 99)
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(content, path, _use_new_zipfile_serialization=not legacy)
    return path
