"""A training that begins with weights: another run's, or a file's."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from commands import tpsm
from released_files import modules, write
from safetensors.torch import save_file
from small_methods import CONFIGS

from baselines import fomm
from tpsm.checkpoints.checkpoint import Checkpoint, load_checkpoint
from tpsm.checkpoints.origin import begin_with
from tpsm.config.params import read_params, read_run, resolve_run
from tpsm.core.errors import UserError
from tpsm.core.schema import plain
from tpsm.data.manifest import read_manifest
from tpsm.methods import method_module
from tpsm.methods.base import Method
from tpsm.sources.puppets.generate import synthesize
from tpsm.stages.train import training_batches
from tpsm.training.loop import RunInfo, fit


def make(config: Any, seed: int) -> Method:
    torch.manual_seed(seed)
    return fomm.Model(config)


def saved(method: Method, path: Path, config: Any, name: str = "fomm") -> Path:
    Checkpoint(name, "run", "set", 32, plain(asdict(config)), method.state_dict(), 1, 7).save(path)
    return path


ADVERSARIAL = replace(
    CONFIGS["fomm"],
    discriminator=fomm.DiscriminatorConfig(4, 8, 2, spectral_norm=False),
    weights=fomm.LossWeights(gan=1.0),
)


def test_modules_that_the_file_lacks_are_drawn_and_the_others_taken(tmp_path: Path) -> None:
    """As FOMM's vox-adv begins with vox, whose discriminator was never trained."""
    base = make(CONFIGS["fomm"], seed=1)
    tuned, drawn = make(ADVERSARIAL, seed=2), make(ADVERSARIAL, seed=2).state_dict()
    begin_with(tuned, "fomm", saved(base, tmp_path / "last.pt", CONFIGS["fomm"]))
    for key, value in tuned.state_dict().items():
        expected = drawn[key] if key.startswith("discriminator.") else base.state_dict()[key]
        assert torch.equal(value, expected), key
    assert all(parameter.requires_grad for parameter in tuned.parameters())


def test_released_files_and_safetensors_are_begun_with(tmp_path: Path) -> None:
    parts = modules("fomm", ADVERSARIAL, 32, None)
    flat = {f"{name}.{key}": value for name, entries in parts.items() for key, value in entries.items()}
    save_file(flat, tmp_path / "flat.safetensors")
    for file in (write(tmp_path / "fomm.pth.tar", "fomm", parts), tmp_path / "flat.safetensors"):
        method = make(ADVERSARIAL, seed=1)
        begin_with(method, "fomm", file)
        assert all(torch.equal(value, flat[key]) for key, value in method.state_dict().items())
        before = file.read_bytes()
        with torch.no_grad():
            for parameter in method.parameters():
                parameter.add_(1)
        assert file.read_bytes() == before


def test_a_file_that_does_not_fit_is_refused_by_name(tmp_path: Path) -> None:
    method = make(CONFIGS["fomm"], seed=1)
    wider = replace(CONFIGS["fomm"], num_keypoints=4)
    other = saved(make(wider, seed=1), tmp_path / "other.pt", wider)
    with pytest.raises(UserError, match=r"other\.pt: .*generator\.\S+ is of shape"):
        begin_with(method, "fomm", other)
    with pytest.raises(UserError, match="of 'fomm', not of 'mraa'"):
        begin_with(method_module("mraa").Model(CONFIGS["mraa"]), "mraa", other)
    torch.save({"net": {"weight": torch.zeros(1)}}, tmp_path / "foreign.pt")
    with pytest.raises(UserError, match="holds net, and none of generator, kp_detector"):
        begin_with(method, "fomm", tmp_path / "foreign.pt")


TINY = {"width": 4, "max_features": 8, "num_blocks": 2}
PARAMS: dict[str, Any] = {
    "datasets": ["drawn"],
    "runs": ["base", "tuned"],
    "animate": {"runs": [], "avd": []},
    "data": {"drawn": {"size": 64, "scale": "tiny"}},
    "run": {
        "base": {"method": "fomm", "label": "Base"},
        "tuned": {"method": "fomm", "label": "Tuned", "train": {"from": "base", "seed": 3, "epochs": 2}},
    },
    "scales": {
        "tiny": {
            "fomm": {
                "model": {
                    "num_keypoints": 4,
                    "detector": TINY,
                    "dense_motion": TINY,
                    "generator": {"width": 4, "max_features": 8},
                    "perceptual": {"backbone": "pixels", "weights": [10]},
                },
                "train": {"epochs": 1, "repeats": 2, "batch": 4, "learning_rate": 1e-3},
            }
        }
    },
    "evaluation": {},
}


