"""The default configurations are the released models: the same entries with the same shapes, and taken strictly."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from reference import Reference, official_state
from torch import nn

from baselines import fomm, mraa
from tpsm import model as tps
from tpsm.avd import AVD, AvdConfig
from tpsm.errors import UserError

HERE = Path(__file__).parent


def released(name: str) -> dict[str, tuple[int, ...]]:
    entries: dict[str, tuple[int, ...]] = {}
    for line in (HERE / "keys" / f"{name}.txt").read_text().splitlines():
        if line.startswith("["):
            module = line.strip("[]")
        else:
            key, shape = line.split(" ", 1)
            entries[f"{module}.{key}"] = tuple(int(side) for side in shape.strip("()").split(",") if side.strip())
    return entries


def own(module: nn.Module, prefix: str = "") -> dict[str, tuple[int, ...]]:
    return {prefix + key: tuple(value.shape) for key, value in module.state_dict().items()}


@pytest.mark.parametrize(
    ("name", "module", "avd"),
    [
        ("tpsmm_vox-256", tps, (AvdConfig(), 50, False)),
        ("mraa_vox256", mraa, (AvdConfig(id_bottle=64, pose_bottle=64), 10, True)),
    ],
)
def test_default_is_the_released_model(name: str, module: object, avd: tuple) -> None:
    with torch.device("meta"):  # Shapes alone; the weights would take a while to draw.
        entries = own(module.Model(module.Config())) | own(AVD(*avd), "avd_network.")
    assert entries == released(name)


@pytest.mark.parametrize(
    ("name", "config"),
    [
        ("fomm_vox-256", fomm.Config()),
        ("fomm_mgif-256", fomm.Config(single_jacobian=True)),
        (
            "fomm_vox-adv-256",
            fomm.Config(discriminator=fomm.DiscriminatorConfig(spectral_norm=False, use_keypoints=True)),
        ),
    ],
)
def test_fomm_is_the_released_one_with_its_discriminator_and_without(name: str, config: fomm.Config) -> None:
    expected = released(name)
    with torch.device("meta"):
        assert own(fomm.Model(replace(config, weights=fomm.LossWeights(gan=1.0)))) == expected
        assert own(fomm.Model(config)) == {k: v for k, v in expected.items() if not k.startswith("discriminator.")}


def test_resnet_at_width_64_is_torchvisions() -> None:
    from torchvision.models import resnet18

    from tpsm.resnet import ResNet18

    theirs, ours = resnet18(num_classes=7).eval(), ResNet18(3, 7).eval()
    assert list(own(ours).items()) == list(own(theirs).items())
    ours.load_state_dict(theirs.state_dict())
    for size in (32, 96):
        image = torch.rand(2, 3, size, size)
        torch.testing.assert_close(ours(image), theirs(image), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda s: s["kp_detector"].pop("fg_encoder.fc.bias"), "no entry kp_detector.fg_encoder.fc.bias"),
        (lambda s: s["kp_detector"].update(extra=torch.zeros(1)), "no place for the entry kp_detector.extra"),
        (lambda s: s["kp_detector"].update({"fg_encoder.fc.bias": torch.zeros(3)}), r"fc.bias is of shape \(3,\)"),
        (lambda s: s.pop("bg_predictor"), r"no module 'bg_predictor'.*set model.background: false"),
        (lambda s: s.update(bg_detector=dict(s["bg_predictor"])), "no place for the module 'bg_detector'"),
    ],
)
def test_checkpoint_that_does_not_fit_is_refused(spoil: object, message: str) -> None:
    model = Reference.read(HERE / "fixtures" / "tps_tiny.npz").method()
    state = official_state(model)
    spoil(state)
    with pytest.raises(UserError, match=message):
        model.load_official(state)
