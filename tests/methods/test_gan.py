"""FOMM against its discriminator: who is trained by what, and that one optimiser does what the released two do."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from baselines import fomm
from baselines.discriminator import Discriminator, DiscriminatorConfig, adversarial_losses
from baselines.layers import GeneratorConfig
from tpsm.core.errors import UserError
from tpsm.core.rng import BatchRng
from tpsm.core.types import FramePair
from tpsm.nn.blocks import HourglassConfig
from tpsm.nn.geometry import gaussians
from tpsm.nn.vgg import PerceptualConfig

SMALL = HourglassConfig(4, 16, 2, 0.25)
CONFIG = fomm.Config(
    num_keypoints=3,
    detector=replace(SMALL, scale_factor=0.5),
    dense_motion=SMALL,
    generator=GeneratorConfig(4, 16, 2, 1),
    discriminator=DiscriminatorConfig(4, 16, 2),
    perceptual=PerceptualConfig("pixels", weights=(1.0,)),
    weights=fomm.LossWeights(gan=1.0),
)
KINDS = [
    DiscriminatorConfig(4, 16, 2, spectral_norm=spectral, use_keypoints=points)
    for spectral in (False, True)
    for points in (False, True)
]
GENERATORS = ("generator_gan", "feature_matching")


def pictures(count: int = 2, size: int = 32) -> tuple[Tensor, Tensor, Tensor]:
    """Generated ones, real ones and keypoints."""
    rng = torch.Generator().manual_seed(3)
    images = torch.rand(2, count, 3, size, size, generator=rng)
    return images[0], images[1], 2 * torch.rand(count, 3, 2, generator=rng) - 1


def discriminator(config: DiscriminatorConfig) -> Discriminator:
    torch.manual_seed(0)
    return Discriminator(config, 3).train()


def gradients(network: nn.Module) -> dict[str, Tensor]:
    return {name: p.grad.clone() for name, p in network.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("config", KINDS)
def test_losses_are_least_squares_and_reach_only_their_own_side(config: DiscriminatorConfig) -> None:
    generated, real, points = pictures()
    generated.requires_grad_()
    points.requires_grad_()
    network = discriminator(replace(config, spectral_norm=False))  # with it, every pass sees other weights
    losses = adversarial_losses(network, generated, real, points, gan=2.0, feature_matching=3.0)
    (maps, verdict), (real_maps, real_verdict) = network(generated, points), network(real, points)
    expected = {
        "generator_gan": 2 * ((1 - verdict) ** 2).mean(),
        "feature_matching": 3 * sum((a - b).abs().mean() for a, b in zip(maps, real_maps, strict=True)),
        "discriminator_gan": ((1 - real_verdict) ** 2 + verdict**2).mean(),
    }
    assert list(losses) == list(expected)
    for name, value in expected.items():
        torch.testing.assert_close(losses[name], value)
    torch.stack([losses[name] for name in GENERATORS]).sum().backward()
    assert not gradients(network) and points.grad is None
    wanted = torch.autograd.grad(expected["generator_gan"] + expected["feature_matching"], generated, retain_graph=True)
    torch.testing.assert_close(generated.grad, wanted[0])
    generated.grad = None
    losses["discriminator_gan"].backward()
    assert generated.grad is None and points.grad is None
    wanted = torch.autograd.grad(expected["discriminator_gan"], list(network.parameters()))
    for (name, ours), value in zip(gradients(network).items(), wanted, strict=True):
        torch.testing.assert_close(ours, value, msg=name)


@pytest.mark.parametrize("config", KINDS)
def test_one_step_of_one_adam_is_the_released_two(config: DiscriminatorConfig) -> None:
    """The released scheme, written out: two optimisers, two backward passes, the generator's first."""
    generated, real, points = pictures()
    painter, critic = nn.Conv2d(3, 3, 3, padding=1), discriminator(config)
    twins = copy.deepcopy(painter), copy.deepcopy(critic)
    adam = torch.optim.Adam([*painter.parameters(), *critic.parameters()], lr=1e-2, betas=(0.5, 0.999))
    first, second = (torch.optim.Adam(twin.parameters(), lr=1e-2, betas=(0.5, 0.999)) for twin in twins)
    for _ in range(3):
        adam.zero_grad()
        losses = adversarial_losses(critic, painter(generated), real, points, gan=1.0, feature_matching=10.0)
        torch.stack(list(losses.values())).sum().backward()
        adam.step()

        drawn = twins[0](generated)
        maps, verdict = twins[1](drawn, points)
        real_maps, _ = twins[1](real, points)
        matching = sum(10 * (a - b).abs().mean() for a, b in zip(real_maps, maps, strict=True))
        (((1 - verdict) ** 2).mean() + matching).backward()
        first.step()
        first.zero_grad()
        second.zero_grad()
        _, fake = twins[1](drawn.detach(), points)
        _, true = twins[1](real, points)
        ((1 - true) ** 2 + fake**2).mean().backward()
        second.step()
    for ours, theirs in zip((painter, critic), twins, strict=True):
        for (name, value), expected in zip(ours.state_dict().items(), theirs.state_dict().values(), strict=True):
            torch.testing.assert_close(value, expected, msg=name)


def test_spectral_norm_bounds_every_layer_and_its_estimate_is_saved() -> None:
    config = DiscriminatorConfig(4, 16, 2, spectral_norm=True)
    generated, real, points = pictures()
    network = discriminator(config)
    before = {name: value.clone() for name, value in network.named_buffers()}
    for _ in range(15):  # four power iterations each
        adversarial_losses(network, generated, real, points, gan=1.0, feature_matching=0.0)
    assert all(not torch.equal(value, before[name]) for name, value in network.named_buffers() if value.numel() > 1)
    for layer in (module for module in network.modules() if isinstance(module, nn.Conv2d)):
        assert torch.linalg.matrix_norm(layer.weight.flatten(1), 2).item() == pytest.approx(1, abs=0.02)
    saved = network.state_dict()
    other = Discriminator(config, 3)
    other.load_state_dict(saved)
    torch.testing.assert_close(other.eval()(real, points)[1], network.eval()(real, points)[1])


