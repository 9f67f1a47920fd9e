"""The released order of computation: as many operations as the released code's, and the results of ours."""

from collections import Counter, defaultdict

import pytest
import torch
from small_methods import CONFIGS
from torch.utils._python_dispatch import TorchDispatchMode

from tpsm.core.rng import BatchRng
from tpsm.core.types import FramePair
from tpsm.methods.tps import Config, Model
from tpsm.profiling.flops import FlopCounter
from tpsm.profiling.released_loop import ReleasedModel


@pytest.fixture
def both() -> tuple[Model, ReleasedModel]:
    torch.manual_seed(0)
    model = Model(CONFIGS["tps"])
    for parameter in model.parameters():  # biases and norms too; the background moves
        parameter.data += 0.05 * torch.randn_like(parameter)
    released = ReleasedModel(CONFIGS["tps"])
    released.load_state_dict(model.state_dict())
    return model, released


def gigaflops(frames: int) -> dict[str, float]:
    """What the full-size model computes for so many frames of 256 x 256, by part."""
    with torch.device("meta"):
        model = ReleasedModel(Config()).eval()
        images = torch.empty(frames, 3, 256, 256)
    with FlopCounter(model) as counter:
        list(model.reconstruct(images))
    found: dict[str, float] = defaultdict(float)
    for name, flops in counter.flops.items():
        found[name.partition(".")[0]] += flops.computed / 1e9
    return found


def test_a_full_size_frame_takes_the_released_operations() -> None:
    """As counted in the released modules, configured by their vox-256.yaml. Every frame encodes the source anew."""
    one, two = gigaflops(1), gigaflops(2)
    each = {name: two[name] - one[name] for name in two if name}
    expected = {"kp_detector": 4.74, "bg_predictor": 5.05, "dense_motion_network": 15.66, "inpainting_network": 253.72}
    assert each == pytest.approx(expected, abs=0.02)
    assert one["kp_detector"] == pytest.approx(2 * 4.74, abs=0.02)  # the source's, once


class Calls(TorchDispatchMode):
    """Counts the operations that PyTorch is asked for, by name."""

    def __init__(self) -> None:
        super().__init__()
        self.count: Counter[str] = Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        self.count[func.overloadpacket.__name__] += 1
        return func(*args, **(kwargs or {}))


def test_features_are_warped_twice_and_the_image_once(both: tuple[Model, ReleasedModel]) -> None:
    _, released = both
    frames = torch.rand(3, 3, 32, 32)
    with Calls() as calls:
        list(released.eval().reconstruct(frames))
    maps = CONFIGS["tps"].inpainting.num_down_blocks + 1
    per_frame = 1 + 2 * maps + 1  # the candidate motions' images together, the features, the image
    assert calls.count["grid_sampler_2d"] == len(frames) * per_frame


def test_it_reconstructs_what_ours_does(both: tuple[Model, ReleasedModel]) -> None:
    model, released = (side.eval() for side in both)
    frames = torch.rand(3, 3, 32, 32)
    with torch.inference_mode():
        code = model.encode(frames[:1]).expand(3)
        ours = model.render(code, model.keypoints(frames), model.background(code.image, frames)).image
    torch.testing.assert_close(torch.cat(list(released.reconstruct(frames))), ours, rtol=0, atol=1e-5)


def test_it_learns_what_ours_does(both: tuple[Model, ReleasedModel]) -> None:
    pair = FramePair(*torch.rand(2, 2, 3, 32, 32, dtype=torch.float64))
    model, released = (side.double().train() for side in both)
    losses, theirs = (side.losses(pair, 100, BatchRng(0)) for side in (model, released))
    for side in (losses, theirs):
        torch.stack(list(side.values())).sum().backward()
    assert losses.keys() == theirs.keys()
    for name in losses:
        torch.testing.assert_close(theirs[name], losses[name], rtol=1e-9, atol=1e-12)
    gradients = {name: parameter.grad for name, parameter in released.named_parameters()}
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(gradients[name], parameter.grad, rtol=1e-6, atol=1e-9)
