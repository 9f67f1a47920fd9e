"""One setting says how frames are computed: in bf16, with channels last, compiled, as CUDA graphs. Frames stay."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_methods import CONFIGS, make
from torch import Tensor

from tpsm.core.clips import Clip
from tpsm.core.errors import UserError
from tpsm.core.schema import from_mapping
from tpsm.core.types import Keypoints
from tpsm.data.clip import ClipFile, write_clip
from tpsm.inference.config import PLAIN, InferenceConfig
from tpsm.inference.drawer import BATCH, Drawer, drawer
from tpsm.inference.generate import Reconstruction, animate, reconstruct
from tpsm.inference.graphed import GraphedCall, each, tensors
from tpsm.methods.base import Method

LENGTH = BATCH + 5
WAYS = {
    "channels-last": (InferenceConfig(channels_last=True), 1e-4),
    "bf16": (InferenceConfig("bf16"), 0.1),
    "bf16, channels-last": (InferenceConfig("bf16", channels_last=True), 0.1),
}
GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="CUDA graphs need an NVIDIA GPU")


@pytest.fixture
def clip(tmp_path: Path) -> Iterator[ClipFile]:
    frames = np.random.default_rng(0).integers(0, 256, (LENGTH, 32, 32, 3), dtype=np.uint8)
    write_clip(tmp_path, Clip("a", "a", frames, 25.0))
    with ClipFile(tmp_path / "a.zip") as opened:
        yield opened


def ready(name: str) -> Method:
    return make(name).eval().requires_grad_(False).to("cuda" if torch.cuda.is_available() else "cpu")


def joined(pieces: Iterator[Reconstruction], field: str) -> np.ndarray:
    return np.concatenate([getattr(piece, field) for piece in pieces])


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", CONFIGS)
def test_a_clip_is_reconstructed_the_same(name: str, way: str, clip: ClipFile) -> None:
    config, bound = WAYS[way]
    pieces = [list(reconstruct(ready(name), clip, each_config)) for each_config in (PLAIN, config)]
    plain, other = ({field: joined(iter(side), field) for field in ("frames", "l1", "motion")} for side in pieces)
    assert np.abs(plain["frames"].astype(int) - other["frames"]).max() <= max(1, 255 * bound)
    np.testing.assert_allclose(other["l1"], plain["l1"], atol=bound / 5)
    assert other["motion"].dtype == np.float32
    assert np.abs(other["motion"] - plain["motion"]).max() < bound  # coordinates stay; their weights are a network's
    assert (config.precision == "fp32") or not np.array_equal(plain["l1"], other["l1"])  # bf16 was at work


@pytest.mark.parametrize("name", CONFIGS)
def test_points_keep_full_precision_in_bf16(name: str) -> None:
    method, images = ready(name), torch.rand(3, 3, 32, 32)
    found = [
        Drawer(method, config).keypoints(images.to(Drawer(method, PLAIN).device))
        for config in (PLAIN, InferenceConfig("bf16"))
    ]
    assert all(torch.equal(a, b) for a, b in zip(tensors(found[0]), tensors(found[1]), strict=True))


@pytest.mark.parametrize("name", CONFIGS)
@torch.inference_mode()
def test_a_batch_that_is_filled_up_gives_its_own_frames(name: str) -> None:
    """As where networks are compiled or captured: they see one shape, and what was filled in is not drawn."""
    method = ready(name)
    plain, filling = Drawer(method, PLAIN), Drawer(method, PLAIN)
    filling.fills = True
    seen: list[int] = []
    keypoints = filling._keypoints

    def noted(image: Tensor) -> Keypoints:
        seen.append(len(image))
        return keypoints(image)

    filling._keypoints = noted
    frames = torch.rand(5, 3, 32, 32, device=plain.device)
    code = plain.encode(frames[:1])

    drawn, other = plain.reconstruct(code, frames), filling.reconstruct(code, frames)
    assert seen == [BATCH] and len(other.image) == len(other.motion.grid) == 5
    for a, b in zip(tensors(drawn), tensors(other), strict=True):
        torch.testing.assert_close(b, a, rtol=1e-4, atol=1e-4)
    pose = filling.keypoints(frames)
    assert len(pose.xy) == 5
    torch.testing.assert_close(filling.render(code, pose).image, plain.render(code, pose).image, rtol=0, atol=1e-4)


def test_without_a_gpu_a_graph_changes_nothing(clip: ClipFile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    method = make("tps").eval().requires_grad_(False)
    sides = [joined(reconstruct(method, clip, config), "l1") for config in (PLAIN, InferenceConfig(graph=True))]
    assert np.array_equal(sides[0], sides[1])
    assert not drawer(method, InferenceConfig(graph=True)).fills


def test_an_animation_takes_the_same_setting(clip: ClipFile) -> None:
    frames = clip.frames()
    drawn = [
        np.stack(list(animate(ready("mraa"), frames[0], frames, "relative", config=config)))
        for config in (PLAIN, InferenceConfig(channels_last=True), InferenceConfig("bf16"))
    ]
    assert np.abs(drawn[0].astype(int) - drawn[1]).max() <= 1
    assert 0 < np.abs(drawn[0].astype(int) - drawn[2]).max() <= 25


def test_networks_are_compiled_once_for_one_shape(clip: ClipFile, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a compiler that computes the network as it stands, so that the test takes no minutes."""
    shapes: list[tuple[int, ...]] = []

    def compiled(network: torch.nn.Module, dynamic: bool | None = None) -> None:
        assert dynamic is False
        forward = network.forward

        def noted(*values: Tensor, **named: Any) -> Any:
            shapes.append(tuple(values[0].shape) if isinstance(values[0], Tensor) else ())
            return forward(*values, **named)

        network.forward = noted  # type: ignore[method-assign]

    monkeypatch.setattr(torch.nn.Module, "compile", compiled)
    method = ready("tps")
    for _ in range(2):
        list(reconstruct(method, clip, InferenceConfig(compile=True)))
    assert {shape[0] for shape in shapes if shape} == {1, BATCH}
    assert drawer(method, InferenceConfig(compile=True)) is drawer(method, InferenceConfig(compile=True))


