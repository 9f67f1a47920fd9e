"""A checkpoint comes back whole, and one that does not fit is refused by name."""

import pickle
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from baselines import fomm
from tpsm.checkpoints.checkpoint import Checkpoint, load_checkpoint, load_method
from tpsm.core.errors import UserError
from tpsm.core.schema import plain
from tpsm.nn.blocks import HourglassConfig

CONFIG = fomm.Config(
    num_keypoints=3,
    detector=HourglassConfig(4, 8, 2),
    dense_motion=HourglassConfig(4, 8, 2),
    generator=fomm.GeneratorConfig(4, 8, 2, 1),
)


@pytest.fixture
def checkpoint() -> Checkpoint:
    return Checkpoint("fomm", "fomm", "puppets", 64, plain(asdict(CONFIG)), fomm.Model(CONFIG).state_dict(), 1, 7)


def test_what_is_saved_comes_back(checkpoint: Checkpoint, tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    checkpoint.save(path)
    method, loaded = load_method(path, "fomm")
    assert (loaded.step, loaded.size, loaded.optimizer) == (7, 64, None)
    assert not method.training
    for name, value in method.state_dict().items():
        assert torch.equal(value, checkpoint.weights[name]) or "down.weight" in name


def test_equal_weights_make_an_equal_file(checkpoint: Checkpoint, tmp_path: Path) -> None:
    for name in ("first.pt", "second.pt"):
        checkpoint.save(tmp_path / name)
    assert (tmp_path / "first.pt").read_bytes() == (tmp_path / "second.pt").read_bytes()


def test_another_methods_checkpoint_is_refused(checkpoint: Checkpoint, tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    checkpoint.save(path)
    with pytest.raises(UserError, match="holds a checkpoint of method 'fomm', but 'tps' is needed"):
        load_method(path, "tps")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: w.pop("kp_detector.kp.bias"), "lacks the entry 'kp_detector.kp.bias'"),
        (lambda w: w.update(extra=torch.zeros(1)), "holds the entry 'extra'"),
        (
            lambda w: w.update({"kp_detector.kp.bias": torch.zeros(9)}),
            r"'kp_detector.kp.bias' has the shape \(9,\), not",
        ),
    ],
)
def test_weights_that_do_not_fit_are_named(checkpoint: Checkpoint, tmp_path: Path, change: Any, message: str) -> None:
    weights = dict(checkpoint.weights)
    change(weights)
    replace(checkpoint, weights=weights).save(tmp_path / "last.pt")
    with pytest.raises(UserError, match=message):
        load_method(tmp_path / "last.pt")


def test_a_file_that_would_run_code_does_not(tmp_path: Path) -> None:
    marker = tmp_path / "ran"

    class Payload:
        def __reduce__(self) -> Any:
            return marker.touch, ()

    path = tmp_path / "evil.pt"
    torch.save(Payload(), path)
    with pytest.raises(UserError, match="cannot be read as a checkpoint"):
        load_checkpoint(path)
    path.write_bytes(pickle.dumps(Payload()))
    with pytest.raises(UserError, match="cannot be read as a checkpoint"):
        load_checkpoint(path)
    assert not marker.exists()


def test_missing_and_foreign_files_are_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="There is no checkpoint"):
        load_checkpoint(tmp_path / "absent.pt")
    (tmp_path / "text.pt").write_text("not a checkpoint")
    with pytest.raises(UserError, match="cannot be read as a checkpoint"):
        load_checkpoint(tmp_path / "text.pt")
    torch.save({"weights": torch.zeros(1)}, tmp_path / "foreign.pt")
    with pytest.raises(UserError, match="is not a checkpoint that `tpsm train` wrote"):
        load_checkpoint(tmp_path / "foreign.pt")


@pytest.mark.parametrize("zipped", [True, False])
def test_a_file_that_ends_anywhere_is_refused_by_name(tmp_path: Path, zipped: bool) -> None:
    path = tmp_path / "torn.pt"
    torch.save({"weight": torch.zeros(30)}, path, _use_new_zipfile_serialization=zipped)
    whole = path.read_bytes()
    for count in range(0, len(whole) - 1, 3):
        path.write_bytes(whole[:count])
        with pytest.raises(UserError, match=r"torn\.pt cannot be read as a checkpoint"):
            load_checkpoint(path)
