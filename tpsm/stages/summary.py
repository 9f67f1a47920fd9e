"""Writes the records of a run, beside its weights and beside its frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from tpsm.checkpoints.trained import CheckpointRef, example_keypoints
from tpsm.config.sections import RunConfig
from tpsm.core.files import sha256_of, write_json
from tpsm.core.fingerprint import sha256_of_text
from tpsm.core.provenance import record
from tpsm.core.schema import as_yaml
from tpsm.data.manifest import Manifest
from tpsm.inference.config import PLAIN, InferenceConfig
from tpsm.methods.base import Method
from tpsm.profiling.flops import FlopCounter


def write_summary(
    out: Path,
    config: RunConfig,
    method: Method,
    steps: int | None,
    began: float,
    data: tuple[Manifest, Path] | None = None,
    resumed: bool = False,
) -> None:
    """Writes `out/summary.json`: the run in numbers, and what made `out/last.pt` since `began` (of `time.monotonic()`).

    `data` is the set and its resolved section, where it was trained on one.
    """
    parameters = {f"runs/{config.run}.yaml": sha256_of_text(as_yaml(config))}
    if data is not None:
        parameters[data[1].name] = sha256_of(data[1])
    about = facts(config, method, steps)
    about["provenance"] = record(
        began,
        parameters=parameters,
        data=None if data is None else data[0].about(),
        weights={"last.pt": sha256_of(out / "last.pt")},
        precision=config.train.precision,
        seed=about["seed"],
        resumed=resumed,
        outside=[config.method],
    )
    write_json(out / "summary.json", about, indent=2)


def write_model(
    out: Path, config: RunConfig, networks: Sequence[CheckpointRef], inference: InferenceConfig = PLAIN
) -> None:
    """Writes `out/model.json`: the run in numbers, and the hashes of the weights that made the frames beside it.

    `networks` begins with the method's; there are none where the frames come from a folder, and its hash is what
    counts. The file changes only with these, so that scoring needs no models, and is not repeated when a new training
    gave the same weights. `inference` is told where it is not the plain one.
    """
    if config.frames is not None:
        about: dict[str, Any] = {"run": config.run, "method": config.method}
        weights = {f"frames of {config.run}": config.frames.sha256}
    else:
        about = facts(config, networks[0].load(), networks[0].steps() if config.released is None else None)
        about |= {"inference": asdict(inference)} if inference != PLAIN else {}
        weights = {network.file.as_posix(): network.sha256 for network in networks}
    write_json(out / "model.json", about | {"weights": weights}, indent=2)


def facts(config: RunConfig, method: Method, steps: int | None) -> dict[str, Any]:
    """Returns the run in numbers. Of released weights the seed and the number of steps are unknown, hence null."""
    trained = config.released is None
    about = {
        "run": config.run,
        "method": config.method,
        "keypoints": example_keypoints(method, config.size).xy.shape[1],
        "parameters": sum(parameter.numel() for parameter in method.parameters()),
        "flops_per_frame": count_frame(method.eval(), config.size),
        "size": config.size,
        "steps": steps,
        "batch": config.train.batch if trained else None,
        "seed": config.train.seed if trained else None,
        "precision": config.train.precision if trained else None,
        "perceptual": config.model.perceptual.backbone if hasattr(config.model, "perceptual") else None,
    }
    taken = {"released": config.released, "published": config.published}
    return about | {key: file.sha256 for key, file in taken.items() if file is not None}


def count_frame(method: Method, size: int) -> int:
    """Returns the operations of one driving frame at inference: its keypoints, the motion, and the image.

    The encoding of the source, which is computed once per clip, is not among them.
    """
    image = torch.zeros(1, 3, size, size, device=next(method.parameters()).device)
    with torch.no_grad(), FlopCounter(method) as counter:
        code = method.encode(image)
        counter.flops.clear()
        method.render(code, method.keypoints(image), method.background(image, image))
    return int(sum(flops.computed for flops in counter.flops.values()))
