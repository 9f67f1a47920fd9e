from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from small_methods import ALL, CONFIGS, make, pictures

from tpsm.core.errors import UserError
from tpsm.core.rng import BatchRng
from tpsm.core.schema import from_mapping
from tpsm.methods import METHODS, method_module, tps


@pytest.mark.parametrize("name", ALL)
def test_a_step_trains_every_parameter(name: str) -> None:
    model = make(name).train()
    losses = model.losses(pictures(3), 5, BatchRng(0))
    assert all(loss.ndim == 0 and loss.isfinite() for loss in losses.values())
    sum(losses.values()).backward()
    idle = [key for key, p in model.named_parameters() if p.grad is None or not p.grad.isfinite().all()]
    assert not idle
    flat = {key.rsplit(".", 1)[0] for key, p in model.named_parameters() if not p.grad.abs().sum() > 0}
    # A norm takes away the bias before it; the encoder of a zero-initialised head learns from the second step on.
    flat = {key for key in flat if "conv" not in key and "bg_predictor" not in key}
    assert not flat


@pytest.mark.parametrize("name", CONFIGS)
def test_same_generator_same_losses(name: str) -> None:
    runs = []
    for seed in (1, 1, 2):
        model = make(name).train()
        losses = model.losses(pictures(3), 0, BatchRng(seed))
        runs.append({key: loss.item() for key, loss in losses.items()})
    assert runs[0] == runs[1] != runs[2]


