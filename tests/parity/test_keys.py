"""The default configurations are the released models: the same entries with the same shapes, and taken strictly."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from reference import Reference, released_state
from torch import nn

from baselines import fomm, mraa
from tpsm.core.errors import UserError
from tpsm.methods import tps
from tpsm.methods.avd import AVD
from tpsm.methods.avd_config import AvdConfig
from tpsm.nn.state_dict import ReleasedModules

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


HOURGLASS = {"block_expansion": 4, "max_features": 8, "num_blocks": 2, "scale_factor": 0.25}
GENERATOR = {"block_expansion": 4, "max_features": 8, "num_down_blocks": 2, "num_bottleneck_blocks": 1}
REGIONS = HOURGLASS | {"temperature": 0.1, "pca_based": True}
FOMM = {
    "method": "fomm",
    "num_kp": 3,
    "jacobian": True,
    "kp_detector": HOURGLASS | {"temperature": 0.1},
    "generator": GENERATOR | {"dense_motion_params": HOURGLASS},
}
MRAA = {
    "method": "mraa",
    "num_regions": 3,
    "region_predictor": REGIONS,
    "generator": GENERATOR | {"skips": True, "pixelwise_flow_predictor_params": HOURGLASS},
}


def with_covariances(use: bool) -> dict:
    return MRAA["generator"] | {"pixelwise_flow_predictor_params": HOURGLASS | {"use_covar_heatmap": use}}


CRITIC = {"block_expansion": 4, "max_features": 8, "num_blocks": 2, "scales": [1], "sn": True}
ADVERSARIAL = ("gen_gan", "feature_matching", "disc_gan")


@pytest.mark.parametrize(
    ("config", "losses", "expected"),
    [
        (FOMM, (), {"jacobian": True, "single_jacobian": False, "weights.gan": 0.0}),
        (FOMM | {"jacobian": False}, (), {"jacobian": False}),
        (FOMM | {"align_corners": False}, (), {"align_corners": False}),
        (FOMM | {"kp_detector": FOMM["kp_detector"] | {"single_jacobian_map": True}}, (), {"single_jacobian": True}),
        (
            FOMM | {"discriminator_params": CRITIC, "loss_weights": {"generator_gan": 1, "feature_matching": [10] * 4}},
            ADVERSARIAL,
            {"weights.gan": 1.0, "weights.feature_matching": 10.0, "discriminator.spectral_norm": True},
        ),
        (
            FOMM | {"discriminator": CRITIC | {"sn": False, "use_kp": True}},
            ADVERSARIAL,
            {"discriminator.use_keypoints": True, "discriminator.spectral_norm": False, "discriminator.width": 4},
        ),
        (MRAA, (), {"padding": 3, "background.kind": "zero"}),
        (MRAA | {"bg_predictor": None, "region_predictor": REGIONS | {"pad": 0}}, (), {"padding": 0}),
        (MRAA | {"region_predictor": REGIONS | {"pca_based": False}}, (), {"pca": False}),
        (MRAA | {"generator": with_covariances(True)}, (), {"covariance_heatmaps": True}),
        (MRAA | {"generator": with_covariances(False)}, (), {"covariance_heatmaps": False}),
        (MRAA | {"bg_predictor": {"bg_type": "zero"}}, (), {"background.kind": "zero"}),
        (MRAA | {"bg_predictor": HOURGLASS | {"bg_type": "affine"}}, (), {"background.kind": "affine"}),
    ],
)
def test_fixtures_of_any_released_configuration_are_read(config: dict, losses: tuple, expected: dict) -> None:
    reference = Reference({f"loss/{name}": np.zeros(()) for name in losses}, config)
    model = reference.method()  # takes the deterministic weights, strictly
    for name, value in expected.items():
        found = model.config
        for part in name.split("."):
            found = getattr(found, part)
        assert found == value, name
    assert bool(losses) == hasattr(getattr(model, "discriminator", None), "discs")


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (FOMM | {"temprature": 1}, "config.temprature, which is not known"),
        (MRAA | {"generator": with_covariances(True) | {"skip": True}}, "config.generator.skip, which is not known"),
        (MRAA | {"align_corners": True}, "config.align_corners = True; only"),
        (FOMM | {"generator": FOMM["generator"] | {"estimate_occlusion_map": False}}, "estimate_occlusion_map = False"),
    ],
)
def test_a_fixture_of_what_is_not_computed_here_is_refused(config: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Reference({}, config).method()


def test_resnet_at_width_64_is_torchvisions() -> None:
    from torchvision.models import resnet18

    from tpsm.nn.resnet import ResNet18

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
        (
            lambda s: s["kp_detector"].update(extra=torch.zeros(1)),
            "entry kp_detector.extra, for which",
        ),
        (lambda s: s["kp_detector"].update({"fg_encoder.fc.bias": torch.zeros(3)}), r"fc.bias is of shape \(3,\)"),
        (lambda s: s.pop("bg_predictor"), r"no module 'bg_predictor'.*set model.background: false"),
        (lambda s: s.update(bg_detector=dict(s["bg_predictor"])), "no place for the module 'bg_detector'"),
    ],
)
def test_checkpoint_that_does_not_fit_is_refused(spoil: object, message: str) -> None:
    model = Reference.read(HERE / "fixtures" / "tps_tiny.npz").method()
    state = released_state(model)
    spoil(state)
    with pytest.raises(UserError, match=message):
        model.load_released(ReleasedModules(Path("released.pth"), state))
