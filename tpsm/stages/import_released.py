"""Takes a released checkpoint as a run."""

from __future__ import annotations

import logging
import time
from dataclasses import asdict, replace
from pathlib import Path

from tpsm.checkpoints.checkpoint import Checkpoint, Fit
from tpsm.checkpoints.released import ReleasedCheckpoint, read_released, skeleton
from tpsm.checkpoints.released_file import Released
from tpsm.checkpoints.trained import example_keypoints
from tpsm.config.sections import RunConfig
from tpsm.core.errors import UserError
from tpsm.core.layout import Layout
from tpsm.core.schema import plain
from tpsm.methods.avd import AvdTraining
from tpsm.methods.avd_config import AvdConfig
from tpsm.stages.summary import write_summary

log = logging.getLogger(__name__)


def import_file(file: Path, config: RunConfig, avd: AvdConfig, fit: Fit = "crop") -> None:
    """Takes a released checkpoint as the run that `config` describes, and writes what `train_run` and `train_avd`
    would.

    `fit` is how the data set's frames became squares.

    Raises:
        UserError: an entry does not fit the configuration, or the run was trained already; then nothing is written.
    """
    layout = Layout(config.dataset)
    folders = [layout.model(config.run), layout.avd(config.run)]
    for folder in folders:
        if (folder / "metrics.csv").is_file():
            raise UserError(f"{folder} holds a run trained here; remove it first, or import as another run.")
    released = read_released(file, config.method)
    method = released_method(config, released, fit)
    network = None if released.avd is None else released_avd(config, avd, released)
    write_released(replace(config, released=Released.at(str(file))), method)
    if network is None:
        log.info("%s holds no AVD network, so the run cannot animate in the mode avd.", file)
        (folders[1] / "last.pt").unlink(missing_ok=True)  # of an earlier import, and of another detector
    else:
        network.save(folders[1] / "last.pt")
        log.info("%s: its AVD network -> %s", file, folders[1])


def released_method(config: RunConfig, released: ReleasedCheckpoint, fit: Fit) -> Checkpoint:
    """Returns a released method as this project's checkpoint. Raises UserError where an entry does not fit."""
    weights = released.method(config.method, config.model).state_dict()
    model = plain(asdict(config.model))
    place = (config.method, config.run, config.dataset, config.size)
    return Checkpoint(*place, model, weights, epoch=0, step=0, fit=fit, code=config.source)


def released_avd(config: RunConfig, avd: AvdConfig, released: ReleasedCheckpoint) -> Checkpoint:
    """Returns a released AVD network as this project's checkpoint. Raises UserError as `released_method`."""
    method = skeleton(config.method, config.model)
    network = released.avd_network(example_keypoints(method, config.size), avd)
    weights = AvdTraining(method, network, avd).state_dict()
    name, model = f"{config.run}, avd", plain(asdict(avd))
    return Checkpoint("avd", name, config.dataset, config.size, model, weights, epoch=0, step=0)


def write_released(config: RunConfig, checkpoint: Checkpoint) -> None:
    """Writes a released checkpoint and its summary into the folder of the run."""
    assert config.released is not None
    out, began = Layout(config.dataset).model(config.run), time.monotonic()
    checkpoint.save(out / "last.pt")
    write_summary(out, config, skeleton(config.method, config.model), None, began)
    log.info("%s -> %s", config.released.file, out)
