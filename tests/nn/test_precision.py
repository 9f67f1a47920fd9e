"""In bf16 the networks lose digits; coordinates do not."""

import pytest
import torch
from small_methods import CONFIGS, make, pictures

from tpsm.core.rng import BatchRng
from tpsm.core.types import Motion
from tpsm.nn.geometry import project
from tpsm.nn.precision import full_precision


def test_a_function_of_full_precision_ignores_autocast() -> None:
    matrix = torch.eye(3)[None] + torch.tensor([[0, 0, 1e-3], [0, 0, 0], [0, 0, 0]])
    points = torch.rand(1, 5, 2)
    expected = project(matrix, points)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert (points @ matrix[0, :2, :2].mT).dtype == torch.bfloat16
        assert torch.equal(project(matrix, points), expected)
        double = full_precision(lambda x: x @ x)
        assert double(torch.eye(2, dtype=torch.bfloat16)).dtype == torch.float32
        assert torch.is_autocast_enabled("cpu")


@pytest.mark.parametrize("name", CONFIGS)
def test_coordinates_keep_full_precision_in_bf16(name: str) -> None:
    model, pair = make(name).eval(), pictures(2)

    def run() -> tuple[torch.Tensor, Motion, torch.Tensor]:
        with torch.no_grad():
            code, driving = model.encode(pair.source), model.keypoints(pair.driving)
            prediction = model.render(code, driving, model.background(pair.source, pair.driving))
        return driving.xy, prediction.motion, prediction.image

    xy, motion, image = run()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        xy16, motion16, image16 = run()
    assert torch.equal(xy16, xy)
    assert motion16.grid.dtype == motion16.weights.dtype == torch.float32
    torch.testing.assert_close(motion16.weights.sum(1), torch.ones_like(motion.weights[:, 0]))
    # The flow is the fp32 blend of fp32 candidates: only the weights, which a network computes, are coarser.
    assert (motion16.grid - motion.grid).abs().max() < 0.05 and (image16.float() - image).abs().max() < 0.1


@pytest.mark.parametrize("name", CONFIGS)
def test_a_step_in_bf16_has_nearly_the_losses_of_fp32(name: str) -> None:
    losses = []
    for enabled in (False, True):
        model = make(name).train()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled):
            step = model.losses(pictures(2), 5, BatchRng(0))
        sum(step.values()).backward()
        assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())
        losses.append({key: value.item() for key, value in step.items()})
    assert losses[1] == pytest.approx(losses[0], rel=0.05, abs=0.02)
    assert losses[1] != losses[0]