def test_every_tensor_is_met_in_order() -> None:
    points = Keypoints(torch.zeros(1, 2, 2), covariance=torch.ones(1, 2, 2, 2))
    value = (points, None, torch.full((1,), 2.0))
    assert [float(tensor.max()) for tensor in tensors(value)] == [0, 1, 2]
    doubled, nothing, last = each(value, lambda tensor: tensor * 2)
    assert isinstance(doubled, Keypoints) and doubled.affine is None and nothing is None and last == 4
    assert [float(tensor.max()) for tensor in tensors(doubled)] == [0, 2]


@pytest.mark.parametrize(("section", "key"), [({"precision": "fp8"}, "precision"), ({"graphs": True}, "graphs")])
def test_what_is_no_setting_is_named(section: dict[str, Any], key: str) -> None:
    with pytest.raises(UserError, match=f"inference.{key}"):
        from_mapping(InferenceConfig, section, "inference")


@GPU
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("name", CONFIGS)
def test_replayed_batches_are_those_that_are_computed(name: str, precision: Any, clip: ClipFile) -> None:
    method = ready(name)
    for field in ("frames", "motion"):
        sides = [
            joined(reconstruct(method, clip, InferenceConfig(precision, graph=graph)), field) for graph in (False, True)
        ]
        assert np.abs(sides[0].astype(float) - sides[1]).max() <= (2 if field == "frames" else 1e-2)


@GPU
def test_a_replay_leaves_earlier_results_alone() -> None:
    double: Callable[[Tensor], Tensor] = GraphedCall(lambda x: 2 * x)
    one = torch.ones(3, device="cuda")
    first, second, other = double(one), double(5 * one), double(torch.ones(2, device="cuda"))
    assert first.tolist() == [2, 2, 2] and second.tolist() == [10, 10, 10] and other.tolist() == [2, 2]
