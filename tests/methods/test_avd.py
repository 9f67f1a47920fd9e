from __future__ import annotations

import pytest
import torch
from small_methods import make, pictures

from tpsm.core.rng import BatchRng
from tpsm.core.types import Keypoints
from tpsm.methods.avd import AVD, AvdTraining, stretch
from tpsm.methods.avd_config import AvdConfig

CONFIG = AvdConfig(4, 6, widths=(8, 16), scale=0.25)


def regions(batch: int, seed: int = 0) -> Keypoints:
    rng = torch.Generator().manual_seed(seed)
    affine = torch.eye(2) + 0.2 * torch.randn(batch, 5, 2, 2, generator=rng)
    return Keypoints(2 * torch.rand(batch, 5, 2, generator=rng) - 1, affine, affine @ affine.mT)


def test_gives_keypoints_of_the_same_kind() -> None:
    pose = regions(3)
    told = AVD.like(pose, CONFIG)(regions(3, 1), pose)
    assert told.xy.shape == pose.xy.shape
    torch.testing.assert_close(told.covariance, told.affine @ told.affine.mT)
    jacobians = Keypoints(pose.xy, pose.affine)
    assert AVD.like(jacobians, CONFIG)(jacobians, jacobians).covariance is None
    bare = Keypoints(pose.xy)
    assert AVD.like(bare, CONFIG)(bare, bare).affine is None


def test_sign_of_the_identitys_axes_does_not_matter() -> None:
    identity, pose = regions(3), regions(3, 1)
    avd = AVD.like(pose, CONFIG).eval()
    flipped = Keypoints(identity.xy, -identity.affine, identity.covariance)
    torch.testing.assert_close(avd(identity, pose).xy, avd(flipped, pose).xy)
    # A jacobian's sign has a meaning.
    as_jacobians = [Keypoints(points.xy, points.affine) for points in (identity, flipped, pose)]
    assert (avd(as_jacobians[0], as_jacobians[2]).xy - avd(as_jacobians[1], as_jacobians[2]).xy).abs().max() > 1e-4


def test_stretch_moves_points_axes_and_covariance_alike() -> None:
    points = regions(2)
    out = stretch(points, torch.tensor([[1.2, 0.8], [1.0, 1.0]]))
    torch.testing.assert_close(out.xy[0], points.xy[0] * torch.tensor([1.2, 0.8]))
    torch.testing.assert_close(out.affine[0], torch.diag(torch.tensor([1.2, 0.8])) @ points.affine[0])
    torch.testing.assert_close(out.covariance, out.affine @ out.affine.mT)
    torch.testing.assert_close(out.xy[1], points.xy[1])


@pytest.mark.parametrize("name", ["tps", "fomm", "mraa"])
def test_training_moves_the_avd_and_nothing_else(name: str) -> None:
    method = make(name).train()
    before = {key: value.clone() for key, value in method.state_dict().items()}
    task = AvdTraining(method, AVD.like(method.eval().keypoints(pictures(1).source), CONFIG), CONFIG).train()
    assert {key.split(".")[0] for key in task.state_dict()} == {"avd"}
    optimizer = torch.optim.Adam(task.parameters(), 1e-2)
    pair = pictures(8)
    totals = []
    for _ in range(40):
        loss = sum(task.losses(pair, 0, BatchRng(1)).values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        totals.append(loss.item())
    assert totals[-1] < 0.5 * totals[0]
    assert all(torch.equal(value, before[key]) for key, value in method.state_dict().items())
    assert all(parameter.grad is None for parameter in method.parameters())
