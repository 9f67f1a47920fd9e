"""Runs trained to be published, published, and taken in the place of training."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from commands import tpsm
from safetensors.torch import load_file, save_file
from test_stages import PARAMS

from eval.__main__ import main as evaluate
from tpsm.checkpoints.checkpoint import load_checkpoint, load_method
from tpsm.config.params import merge
from tpsm.core.errors import UserError
from tpsm.core.files import sha256_of
from tpsm.data.manifest import read_manifest
from tpsm.published.card import read_card
from tpsm.published.weight_file import pack
from tpsm.sources.puppets.generate import synthesize
from tpsm.stages.publish import publish, thinned
from tpsm.stages.train import train_run
from tpsm.stages.train_all import Job, is_complete, train_job
from tpsm.stages.train_avd import train_avd

RUNS, AVDS = ("tps", "fomm", "mraa"), ("tps", "mraa")
EVALUATORS = {
    "landmarks": {"kind": "heatmap", "steps": 2, "batch": 2, "width": 4, "size": 32},
    "identity": {"kind": "osnet", "steps": 2, "batch": 2, "size": 32},
}
OWN: dict[str, Any] = {
    "animate": {"datasets": ["drawn"]},
    # With a discriminator, which is not published.
    "scales": {
        "tiny": {
            "fomm": {
                "model": {
                    "weights": {"gan": 1.0},
                    "discriminator": {"width": 4, "max_features": 8, "num_blocks": 2},
                }
            }
        }
    },
    "evaluation": {"drawn": {"evaluators": EVALUATORS}},
}
PUBLISHED = {"data": {"drawn": {"weights": "weights/drawn", "evaluators": "weights/drawn/evaluators"}}}


def draw(seed: int) -> None:
    sizes = {"size": 64, "train_identities": 3, "test_identities": 2, "clips_per_identity": 2, "frames": 4}
    synthesize(Path("data/raw/drawn"), seed=seed, **sizes)


def set_params(changes: dict[str, Any]) -> None:
    Path("params.yaml").write_text(yaml.safe_dump(merge(merge(PARAMS, OWN), changes)))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which all was trained and published."""
    folder = tmp_path_factory.mktemp("project")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        set_params({})
        draw(seed=1)
        tpsm("configure")
        tpsm("prepare", "--dataset", "drawn")
        for run in RUNS:
            train_job(Job("drawn", run))
        for run in AVDS:
            train_job(Job("drawn", run, avd=True))
        assert evaluate(["evaluators", "--dataset", "drawn", "--fresh"]) == 0
        tpsm("publish", "--dataset", "drawn")
    return folder


def never(*_: object, **__: object) -> None:
    raise AssertionError("This trains, although the weights are published.")


