"""Finds the weights of a run by its name: those that were trained or imported here, or else published ones."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass
from pathlib import Path

from tpsm.checkpoints.checkpoint import Checkpoint, Fit, build_method, check_origin, load_method
from tpsm.checkpoints.published import with_unpublished
from tpsm.checkpoints.released import skeleton
from tpsm.checkpoints.trained import build_avd, load_avd
from tpsm.config.params import read_data
from tpsm.core.device import device
from tpsm.core.errors import UserError
from tpsm.core.layout import MODELS, Layout, did_you_mean
from tpsm.core.schema import from_mapping, plain
from tpsm.data.config import DataConfig
from tpsm.methods import check_method, method_module
from tpsm.methods.avd import AVD
from tpsm.methods.base import Method
from tpsm.published.card import Published, card_of, read_card
from tpsm.published.weight_file import read_published

log = logging.getLogger(__name__)

WEIGHTS = Path("weights")


@dataclass(frozen=True)
class Run:
    """A run that can animate. Its frames are squares of `size` pixels, made by `fit`; `fps` is the rate, in frames per
    second, of those clips of its data set that do not say theirs."""

    file: Path
    dataset: str
    method: Method
    size: int
    fit: Fit
    fps: float | None

    def avd(self) -> AVD:
        """Returns the run's AVD network. Raises UserError where it has none."""
        name = self.file.stem if is_published(self.file) else self.file.parent.name
        if not is_published(self.file):
            return load_avd(Layout(self.dataset).avd(name) / "last.pt", self.method, self.size)
        file = self.file.parent / "avd" / self.file.name
        if not file.is_file():
            raise UserError(f"The run '{name}' has no AVD network {file}; choose another mode, or a run that has one.")
        card, weights = read_published(Published.at(file), "avd")
        return build_avd(card.recipe.get("model") or {}, weights, self.method, self.size, file)


def load_run(run: str, dataset: str | None) -> Run:
    """Returns a run, with its method on this process's device.

    Raises:
        UserError: there are no weights of this name, or they are damaged.
    """
    file = find_run(run, dataset)
    method, checkpoint, fps = _published(file) if is_published(file) else _trained(file)
    folder = file.parent if is_published(file) else file.parent.parent
    return Run(file, folder.name, method.to(device()), checkpoint.size, checkpoint.fit, fps)


def find_run(run: str, dataset: str | None) -> Path:
    """Returns `models/<dataset>/<run>/last.pt`, or else `weights/<dataset>/<run>.safetensors`, and logs which.

    Where several data sets have the run, the first by name is taken.

    Raises:
        UserError: there is neither.
    """
    known = _known()
    found = {name: file for (name, own), file in known.items() if own == run and dataset in (None, name)}
    if not found:
        names = ", ".join(sorted(f"{name}/{own}" for name, own in known)) or "none"
        where = f" of {dataset}" if dataset else ""
        runs = {own for name, own in known if dataset in (None, name)}
        meant = did_you_mean(run, runs) if runs else did_you_mean(dataset or "", {name for name, _ in known})
        raise UserError(
            f"There are no weights of a run '{run}'{where}{meant}; those below this folder are {names}. `tpsm import` "
            "takes a released file, and `make repro` trains the runs of params.yaml."
        )
    first, *others = sorted(found)
    hint = f"; --dataset takes that of {' or '.join(others)}" if others else ""
    log.info("Run: %s of %s, from %s%s.", run, first, found[first], hint)
    return found[first]


def is_published(file: Path) -> bool:
    """Whether a run's file is a published one, with a card beside it."""
    return file.suffix == ".safetensors"


def _known() -> dict[tuple[str, str], Path]:
    """Returns the files of all runs by data set and name; one that was trained here goes before a published one."""
    published = {(path.parent.name, path.stem): path for path in WEIGHTS.glob("*/*.safetensors")}
    return published | {(path.parts[-3], path.parts[-2]): path for path in MODELS.glob("*/*/last.pt")}


def _trained(file: Path) -> tuple[Method, Checkpoint, float | None]:
    method, checkpoint = load_method(file)
    dataset = file.parts[-3]
    is_configured = (Layout(dataset).configs / "data.yaml").is_file()  # an imported run need not be
    return method, checkpoint, read_data(dataset).fps if is_configured else None


def _published(file: Path) -> tuple[Method, Checkpoint, float | None]:
    """A published file says in its card all that it takes to build its method; params.yaml is not asked."""
    about = card_of(file)
    card, weights = read_published(Published.at(file), read_card(about).method)
    check_method(card.method, f"{about}: method")
    check_origin(card.method, file)
    config = from_mapping(method_module(card.method).Config, card.recipe.get("model"), f"{about}: recipe.model")
    data = from_mapping(DataConfig, card.recipe.get("data"), f"{about}: recipe.data")
    whole = with_unpublished(skeleton(card.method, config), weights)
    names = (card.method, card.run, card.dataset)
    checkpoint = Checkpoint(
        *names, data.size, plain(asdict(config)), whole, epoch=0, step=card.steps or 0, fit=data.fit
    )
    return build_method(checkpoint, file), checkpoint, data.fps