def test_the_block_is_the_released_one() -> None:
    """4 x 4 without padding, instance norm but in the first, leaky ReLU, pooling but in the last."""
    config = DiscriminatorConfig(4, 16, 3, spectral_norm=False, use_keypoints=True)
    _, real, points = pictures(size=32)
    network = discriminator(config)
    state = {name.removeprefix("discs.1."): value for name, value in network.state_dict().items()}
    x = torch.cat([real, gaussians(points, 32, 32, variance=0.01)], dim=1)
    for i in range(3):
        x = F.conv2d(x, state[f"down_blocks.{i}.conv.weight"], state[f"down_blocks.{i}.conv.bias"])
        if i:
            norm = state[f"down_blocks.{i}.norm.weight"], state[f"down_blocks.{i}.norm.bias"]
            x = F.instance_norm(x, weight=norm[0], bias=norm[1])
        x = F.leaky_relu(x, 0.2)
        x = F.avg_pool2d(x, 2) if i < 2 else x
    verdict = F.conv2d(x, state["conv.weight"], state["conv.bias"])
    maps, ours = network(real, points)
    assert [tuple(m.shape[1:]) for m in maps] == [(8, 14, 14), (16, 5, 5), (16, 2, 2)]
    torch.testing.assert_close(ours, verdict)


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("config", KINDS)
def test_a_step_trains_every_parameter_of_both(config: DiscriminatorConfig, precision: torch.dtype) -> None:
    torch.manual_seed(0)
    model = fomm.Model(replace(CONFIG, discriminator=config)).train()
    generated, real, _ = pictures(3)
    with torch.autocast("cpu", precision, enabled=precision != torch.float32):
        losses = model(generated, real, 0, BatchRng(0))
    assert {*GENERATORS, "discriminator_gan", "perceptual", "equivariance", "jacobian"} == set(losses)
    torch.stack(list(losses.values())).sum().backward()
    idle = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.isfinite().all()]
    assert not idle
    assert model.discriminator is not None
    for name, gradient in gradients(model.discriminator).items():
        assert gradient.any() or name.endswith("conv.bias"), name  # a norm takes away the bias before it


def test_the_generators_gradient_is_as_if_the_discriminator_were_not_trained() -> None:
    generated, real, _ = pictures(3)
    torch.manual_seed(0)
    model = fomm.Model(CONFIG)
    together, alone = copy.deepcopy(model), model
    losses = together.losses(FramePair(generated, real), 0, BatchRng(0))
    torch.stack(list(losses.values())).sum().backward()
    losses = alone.losses(FramePair(generated, real), 0, BatchRng(0))
    torch.stack([value for name, value in losses.items() if name != "discriminator_gan"]).sum().backward()
    for part in ("generator", "kp_detector"):
        ours, expected = (gradients(getattr(network, part)) for network in (together, alone))
        assert ours.keys() == expected.keys()
        for name, value in expected.items():
            torch.testing.assert_close(ours[name], value, msg=name)
    assert not gradients(alone.discriminator)


def test_the_discriminator_learns_to_tell() -> None:
    generated, real, points = pictures(4)
    real = real / 4
    network = discriminator(DiscriminatorConfig(8, 32, 2, spectral_norm=False))
    adam = torch.optim.Adam(network.parameters(), lr=5e-3, betas=(0.5, 0.999))
    seen = []
    for _ in range(12):
        losses = adversarial_losses(network, generated, real, points, gan=1.0, feature_matching=10.0)
        adam.zero_grad()
        torch.stack(list(losses.values())).sum().backward()
        adam.step()
        seen.append(losses["discriminator_gan"].item())
    assert seen[-1] < 0.7 * seen[0]
    assert network(real, points)[1].mean() > network(generated, points)[1].mean() + 0.1


def test_without_the_gan_there_is_no_discriminator() -> None:
    model = fomm.Model(replace(CONFIG, weights=fomm.LossWeights()))
    assert not [name for name in model.state_dict() if name.startswith("discriminator")]
    generated, real, _ = pictures()
    assert not {*GENERATORS, "discriminator_gan"} & set(
        model.train().losses(FramePair(generated, real), 0, BatchRng(0))
    )


@pytest.mark.parametrize("blocks", [1, 2, 3, 4])
def test_the_smallest_picture_leaves_two_by_two(blocks: int) -> None:
    config = DiscriminatorConfig(2, 4, blocks)
    _, real, points = pictures(1, config.smallest)
    assert discriminator(config)(real, points)[0][-1].shape[-2:] == (2, 2)


def test_a_picture_too_small_for_the_discriminator_is_refused() -> None:
    model = fomm.Model(replace(CONFIG, discriminator=DiscriminatorConfig(4, 16, 4)))
    with pytest.raises(UserError, match="An image of 32 x 32 does not fit"):
        model.keypoints(pictures()[0])


def test_frozen_passes_move_the_estimates_on() -> None:
    """functional_call with detached weights leaves the buffers in place, so power iterations count."""
    network = discriminator(DiscriminatorConfig(4, 16, 2))
    _, real, points = pictures()
    twin = copy.deepcopy(network)
    network(real, points)
    functional_call(twin, {name: p.detach() for name, p in twin.named_parameters()}, (real, points))
    for (name, value), expected in zip(twin.named_buffers(), network.buffers(), strict=True):
        assert torch.equal(value, expected), name