@pytest.fixture
def project(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of it that takes what was published, and never trains."""
    shutil.copytree(trained, tmp_path / "project")
    monkeypatch.chdir(tmp_path / "project")
    for name in ("tpsm.stages.train.fit", "eval.evaluators.heatmap.train", "eval.evaluators.osnet.train"):
        monkeypatch.setattr(name, never)
    set_params(PUBLISHED)
    yield tmp_path / "project"


@pytest.mark.parametrize("run", RUNS)
def test_a_published_run_is_taken_as_it_is_stored(project: Path, run: str) -> None:
    tpsm("configure")
    train_run("drawn", run)
    stored = load_file(project / f"weights/drawn/{run}.safetensors")
    taken = load_checkpoint(project / f"models/drawn/{run}/last.pt")
    full = load_checkpoint(project / f"trained/drawn/{run}/last.pt")
    assert taken.weights.keys() == full.weights.keys()
    for name, value in taken.weights.items():
        if name.startswith("discriminator"):
            assert name not in stored and not value.any()
        else:
            assert stored[name].dtype == (torch.float16 if value.ndim > 1 else value.dtype)
            assert value.dtype == full.weights[name].dtype and torch.equal(value, stored[name].to(value.dtype))
            torch.testing.assert_close(value, full.weights[name], rtol=1e-3, atol=1e-6)
    load_method(project / f"models/drawn/{run}/last.pt", run)
    tpsm("reconstruct", "--dataset", "drawn", "--run", run)


def test_a_taken_run_knows_how_its_frames_became_squares(project: Path) -> None:
    """`tpsm animate` does with its frames what training did."""
    for run in RUNS:
        card = project / f"weights/drawn/{run}.json"
        content = json.loads(card.read_text())
        content["recipe"]["data"]["fit"] = "stretch"
        card.write_text(json.dumps(content))
    set_params(merge(PUBLISHED, {"data": {"drawn": {"fit": "stretch"}}}))
    tpsm("configure")
    train_run("drawn", "tps")
    assert load_checkpoint(project / "models/drawn/tps/last.pt").fit == "stretch"


def test_a_taken_run_says_how_it_was_trained(project: Path) -> None:
    tpsm("configure")
    train_run("drawn", "tps")
    mine, theirs = (json.loads((project / top / "drawn/tps/summary.json").read_text()) for top in ("models", "trained"))
    card = read_card(project / "weights/drawn/tps.json")
    assert mine["published"] == card.sha256 and card.steps == mine["steps"]
    assert mine["provenance"]["seconds"] == card.provenance["seconds"] > 0
    same = (
        "run",
        "method",
        "keypoints",
        "parameters",
        "flops_per_frame",
        "size",
        "steps",
        "batch",
        "seed",
        "precision",
    )
    assert {key: mine[key] for key in same} == {key: theirs[key] for key in same}
    curve, full = (pd.read_csv(project / top / "drawn/tps/metrics.csv") for top in ("models", "trained"))
    pd.testing.assert_frame_equal(curve, full, rtol=1e-4, check_dtype=False)


def test_published_avd_networks_and_evaluators_are_taken(project: Path) -> None:
    tpsm("configure")
    assert evaluate(["check"]) == 0
    for run in AVDS:
        train_run("drawn", run)
        train_avd("drawn", run)
        tpsm("animate-pairs", "--dataset", "drawn", "--run", run, "--mode", "avd")
    assert evaluate(["evaluators", "--dataset", "drawn"]) == 0
    for role in EVALUATORS:
        stored = load_file(project / f"weights/drawn/evaluators/{role}.safetensors")
        taken = torch.load(project / f"evaluators/drawn/networks/{role}.pt", weights_only=True)
        assert all(torch.equal(taken[name], value.to(taken[name].dtype)) for name, value in stored.items())
    assert "landmarks" in json.loads((project / "evaluators/drawn/quality.json").read_text())


def test_equal_weights_make_equal_files(project: Path) -> None:
    before = {path: path.read_bytes() for path in Path("weights").rglob("*.*")}
    assert len(before) == 2 * (len(RUNS) + len(AVDS) + len(EVALUATORS))
    shutil.rmtree("weights")
    tpsm("publish", "--dataset", "drawn")
    assert {path: path.read_bytes() for path in Path("weights").rglob("*.*")} == before


def break_file(how: str) -> None:
    file, card = Path("weights/drawn/tps.safetensors"), Path("weights/drawn/tps.json")
    match how:
        case "absent":
            file.unlink()
        case "torn":
            file.write_bytes(file.read_bytes()[:1000])
        case "another method":
            shutil.copy("weights/drawn/fomm.safetensors", file)
            shutil.copy("weights/drawn/fomm.json", card)
        case "another file":
            shutil.copy("weights/drawn/fomm.safetensors", file)
        case "no card":
            card.write_text("[")
        case "another card":
            card.write_text(json.dumps(json.loads(card.read_text()) | {"sizes": 3}))
        case _:
            weights = load_file(file)
            key = next(name for name in sorted(weights) if weights[name].ndim > 1)
            if how == "shape":
                weights[key] = weights[key][:1].contiguous()
            else:
                del weights[key]
            save_file(weights, file)
            content = json.loads(card.read_text())
            card.write_text(json.dumps(content | {"sha256": sha256_of(file)}))


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("absent", r"no weights/drawn/tps\.safetensors.*`tpsm publish`.*params\.yaml"),
        ("torn", r"tps\.safetensors is not the file that tps\.json describes; publish"),
        ("another method", r"tps\.safetensors holds weights of 'fomm', but 'tps' is needed"),
        ("another file", r"tps\.safetensors is not the file that tps\.json describes; publish"),
        ("no card", r"tps\.json is not valid JSON .*make it anew"),
        ("another card", r"Unknown key weights/drawn/tps\.json\.sizes"),
        ("shape", r"tps\.safetensors: .*entry bg_predictor\.bg_encoder\.conv1\.weight is of shape"),
        ("entry", r"tps\.safetensors has no entry"),
    ],
)
def test_a_file_that_is_not_the_runs_is_refused(project: Path, how: str, message: str) -> None:
    break_file(how)
    with pytest.raises(UserError, match=message):
        tpsm("configure")
    assert not (project / "models").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scales": {"tiny": {"tps": {"train": {"epochs": 3}}}}}, r"tps\.safetensors .*: train\.epochs is 2 .* 3 in"),
        ({"scales": {"tiny": {"mraa": {"model": {"num_regions": 5}}}}}, r"mraa.*: model\.num_regions is 4 .* 5 in"),
        ({"data": {"drawn": {"augment": {"hue": 0}}}}, r"tps.*: data\.augment\.hue is 0\.1 .* 0\.0 in"),
        ({"scales": {"tiny": {"tps": {"avd": {"train": {"epochs": 3}}}}}}, r"avd/tps.*: train\.epochs is 2"),
    ],
)
def test_weights_of_another_recipe_are_refused(project: Path, changes: dict[str, Any], message: str) -> None:
    set_params(merge(PUBLISHED, changes))
    with pytest.raises(UserError, match=message):
        tpsm("configure")


def test_a_recipe_that_decides_the_same_is_the_same(project: Path) -> None:
    set_params(
        merge(
            PUBLISHED, {"scales": {"tiny": {"tps": {"train": {"checkpoint_every": 77, "workers": 1, "graph": True}}}}}
        )
    )
    tpsm("configure")


def test_weights_trained_on_other_clips_are_refused(project: Path) -> None:
    shutil.rmtree("data")
    draw(seed=2)
    tpsm("configure")
    tpsm("prepare", "--dataset", "drawn")
    with pytest.raises(UserError, match=r"tps\.safetensors was trained on other clips than those in data/clips/drawn"):
        train_run("drawn", "tps")
    with pytest.raises(UserError, match=r"avd/tps\.safetensors was trained on other clips"):
        train_avd("drawn", "tps")
    assert evaluate(["evaluators", "--dataset", "drawn"]) == 2
    assert not list(Path("models").rglob("*.*"))
    assert not is_complete(Job("drawn", "tps"))


def test_the_same_clips_of_another_encoder_are_the_same(project: Path) -> None:
    tpsm("configure")
    clips = Path("data/clips/drawn")
    manifest = read_manifest(clips)
    replace(manifest, entries=tuple(replace(entry, sha256="0" * 64) for entry in manifest.entries)).write(clips)
    train_run("drawn", "tps")


def test_a_change_after_configuring_is_noticed(project: Path) -> None:
    tpsm("configure")
    break_file("another method")
    with pytest.raises(UserError, match=r"tps\.safetensors has changed since `tpsm configure`"):
        train_run("drawn", "tps")


def test_evaluators_of_other_settings_are_refused(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    set_params(merge(PUBLISHED, {"evaluation": {"drawn": {"evaluators": {"landmarks": {"width": 8}}}}}))
    tpsm("configure")
    assert evaluate(["check"]) == 2
    assert "landmarks.safetensors was trained otherwise: width is 4 there and 8" in capsys.readouterr().err
    shutil.rmtree("weights/drawn/evaluators")
    tpsm("configure")
    assert evaluate(["check"]) == 2
    assert "`tpsm publish`" in capsys.readouterr().err


def test_a_set_may_share_evaluators_and_train_its_runs(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    set_params(merge(PUBLISHED, {"data": {"drawn": {"weights": None}}}))
    tpsm("configure")
    assert evaluate(["evaluators", "--dataset", "drawn"]) == 0
    trained: list[Any] = []
    monkeypatch.setattr("tpsm.stages.train.fit", lambda *arguments, **_: trained.append(arguments))
    monkeypatch.setattr("tpsm.stages.train.write_summary", lambda *_: None)
    train_run("drawn", "tps")
    assert trained


def test_too_much_is_not_published(project: Path) -> None:
    shutil.rmtree("weights")
    with pytest.raises(UserError, match=r"weights/drawn would have .* MB, more than --limit-mb 0\.01"):
        publish(Path("params.yaml"), "drawn", (), 0.01)
    assert not Path("weights").exists()


def test_publishing_one_run_leaves_the_others_and_all_removes_strangers(project: Path) -> None:
    Path("weights/drawn/tps.safetensors").unlink()
    Path("weights/drawn/old.safetensors").touch()
    before = Path("weights/drawn/fomm.safetensors").stat().st_mtime_ns
    assert "MB  in all" in publish(Path("params.yaml"), "drawn", ("tps",), 30.0)
    assert Path("weights/drawn/tps.safetensors").is_file() and not Path("weights/drawn/old.safetensors").exists()
    assert Path("weights/drawn/fomm.safetensors").stat().st_mtime_ns == before
    with pytest.raises(UserError, match="does not train 'vox' on drawn"):
        publish(Path("params.yaml"), "drawn", ("vox",), 30.0)
    Path("trained/drawn/tps/card.json").unlink()
    with pytest.raises(UserError, match=r"drawn tps is not trained: .*tpsm train-all"):
        publish(Path("params.yaml"), "drawn", (), 30.0)


def test_what_half_precision_cannot_hold_stays_single() -> None:
    from safetensors.torch import load

    weights = {
        "kernel": torch.full((2, 2), 0.1),
        "large": torch.full((2, 2), 1e5),
        "variance": torch.full((4,), 1e-7),
        "count": torch.tensor(3),
    }
    stored = load(pack(weights))
    assert stored["kernel"].dtype == torch.float16
    for name in ("large", "variance", "count"):
        assert torch.equal(stored[name], weights[name])
    with pytest.raises(UserError, match="'kernel' is not finite"):
        pack({"kernel": torch.tensor([[torch.nan]])})


@pytest.mark.parametrize("length", [1, 199, 200, 201, 3080])
def test_a_thinned_curve_keeps_its_ends_and_its_mean(length: int) -> None:
    curve = pd.DataFrame({"step": range(length), "epoch": np.arange(length) // 44, "total": np.linspace(2, 1, length)})
    curve["late"] = np.where(curve["step"] < length // 2, np.nan, 1.0)
    columns = thinned(curve)
    rows = len(columns["step"])
    assert rows <= 200 and rows > min(length, 100) - 1
    assert columns["step"][-1] == length - 1
    assert columns["late"][0] is None or length < 2
    np.testing.assert_allclose(np.mean(columns["total"]), curve["total"].mean(), rtol=0.01)