@torch.no_grad()
@pytest.mark.parametrize("name", ALL)
def test_one_source_drives_many_frames(name: str) -> None:
    model = make(name).eval()
    pair = pictures(3)
    code = model.encode(pair.source[:1])
    together = model.render(code, model.keypoints(pair.driving))
    assert together.image.shape == pair.driving.shape
    assert together.image.min() >= 0 and together.image.max() <= 1
    weights = together.motion.weights
    torch.testing.assert_close(weights.sum(1), torch.ones_like(weights[:, 0]))
    alone = model.render(code, model.keypoints(pair.driving[1:2]))
    torch.testing.assert_close(together.image[1:2], alone.image, atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(together.motion.grid[1:2], alone.motion.grid, atol=1e-4, rtol=1e-3)


@torch.no_grad()
@pytest.mark.parametrize("name", ["tps", "mraa", "mraa-shift", "mraa-perspective"])
def test_untrained_background_stands_still(name: str) -> None:
    model = make(name).eval()
    pair = pictures(2)
    matrices = model.background(pair.source, pair.driving)
    torch.testing.assert_close(matrices, torch.eye(3).expand(2, 3, 3))
    code, driving = model.encode(pair.source), model.keypoints(pair.driving)
    still, moved = (
        model.render(code, driving),
        model.render(code, driving, matrices @ matrices.new_tensor([[1, 0, 0.5], [0, 1, 0], [0, 0, 1]])),
    )
    torch.testing.assert_close(model.render(code, driving, matrices).image, still.image, atol=1e-5, rtol=1e-4)
    assert (moved.motion.grid - still.motion.grid).abs().max() > 1e-3


def test_background_joins_at_its_epoch() -> None:
    model = make("tps").train()
    names = [set(model.losses(pictures(2), epoch, BatchRng(0))) for epoch in (1, 2)]
    assert names[0] == {"perceptual", "equivariance", "warp"} and names[1] == names[0] | {"background"}


def test_warp_loss_trains_the_flow_alone() -> None:
    model = make("tps").train()
    model.losses(pictures(2), 5, BatchRng(0))["warp"].backward()
    trained = {key.split(".")[0] + "." + key.split(".")[1] for key, p in model.named_parameters() if p.grad is not None}
    assert trained == {
        "kp_detector.fg_encoder",
        "bg_predictor.bg_encoder",
        "dense_motion_network.hourglass",
        "dense_motion_network.maps",
    }


@pytest.mark.parametrize("aligned", [True, False])
def test_fomm_samples_everywhere_as_configured(aligned: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the motion network, in the generator, and in the equivariance losses' transform."""
    seen, sample = [], torch.nn.functional.grid_sample

    def grid_sample(*arguments: object, align_corners: bool, **options: object) -> torch.Tensor:
        seen.append(align_corners)
        return sample(*arguments, align_corners=align_corners, **options)

    monkeypatch.setattr(torch.nn.functional, "grid_sample", grid_sample)
    make("fomm" if aligned else "fomm-not-aligned").losses(pictures(2), 0, BatchRng(0))
    assert seen == [aligned] * 3


def test_mraas_fixed_covariance_is_a_hundredth() -> None:
    """Regions of that covariance look the same either way, and others do not."""
    learnt, fixed = make("mraa").eval(), make("mraa-one-covariance").eval()
    fixed.load_state_dict(learnt.state_dict())
    pair = pictures(2)
    with torch.no_grad():
        code, driving = learnt.encode(pair.source), learnt.keypoints(pair.driving)
        for covariance, same in ((0.01, True), (0.04, False)):
            matrices = (covariance * torch.eye(2)).expand_as(driving.covariance)
            known = replace(code, keypoints=replace(code.keypoints, covariance=matrices))
            both = [model.render(known, replace(driving, covariance=matrices)).image for model in (learnt, fixed)]
            assert torch.allclose(*both, atol=1e-5) == same


def test_dropout_ramps_up_and_ends() -> None:
    dropout = tps.DropoutConfig(start=0.1, maximum=0.3, ramp_epochs=10, until_epoch=35)
    chances = [dropout.probability(epoch) for epoch in (0, 5, 20, 34, 35)]
    assert chances == [0.1, pytest.approx(0.25), 0.3, 0.3, None]


def test_dropped_motions_have_no_weight() -> None:
    logits = torch.randn(2, 4, 3, 3)
    keep = torch.tensor([[1.0, 1, 0, 1], [1, 0, 0, 0]])
    weights = tps.dropout_softmax(logits, keep)
    assert not weights[0, 2].any() and not weights[1, 1:].any()
    kept = torch.softmax(logits[0, [0, 1, 3]], dim=0)
    torch.testing.assert_close(weights[0, [0, 1, 3]], kept, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", CONFIGS)
def test_only_the_methods_own_tensors_are_saved(name: str) -> None:
    model = make(name)
    model.losses(pictures(2), 0, BatchRng(0))
    assert {key.split(".")[0] for key in model.state_dict()} == {child for child, _ in model.named_children()}
    assert all(hasattr(model, part) for part in model.clip_grad_modules)


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("size", [8, 36])
def test_pictures_that_do_not_fit_are_refused(name: str, size: int) -> None:
    with pytest.raises(UserError, match=f"An image of {size} x {size} does not fit"):
        make(name).encode(pictures(1, size).source)


@pytest.mark.parametrize("name", METHODS)
def test_configs_are_built_from_plain_values_and_refuse_bad_ones(name: str) -> None:
    config = method_module(name).Config
    built = from_mapping(
        config,
        {"dense_motion": {"width": 8, "num_blocks": 3}, "perceptual": {"backbone": "pixels", "weights": [10]}},
        "model",
    )
    assert built.dense_motion.width == 8 and built.perceptual.weights == (10.0,)
    for values, message in [
        ({"dense_motion": {"width": 0}}, r"model\.dense_motion\.width: must be at least 1"),
        ({"dense_motion": {"scale_factor": 0.3}}, r"model\.dense_motion\.scale_factor: must be 1 divided"),
        ({"num_tsp": 3}, r"Unknown key model\.num_tsp"),
        ({"weights": {"equivariance": -1}}, r"model\.weights\.equivariance: must be at least 0"),
    ]:
        with pytest.raises(UserError, match=message):
            from_mapping(config, values, "model")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"num_tps": 0}, "num_tps"),
        ({"dropout": {"maximum": 1.0}}, r"dropout\.maximum"),
        ({"dense_motion": {"num_blocks": 1}}, "multi_mask"),
    ],
)
def test_tps_config_refuses(values: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        from_mapping(tps.Config, values, "model")
