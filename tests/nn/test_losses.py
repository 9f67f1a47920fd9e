from pathlib import Path

import pytest
import torch
from torch import nn

from tpsm.core.errors import UserError
from tpsm.core.rng import BatchRng
from tpsm.core.types import Keypoints
from tpsm.nn.losses import PerceptualLoss, affine_agreement, distance_to_identity, equivariance
from tpsm.nn.random_tps import RandomTPS, TransformConfig
from tpsm.nn.vgg import PerceptualConfig, load_backbone


def pair(size: int = 32) -> tuple[torch.Tensor, torch.Tensor]:
    rng = torch.Generator().manual_seed(0)
    return torch.rand(2, 3, size, size, generator=rng), torch.rand(2, 3, size, size, generator=rng)


def test_pixels_at_full_size_is_weighted_l1() -> None:
    ours, theirs = pair()
    loss = PerceptualLoss(PerceptualConfig("pixels", weights=(3.0,), scales=(1.0,)))(ours, theirs)
    torch.testing.assert_close(loss, 3 * (ours - theirs).abs().mean())
    pyramid = PerceptualLoss(PerceptualConfig("pixels", weights=(3.0,), scales=(1.0, 0.5)))(ours, theirs)
    assert pyramid > loss


def save_torchvision_vgg(file: Path) -> dict[str, torch.Tensor]:
    from torchvision.models.vgg import cfgs, make_layers

    torch.manual_seed(0)
    features = make_layers(cfgs["E"])
    state = {f"features.{key}": value for key, value in features.state_dict().items()}
    torch.save(state, file)
    return state


@pytest.mark.parametrize("depth", [2, 5])
def test_vgg_taps_are_torchvisions(tmp_path: Path, depth: int) -> None:
    from torchvision.models.vgg import cfgs, make_layers

    state = save_torchvision_vgg(tmp_path / "vgg.pth")
    image = pair(64)[0]
    backbone = load_backbone(PerceptualConfig(file=str(tmp_path / "vgg.pth"), weights=(1.0,) * depth))
    maps = backbone(image)
    layers = make_layers(cfgs["E"])
    layers.load_state_dict({key.removeprefix("features."): value for key, value in state.items()})
    mean = torch.tensor([0.485, 0.456, 0.406])[:, None, None]
    std = torch.tensor([0.229, 0.224, 0.225])[:, None, None]
    assert len(maps) == depth
    for tap, ours in zip((1, 6, 11, 20, 29), maps, strict=False):
        torch.testing.assert_close(ours, layers[: tap + 1]((image - mean) / std), atol=1e-5, rtol=1e-4)
    assert not any(p.requires_grad for p in backbone.parameters())


def test_padded_file_normalises_by_its_own_convolution(tmp_path: Path) -> None:
    state = save_torchvision_vgg(tmp_path / "vgg.pth")
    convolutions = [key.removesuffix(".weight") for key in state if key.endswith("weight")]
    places = (2, 5, 9, 12, 16, 19, 22, 25, 29, 32, 35, 38, 42, 45, 48, 51)
    padded = {
        f"{i}.{leaf}": state[f"{name}.{leaf}"]
        for i, name in zip(places, convolutions, strict=True)
        for leaf in ("weight", "bias")
    }
    std = torch.tensor([0.229, 0.224, 0.225])
    padded["0.weight"] = torch.diag(1 / std)[:, :, None, None]
    padded["0.bias"] = -torch.tensor([0.485, 0.456, 0.406]) / std
    torch.save(padded, tmp_path / "padded.pth")
    image = pair(32)[0]
    maps = [
        load_backbone(PerceptualConfig(file=str(tmp_path / f), weights=(1.0,) * 3))(image)
        for f in ("vgg.pth", "padded.pth")
    ]
    for ours, theirs in zip(*maps, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_bad_weight_files_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"perceptual\.file"):
        load_backbone(PerceptualConfig())
    with pytest.raises(UserError, match="there is no file"):
        load_backbone(PerceptualConfig(file=str(tmp_path / "none.pth")))
    (tmp_path / "text.pth").write_text("not weights")
    with pytest.raises(UserError, match=r"text\.pth cannot be read as a checkpoint"):
        load_backbone(PerceptualConfig(file=str(tmp_path / "text.pth")))
    torch.save(
        {"features.0.weight": torch.zeros(64, 3, 5, 5), "features.0.bias": torch.zeros(64)}, tmp_path / "other.pth"
    )
    with pytest.raises(UserError, match=r"entry features\.0\.weight is of shape \(64, 3, 5, 5\)"):
        load_backbone(PerceptualConfig(file=str(tmp_path / "other.pth")))


def test_backbone_stays_out_of_the_model(tmp_path: Path) -> None:
    save_torchvision_vgg(tmp_path / "vgg.pth")

    class Holder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.loss = PerceptualLoss(PerceptualConfig(file=str(tmp_path / "vgg.pth"), weights=(1.0,), scales=(1.0,)))

    holder, (ours, theirs) = Holder(), pair()
    ours.requires_grad_()
    theirs.requires_grad_()
    holder.loss(ours, theirs).backward()
    assert ours.grad is not None and ours.grad.abs().sum() > 0
    assert theirs.grad is None, "the target is no variable"
    assert not holder.state_dict() and not list(holder.parameters())


def test_too_small_a_picture_is_refused() -> None:
    with pytest.raises(UserError, match="too small"):
        PerceptualLoss(PerceptualConfig())(*pair(64))
    with pytest.raises(ValueError, match="weights: pixels gives 1"):
        PerceptualConfig("pixels", weights=(1.0, 1.0))


def test_equivariance_is_zero_for_equivariant_points() -> None:
    transform = RandomTPS.sample(2, TransformConfig(0.1, 0.02), "l1", BatchRng(0))
    found = Keypoints(torch.rand(2, 5, 2) - 0.5, torch.eye(2) + 0.1 * torch.randn(2, 5, 2, 2))
    true = Keypoints(transform.points(found.xy), transform.jacobian(found.xy) @ found.affine)
    assert equivariance(true, found, transform) < 1e-6
    assert distance_to_identity(affine_agreement(true, found, transform)) < 1e-5
    assert equivariance(found, found, transform) > 1e-3
    assert distance_to_identity(affine_agreement(found, found, transform)) > 1e-3