def written(**runs: Any) -> Path:
    Path("params.yaml").write_text(yaml.safe_dump(PARAMS | {"run": PARAMS["run"] | runs}))
    return Path("params.yaml")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def drawn_set() -> None:
    raw = Path("data/raw/drawn")
    synthesize(raw, size=64, train_identities=2, test_identities=1, clips_per_identity=1, frames=3, seed=1)


def test_a_run_that_begins_with_another_is_trained_as_by_hand(folder: Path) -> None:
    drawn_set()
    written()
    tpsm("configure")
    tpsm("prepare", "--dataset", "drawn")
    with pytest.raises(UserError, match=r"'base' has not been trained .*dvc repro train@drawn-base"):
        tpsm("train", "--dataset", "drawn", "--run", "tuned")
    for run in ("base", "tuned"):
        tpsm("train", "--dataset", "drawn", "--run", run)

    config, manifest = read_run("drawn", "tuned"), read_manifest(Path("data/clips/drawn"))
    base = load_checkpoint(Path("models/drawn/base/last.pt"))
    method = make(config.model, seed=3)
    method.load_state_dict(base.weights)
    info = RunInfo("fomm", "tuned", "drawn", 64, plain(asdict(config.model)))
    batches, _ = training_batches(manifest, config.train)
    fit(method, batches, config.train, info, Path("by-hand"), data_hash="", work=Path("elsewhere"))
    assert Path("by-hand/last.pt").read_bytes() == Path("models/drawn/tuned/last.pt").read_bytes()
    weights = load_checkpoint(Path("models/drawn/tuned/last.pt")).weights
    assert any(not torch.equal(value, base.weights[key]) for key, value in weights.items())

    written(base={"method": "fomm", "label": "Base", "train": {"learning_rate": 1e-4}})
    tpsm("configure")
    with pytest.raises(UserError, match=r"trained with other parameters .*dvc repro train@drawn-base"):
        tpsm("train", "--dataset", "drawn", "--run", "tuned")


def test_what_changes_the_first_run_changes_the_second(folder: Path) -> None:
    first = resolve_run(read_params(written()), "drawn", "tuned")[0]
    assert first.origin is not None and (first.origin.run, first.origin.file) == ("base", "models/drawn/base/last.pt")
    label = {"method": "fomm", "label": "Another label"}
    assert resolve_run(read_params(written(base=label)), "drawn", "tuned")[0] == first
    other = {"method": "fomm", "label": "Base", "train": {"epochs": 5}}
    assert resolve_run(read_params(written(base=other)), "drawn", "tuned")[0].origin != first.origin


def test_a_files_content_is_part_of_the_run(folder: Path) -> None:
    tuned = {"method": "fomm", "label": "Tuned", "train": {"from": "weights/{dataset}.pt"}}
    absent = resolve_run(read_params(written(tuned=tuned)), "drawn", "tuned")[0].origin
    assert absent is not None and (absent.file, absent.sha256) == ("weights/drawn.pt", None)
    with pytest.raises(UserError, match=r"no file weights/drawn\.pt"):
        absent.unchanged()
    Path("weights").mkdir()
    Path("weights/drawn.pt").write_bytes(b"1")
    first = resolve_run(read_params(written(tuned=tuned)), "drawn", "tuned")[0].origin
    assert first is not None and first.unchanged() == Path("weights/drawn.pt")
    Path("weights/drawn.pt").write_bytes(b"2")
    with pytest.raises(UserError, match=r"weights/drawn\.pt has changed since `tpsm configure`"):
        first.unchanged()


@pytest.mark.parametrize(
    ("runs", "message"),
    [
        ({"base": {"method": "fomm", "label": "B", "train": {"from": "tuned"}}}, r"run\.\w+\.train\.from .* itself"),
        ({"tuned": {"method": "fomm", "label": "T", "train": {"from": 3}}}, r"train\.from is 3; name a run"),
        ({"tuned": {"method": "fomm", "label": "T", "train": {"from": "x.pt"}}}, r"no file x\.pt"),
        ({"tuned": {"method": "fomm", "label": "T", "train": {"form": "base"}}}, r"Unknown key .*train\.form"),
        (
            {"base": {"method": "fomm", "label": "B", "train": {"from": "extra"}}, "extra": PARAMS["run"]["base"]},
            r"train\.from is 'extra'; list that run under runs, before 'base'",
        ),
    ],
)
def test_configure_refuses_what_cannot_be_begun_with(folder: Path, runs: dict[str, Any], message: str) -> None:
    drawn_set()
    written(**runs)
    with pytest.raises(UserError, match=message):
        tpsm("configure")
    assert not Path("configs").exists()
