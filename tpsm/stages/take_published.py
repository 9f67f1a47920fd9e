"""Takes published weights in the place of training, and writes what `tpsm train` and `tpsm train-avd` would."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from tpsm.checkpoints.checkpoint import Checkpoint, load_method
from tpsm.checkpoints.published import with_unpublished
from tpsm.checkpoints.released import skeleton
from tpsm.checkpoints.trained import example_keypoints
from tpsm.config.recipes import avd_difference, avd_recipe, run_difference, run_recipe
from tpsm.config.sections import AvdRun, RunConfig
from tpsm.core.files import csv_text, sha256_of, write_json, write_text
from tpsm.core.schema import plain
from tpsm.data.config import DataConfig
from tpsm.data.manifest import Manifest
from tpsm.methods import method_module
from tpsm.methods.avd import AVD, AvdTraining
from tpsm.nn.state_dict import check_strictly
from tpsm.published.card import Card, card_of, read_card, refuse_other
from tpsm.published.pixels import check_clips
from tpsm.published.weight_file import read_published
from tpsm.stages.summary import facts

log = logging.getLogger(__name__)


def take_run(config: RunConfig, data: DataConfig, manifest: Manifest, clips: Path, out: Path) -> None:
    """Writes `out/{last.pt, metrics.csv, summary.json}` of the published run that `config` names.

    Raises:
        UserError: it was trained otherwise than params.yaml says, or on other clips, or its file is damaged.
    """
    assert config.published is not None
    card, checkpoint = published_run(config, data)
    check_clips(card, config.published.file, manifest, clips)

    checkpoint.save(out / "last.pt")
    write_curve(card.curve, out / "metrics.csv")
    summary = facts(config, load_method(out / "last.pt", config.method)[0], card.steps)
    summary["provenance"] = card.provenance | {"weights": {"last.pt": sha256_of(out / "last.pt")}}
    write_json(out / "summary.json", summary, indent=2)
    log.info("%s -> %s", config.published.file, out)


def take_avd(config: RunConfig, avd: AvdRun, manifest: Manifest, clips: Path, out: Path) -> None:
    """Writes `out/{last.pt, metrics.csv}` of the AVD network published for the run that `config` names.

    Raises:
        UserError: as `take_run`.
    """
    assert avd.published is not None
    card, checkpoint = published_avd(config, avd)
    check_clips(card, avd.published.file, manifest, clips)

    checkpoint.save(out / "last.pt")
    write_curve(card.curve, out / "metrics.csv")
    log.info("%s -> %s", avd.published.file, out)


def published_run(config: RunConfig, data: DataConfig) -> tuple[Card, Checkpoint]:
    """Returns the card of a published run, and its checkpoint.

    Raises:
        UserError: it was trained otherwise than `config` and `data` say, or an entry is missing, superfluous or of
            another shape.
    """
    assert config.published is not None
    path = Path(config.published.file)
    card, weights = read_published(config.published, config.method)
    refuse_other(
        config.published.file, run_difference(run_recipe(config, data), card.recipe, config.method, str(card_of(path)))
    )

    method = skeleton(config.method, config.model)
    model = plain(asdict(config.model))
    whole = with_unpublished(method, weights)
    names = (config.method, config.run, config.dataset)
    checkpoint = Checkpoint(
        *names, config.size, model, whole, epoch=0, step=card.steps or 0, fit=data.fit, code=config.source
    )
    check_strictly(method, whole, path)
    return card, checkpoint


def published_avd(config: RunConfig, avd: AvdRun) -> tuple[Card, Checkpoint]:
    """Returns the card of the AVD network of a published run, and its checkpoint.

    Raises:
        UserError: it was trained otherwise than `avd` says or for other weights of the run, or an entry does not fit.
    """
    assert avd.published is not None and config.published is not None
    path = Path(avd.published.file)
    card, weights = read_published(avd.published, "avd")
    trained = (read_card(card_of(Path(config.published.file))).provenance["weights"] or {}).get("last.pt")
    refuse_other(avd.published.file, avd_difference(avd_recipe(avd, trained), card.recipe, str(card_of(path))))

    # With memory: a convolution of tensors without it loads PyTorch's compiler, which takes seconds.
    method = method_module(config.method).Model(config.model).eval()
    task = AvdTraining(method, AVD.like(example_keypoints(method, config.size), avd.model), avd.model)
    name, model = f"{config.run}, avd", plain(asdict(avd.model))
    checkpoint = Checkpoint("avd", name, config.dataset, config.size, model, weights, 0, card.steps or 0)
    check_strictly(task, weights, path)
    return card, checkpoint


def write_curve(curve: Mapping[str, Sequence[float | None]] | None, path: Path) -> None:
    """Writes a card's curve as training would; losses that begin later have empty cells before."""
    if curve is not None:
        rows = zip(*curve.values(), strict=True)
        written = (["" if value is None else f"{value:.6g}" for value in row] for row in rows)
        write_text(path, csv_text([curve, *written]))
