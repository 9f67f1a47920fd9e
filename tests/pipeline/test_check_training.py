"""Any change of what training computes moves its first losses, and is named; small models stand for the real ones."""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from test_stages import PARAMS
from typer.testing import CliRunner

from tpsm.cli.main import app
from tpsm.core.errors import UserError
from tpsm.data.pairs import PairDataset
from tpsm.methods import METHODS
from tpsm.sources.puppets.generate import synthesize
from tpsm.stages import check_training as stage
from tpsm.stages.check_training import check_training, write_training_losses
from tpsm.training.config import TrainConfig

Sections = dict[str, Any]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Samples, parameters, and the losses that stand for the committed ones."""
    folder = tmp_path_factory.mktemp("project")
    synthesize(
        folder / "samples", size=64, train_identities=5, test_identities=1, clips_per_identity=2, frames=3, seed=1
    )
    write(folder, lambda params: None)
    write_training_losses(folder / "params.yaml", folder / "samples", folder / "losses.json")
    return folder


def write(folder: Path, change: Callable[[Sections], Any]) -> None:
    params = deepcopy(PARAMS) | {
        "datasets": ["puppets"],
        "data": {"puppets": {"size": 64, "scale": "tiny", "augment": {}}},
        "animate": {},
    }
    change(params)
    (folder / "params.yaml").write_text(yaml.safe_dump(params))


def check(folder: Path, change: Callable[[Sections], Any] = lambda params: None) -> list[str]:
    write(folder, change)
    return check_training(folder / "params.yaml", folder / "samples", folder / "losses.json")


def in_every_method(params: Sections, section: str, **values: Any) -> None:
    for method in METHODS:
        params["scales"]["tiny"][method][section].update(values)


def test_the_same_training_passes_however_sums_round(project: Path) -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(1 if threads > 1 else 2)
    assert check(project) == []
    torch.set_num_threads(threads)
    stored = json.loads((project / "losses.json").read_text())
    assert {method: len(steps) for method, steps in stored.items()} == dict.fromkeys(METHODS, 20)


@pytest.mark.parametrize(
    "change",
    [
        lambda p: in_every_method(p, "model", perceptual={"backbone": "pixels", "weights": [10.01]}),
        lambda p: in_every_method(p, "train", learning_rate=1.001e-3),
        lambda p: in_every_method(p, "train", weight_decay=1e-4),
        lambda p: p["data"]["puppets"]["augment"].update(flip_time=False),
    ],
    ids=["a loss's weight", "learning rate", "weight decay", "augmentation"],
)
def test_a_changed_recipe_is_found_in_every_method(project: Path, change: Callable[[Sections], Any]) -> None:
    found = check(project, change)
    assert [text.split(":")[0] for text in found] == list(METHODS)
    assert all("perceptual is" in text for text in found)


class OtherOptimiser(torch.optim.NAdam):
    def __init__(self, parameters: Any, *, fused: bool | None, **named: Any) -> None:
        super().__init__(parameters, **named)


class OtherMomentum(torch.optim.Adam):
    def __init__(self, parameters: Any, *, betas: tuple[float, float], **named: Any) -> None:
        super().__init__(parameters, betas=(betas[0] + 0.001, betas[1]), **named)


def backwards(dataset: PairDataset, *arguments: Any, _init: Any = PairDataset.__init__, **named: Any) -> None:
    _init(dataset, *arguments, **named)
    dataset._order = dataset._order[::-1]


@pytest.mark.parametrize(
    ("owner", "name", "instead"),
    [
        (torch.optim, "Adam", OtherOptimiser),
        (torch.optim, "Adam", OtherMomentum),
        (PairDataset, "__init__", backwards),
        (TrainConfig, "rate", lambda train, epoch: train.learning_rate),
    ],
    ids=["optimiser", "its momentum", "order of pairs", "a learning rate that never falls"],
)
def test_changed_code_is_found(
    project: Path, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, instead: Any
) -> None:
    monkeypatch.setattr(stage, "METHODS", {"fomm": METHODS["fomm"]})
    monkeypatch.setattr(owner, name, instead)
    [found] = check(project)
    assert found.startswith("fomm: the losses differ from step")


def test_what_cannot_be_compared_is_named(project: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "losses.json"
    for text in (None, "[1]", '{"tps": 1}'):
        if text is not None:
            damaged.write_text(text)
        with pytest.raises(UserError, match=r"losses\.json.*check-training --write"):
            check_training(project / "params.yaml", project / "samples", damaged)


def test_the_command_fails_where_losses_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    """The committed recipe stands for itself; what it computes is the gate's to check."""
    for differences, status in (([], 0), (["tps: 1 steps, and 2 committed ones"], 1)):
        monkeypatch.setattr(stage, "check_training", lambda params, found=differences: found)
        result = CliRunner().invoke(app, ["check-training"])
        assert result.exit_code == status and all(text in result.output for text in differences)
