"""A checkpoint comes back whole, and one that does not fit is refused by name."""

import os
import pickle
import zipfile
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
        (lambda w: w.pop("kp_detector.kp.bias"), "has no entry kp_detector.kp.bias"),
        (lambda w: w.update(extra=torch.zeros(1)), "has the entry extra, for which"),
        (
            lambda w: w.update({"kp_detector.kp.bias": torch.zeros(9)}),
            r"kp_detector.kp.bias is of shape \(9,\), the model's of \(3,\)",
        ),
        (lambda w: w.update({"kp_detector.kp.bias": torch.zeros(3, dtype=torch.complex64)}), "kp.bias is complex"),
        (lambda w: w.update({"kp_detector.kp.bias": torch.zeros(3, dtype=torch.int64)}), "kp.bias is of type"),
        (lambda w: w.update({"kp_detector.kp.bias": torch.full((3,), torch.nan)}), "kp.bias holds .* not finite"),
        (lambda w: w.update({"kp_detector.kp.bias": torch.ones(3).to_sparse()}), "kp.bias is sparse"),
        (lambda w: w.update({"kp_detector.kp.bias": torch.ones(3, device="meta")}), "kp.bias has a shape but no"),
        (lambda w: w.update({"kp_detector.kp.bias": torch.ones(1).expand(3)}), "kp.bias declares more values"),
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


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"method": ["fomm"]}, r"\.method must be of type str"),
        ({"method": "fomm2"}, "a checkpoint of 'fomm2', which is no method"),
        ({"size": 0}, "size: must be at least 1"),
        ({"size": 1_000_000}, "size: must be at most"),
        ({"size": "64"}, r"\.size must be of type int"),
        ({"step": -1}, "step: must be at least 0"),
        ({"weights": [1]}, r"\.weights must be a section"),
        ({"weights": {"a": 1}}, r"\.weights\.a must be of type Tensor"),
        ({"model_config": 3}, r"\.model_config must be a section"),
        ({"model_config": {"num_keypoints": 10**9}}, "num_keypoints: must be at most"),
        ({"model_config": {"num_keypoints": 2**63}}, "num_keypoints: must be at most"),
        ({"model_config": {"num_keypoints": 60_000}}, "has no entry generator"),
        ({"model_config": {"temperature": float("nan")}}, r"temperature is nan; it must be a finite number"),
        ({"model_config": {"temperature": 10**400}}, r"temperature is 1.*; it must be a finite number"),
        ({"model_config": {"detector": {"num_blocks": 10**9}}}, "num_blocks: must be at most"),
        ({"model_config": {"detector": {"scale_factor": 1e-300}}}, "scale_factor: must be 1 divided"),
        ({"model_config": {"perceptual": {"scales": [1e-7]}}}, "scales: each must be"),
        ({"model_config": {"transform": {"points": 10**6}}}, "transform.points: must be at most 64"),
        ({"model_config": {"keypoints": 3}}, "Unknown key"),
        ({"surplus": 1}, r"Unknown key .*\.surplus"),
        ({"epoch": None}, r"\.epoch must be of type int"),
    ],
)
def test_a_file_that_claims_nonsense_is_refused_before_a_model_is_built(
    checkpoint: Checkpoint, tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    torch.save({"format": 1, **vars(checkpoint), **change}, tmp_path / "last.pt")
    with pytest.raises(UserError, match=message) as caught:
        load_method(tmp_path / "last.pt")
    assert "last.pt" in str(caught.value) and len(str(caught.value)) < 600


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty", b"", "is empty"),
        ("page", b"\n<!DOCTYPE html><html>", "a web page"),
        ("pointer", b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        ("packed", b"\x1f\x8b\x08", "unpack it first"),
        ("pickled", pickle.dumps({"a": 1}), "torch.save|state dict"),
        ("numbers", b"PK\x05\x06" + bytes(18), "ZIP archive that PyTorch did not write"),
    ],
)
def test_what_else_a_file_is_is_said(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    path = tmp_path / f"{name}.pt"
    path.write_bytes(content)
    with pytest.raises(UserError, match=f"{name}.pt cannot be read as a checkpoint: .*({message})") as caught:
        load_checkpoint(path)
    assert ("fetch it again" in str(caught.value)) == (name == "empty")


def test_a_whole_file_with_a_whole_model_is_not_to_be_fetched_again(tmp_path: Path) -> None:
    for name, old in (("new", False), ("old", True)):
        torch.save(torch.nn.Linear(1, 1), tmp_path / name, _use_new_zipfile_serialization=not old)
        with pytest.raises(UserError, match=r"holds a torch.nn.modules.linear.Linear.* state dict") as caught:
            load_checkpoint(tmp_path / name)
        assert "fetch" not in str(caught.value)


def test_members_that_are_larger_than_their_file_are_refused_unread(tmp_path: Path) -> None:
    """Zeros that deflate a thousandfold."""
    torch.save({"weights": torch.zeros(10**6)}, tmp_path / "plain.pt")
    with (
        zipfile.ZipFile(tmp_path / "plain.pt") as plain,
        zipfile.ZipFile(tmp_path / "bomb.pt", "w", zipfile.ZIP_DEFLATED) as bomb,
    ):
        for name in plain.namelist():
            bomb.writestr(name, plain.read(name))
    with pytest.raises(UserError, match=r"bomb\.pt cannot be read as a checkpoint: its members are larger"):
        load_checkpoint(tmp_path / "bomb.pt")


def test_no_regular_file_is_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.pt")
    for path in (tmp_path / "pipe.pt", tmp_path):
        with pytest.raises(UserError, match="There is no checkpoint"):
            load_checkpoint(path)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_file_that_ends_anywhere_is_refused_by_name(tmp_path: Path, zipped: bool) -> None:
    path = tmp_path / "torn.pt"
    torch.save({"weight": torch.zeros(30)}, path, _use_new_zipfile_serialization=zipped)
    whole = path.read_bytes()
    for count in range(0, len(whole) - 1, 3):
        path.write_bytes(whole[:count])
        with pytest.raises(UserError, match=r"torn\.pt cannot be read as a checkpoint"):
            load_checkpoint(path)


def test_one_flipped_bit_of_a_weight_is_found(tmp_path: Path) -> None:
    path, weight = tmp_path / "last.pt", torch.full((30,), 0.1)
    torch.save({"weight": weight}, path)
    whole = path.read_bytes()
    path.write_bytes(whole.replace(weight.numpy().tobytes(), weight.numpy().tobytes()[:-1] + b"\x3c"))
    assert path.read_bytes() != whole
    with pytest.raises(UserError, match=r"last\.pt cannot be read as a checkpoint: it is damaged \(the checksum"):
        load_checkpoint(path)
