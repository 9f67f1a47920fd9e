"""Every entry of every fixture against ours: 1e-4 of an entry's largest magnitude, 1e-3 for losses, gradients and whole
pictures of full size."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from reference import Reference
from torch import Tensor

from tpsm.core.rng import BatchRng
from tpsm.core.types import FramePair
from tpsm.inference.relative import relative_keypoints


@pytest.fixture(scope="module")
def reference(fixture_file: Path) -> Reference:
    return Reference.read(fixture_file)


def compare(ours: dict[str, Tensor], reference: Reference, pattern: str) -> None:
    expected = {key: value for key, value in reference.entries.items() if re.match(pattern, key)}
    assert set(ours) == set(expected)
    errors = {}
    for key, value in expected.items():
        got = ours[key].detach().numpy()
        assert got.shape == value.shape, key
        errors[key] = float(np.abs(got - value).max() / (np.abs(value).max() or 1))
    print({key: f"{error:.1e}" for key, error in errors.items()})
    wrong = {key: error for key, error in errors.items() if not error < reference.tolerance(key)}
    assert not wrong


@torch.no_grad()
def test_inference(reference: Reference) -> None:
    model = reference.method().eval()
    pictures = {name: reference.image(name) for name in ("source", "driving", "initial")}
    code = model.encode(pictures["source"])
    points = {name: model.keypoints(picture) for name, picture in pictures.items()}
    background = model.background(pictures["source"], pictures["driving"])
    prediction = model.render(code, points["driving"], background)
    motion = prediction.motion
    ours = {"motion/grid": motion.grid, "motion/weights": motion.weights, "prediction": prediction.image}
    ours |= {f"motion/occlusion{i}": mask for i, mask in enumerate(motion.occlusion)}
    if background is not None:
        ours["background"] = background
    elif "background" in reference.entries:  # MRAA's "zero" has no parameters, and says so by the identity.
        ours["background"] = torch.eye(3).expand(2, 3, 3)
    affine = "jacobian" if reference.config["method"] == "fomm" else "affine"
    for name, point in points.items():
        ours[f"keypoints/{name}"] = point.xy
        if point.affine is not None:
            ours[f"{affine}/{name}"] = point.affine
        if point.covariance is not None:
            ours[f"covar/{name}"] = point.covariance
    if "motion/weights" not in reference.entries:  # MRAA's fixture has none.
        del ours["motion/weights"]
    compare(ours, reference, "keypoints/|jacobian/|covar/|affine/|background|motion/|prediction")


@torch.no_grad()
def test_transfer(reference: Reference) -> None:
    model = reference.method().eval()
    source, driving = reference.image("source"), reference.image("driving")
    code, driven = model.encode(source), model.keypoints(driving)
    initial = model.keypoints(reference.image("initial"))
    ours = {}
    if "avd" in reference.config:
        told = reference.avd(driven).eval()(code.keypoints, driven)
        ours["avd/keypoints"] = told.xy
        if told.affine is not None:
            ours["avd/affine"] = told.affine
        if "avd/prediction" in reference.entries:
            ours["avd/prediction"] = model.render(code, told).image
    if "relative/keypoints" in reference.entries:
        moved = [
            relative_keypoints(code.keypoints[i : i + 1], driven[i : i + 1], initial[i : i + 1], True).xy
            for i in range(2)
        ]
        ours["relative/keypoints"] = torch.cat(moved)
    if not ours:
        pytest.skip("the fixture has no transfer")
    compare(ours, reference, "avd/|relative/")


def test_training(reference: Reference) -> None:
    if not reference.losses():
        pytest.skip("the fixture has no losses")
    # In double precision, which says the same on every machine. In single precision each processor's own rounding moves
    # what passes PCA and samples of batch statistics: MRAA's gradients by as much as 8e-3 on some.
    model = reference.method().double().train()
    pair = FramePair(reference.image("source").double(), reference.image("driving").double())
    schedule = (100, BatchRng(0)) if reference.config["method"] == "tps" else ()  # the others have none
    prediction, losses = model.training_step(pair, *schedule, reference.transform())
    l1 = (prediction.image - pair.driving).abs().mean()
    (sum(losses.values()) + 100 * l1).backward()
    names = reference.losses()
    if "discriminator_gan" not in names:  # The fixture stops at the generator's losses.
        losses.pop("discriminator_gan", None)
    ours = {f"loss/{names[name]}": value for name, value in losses.items()} | {"loss/l1": l1}
    for name, module in model.named_children():
        if name == "discriminator" and "grad/discriminator" not in reference.entries:
            continue
        squares = [p.grad.square().sum() for p in module.parameters() if p.grad is not None]
        ours[f"grad/{name}"] = torch.stack(squares).sum().sqrt()
    compare(ours, reference, "loss/|grad/")
