"""OSNet with a file of torchreid's model zoo. The files here are torchreid's own networks, with random weights."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_pipeline import configure, dots, make_data
from torch import nn

from eval.__main__ import main
from eval.evaluators import osnet
from eval.evaluators.osnet_file import OsnetFile
from eval.evaluators.torchreid_osnet import osnet_module
from tpsm.core.errors import UserError
from tpsm.core.files import sha256_of

MODELS = ("osnet_x1_0", "osnet_x0_25", "osnet_ibn_x1_0")


def released(folder: Path, model: str = "osnet_x0_25", people: int = 751) -> tuple[Path, nn.Module]:
    torch.manual_seed(0)
    network = getattr(osnet_module(), model)(num_classes=people, pretrained=False)
    for module in network.modules():  # as if trained: what evaluation takes from it is no default
        if isinstance(module, nn.BatchNorm2d | nn.BatchNorm1d):
            module.running_mean.uniform_(-0.1, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    path = folder / f"{model}_market1501.pth"
    torch.save(network.state_dict(), path)
    return path, network.eval()


@pytest.mark.parametrize("model", MODELS)
def test_the_width_is_the_files_and_the_vector_the_networks_own(model: str, tmp_path: Path) -> None:
    path, network = released(tmp_path, model)
    frames = dots("a#0", 0).frames[::3]
    found = osnet.train(osnet.Config(file=str(path)), [], "key")(frames)
    images = torch.from_numpy(frames).permute(0, 3, 1, 2).float() / 255
    images = nn.functional.interpolate(images, (256, 128), mode="bilinear", antialias=True)
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    with torch.inference_mode():
        expected = network((images - mean[:, None, None]) / deviation[:, None, None])
    assert found.shape == (len(frames), 512)
    np.testing.assert_allclose(found, nn.functional.normalize(expected).numpy(), atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, rtol=1e-5)
    assert np.abs(found[0] - found[-1]).max() > 1e-3, "another picture has another vector"


def test_a_training_checkpoint_of_many_gpus_is_the_same(tmp_path: Path) -> None:
    path, network = released(tmp_path)
    bare = OsnetFile(str(path))(dots("a#0", 0).frames)
    state = {f"module.{key}": value for key, value in network.state_dict().items()}
    torch.save({"state_dict": state, "epoch": 60}, path)
    np.testing.assert_array_equal(OsnetFile(str(path))(dots("a#0", 0).frames), bare)


def spoil(path: Path, change: dict[str, Any]) -> None:
    state = {key: value for key, value in torch.load(path).items() if change.get(key, value) is not None}
    torch.save(state | {key: value for key, value in change.items() if value is not None}, path)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"conv3.0.conv1.conv.weight": None}, "has no entry conv3.0.conv1.conv.weight"),
        ({"conv6.weight": torch.zeros(1)}, "has the entry conv6.weight, for which the model has no place"),
        ({"fc.0.weight": torch.zeros(512, 96)}, r"fc.0.weight is of shape \(512, 96\), the model's of \(512, 128\)"),
        ({"fc.0.bias": torch.full((512,), torch.nan)}, "fc.0.bias holds values that are not finite"),
        ({"conv1.conv.weight": torch.zeros(24, 3, 7, 7)}, "none of torchreid's OSNets"),
        ({"epoch": 3}, "holds no tensors by name"),
    ],
)
def test_what_does_not_fit_is_named(change: dict[str, Any], says: str, tmp_path: Path) -> None:
    path, _ = released(tmp_path)
    spoil(path, change)
    with pytest.raises(UserError, match=says):
        OsnetFile(str(path))


def test_a_file_cannot_run_code(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (tmp_path / "ran",)

    path = tmp_path / "trap.pth"
    path.write_bytes(pickle.dumps({"conv1.conv.weight": Trap()}))
    with pytest.raises(UserError, match=r"trap\.pth cannot be read as a checkpoint"):
        OsnetFile(str(path))
    assert not (tmp_path / "ran").exists()


def test_the_whole_way_records_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    layout = make_data(tmp_path, train=("a#0",))
    file = tmp_path / "osnet_x0_25_market1501.pth"
    section = {"evaluators": {"identity": {"kind": "osnet", "file": str(file)}}, "bootstrap": {"samples": 100}}
    configure(layout, section | {"metrics": ["aed", "identity_found"]})
    (layout.config.parent / "runs").mkdir()
    arguments = ["--dataset", "dots", "--root", str(tmp_path)]
    assert main(["check", "--root", str(tmp_path)]) == 2, "missing files are told before anything is trained"
    assert f"There is no {file}; put a file of torchreid's model zoo there" in capsys.readouterr().err
    released(tmp_path)
    assert main(["check", "--root", str(tmp_path)]) == 0
    for verb in ("evaluators", "features", "score --run copy-source", "report"):
        assert main([*verb.split(), *arguments]) == 0
    record = json.loads((layout.evaluators / "quality.json").read_text())["identity"]["pretrained"]
    assert record["weights"] == {file.name: sha256_of(file)} and record["settings"]["model"] == "osnet_x0_25"
    assert "osnet, pretrained: osnet_x0_25_market1501.pth" in (layout.report / "README.md").read_text()
    spoil(file, {"fc.0.bias": torch.ones(512)})
    assert main(["features", *arguments]) == 2
    assert "identity.pt was made with other weights" in capsys.readouterr().err
    configure(layout, section | {"evaluators": {"identity": {"kind": "osnet"}}})
    assert main(["features", *arguments]) == 2, "a record is no network"
    assert "identity.pt does not fit evaluation.dots.evaluators.identity" in capsys.readouterr().err
