"""Publishes trained runs, their AVD networks and the trained evaluators as a folder of weights: `tpsm publish`."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from tpsm.checkpoints.checkpoint import load_checkpoint, load_method
from tpsm.checkpoints.published import published_entries
from tpsm.config.params import data_section, read_params
from tpsm.core.errors import UserError
from tpsm.core.files import write_bytes
from tpsm.core.layout import did_you_mean
from tpsm.published.card import card_of, read_card
from tpsm.published.weight_file import packed
from tpsm.stages.train_all import TRAINED, Job

if TYPE_CHECKING:
    import pandas as pd

CURVE_POINTS = 200


def publish(params_file: Path, dataset: str, runs: Sequence[str], limit: float) -> str:
    """Writes the weights and cards of `runs` into the folder that `data.<dataset>.weights` names, or
    `weights/<dataset>`, and returns a table of sizes.

    Without `runs` it takes all that params.yaml trains on the data set, and its evaluators.

    Files of runs that params.yaml no longer trains are removed.

    Raises:
        UserError: one of them is not trained, or all files of the folder together have more than `limit` MB; then
            nothing is written.
    """
    # What is to be published, and where.
    params = read_params(params_file)
    section, known = data_section(params, dataset), params.trained_on(dataset)
    folder = Path(section.weights or f"weights/{dataset}")
    evaluators = Path(section.evaluators or folder / "evaluators")
    if others := set(runs) - set(known):
        meant = did_you_mean(min(others), known)
        raise UserError(
            f"{params_file}.runs does not train '{min(others)}' on {dataset}{meant}; publish one of those it does."
        )

    # All is packed in memory first (a few ten megabytes): nothing must be written if it is too much.
    files: dict[Path, bytes] = {}
    avds = params.animate.on(dataset).avd
    for run in runs or known:
        files |= packed_run(Job(dataset, run), folder / f"{run}.safetensors")
        if run in avds:
            files |= packed_run(Job(dataset, run, avd=True), folder / "avd" / f"{run}.safetensors")
    if not runs:
        trained = (path for path in (TRAINED / dataset / "evaluators").glob("*.*") if path.stem != "quality")
        files |= {evaluators / path.name: path.read_bytes() for path in sorted(trained)}

    # The size of the folder with these files in it.
    kept = set(named_files(folder, known, avds)) | set(evaluators.glob("*.*"))
    sizes = {path: path.stat().st_size for path in kept} | {path: len(content) for path, content in files.items()}
    total = sum(sizes.values()) / 1e6
    if total > limit:
        raise UserError(
            f"{folder} would have {total:.1f} MB, more than --limit-mb {limit:g}; make networks narrower, leave runs "
            "out, or raise the limit."
        )

    # The files, in the place of those of other runs.
    for path, content in files.items():
        write_bytes(path, content)
    for path in {*folder.glob("*.*"), *folder.glob("avd/*.*")} - sizes.keys():
        path.unlink()
    lines = [f"{sizes[path] / 1e6:8.3f} MB  {path}" for path in sorted(sizes) if path.suffix == ".safetensors"]
    return "\n".join([*lines, f"{total:8.3f} MB  in all, with cards"])


def packed_run(job: Job, file: Path) -> dict[Path, bytes]:
    """Returns the published files of a trained run, or of its AVD network, with their contents."""
    import pandas as pd  # Here: it takes long to load.

    card_file = job.out / "card.json"
    if not card_file.is_file():
        raise UserError(
            f"{job.name} is not trained: there is no {card_file}; `tpsm train-all --dataset {job.dataset}`."
        )
    card = replace(read_card(card_file), curve=thinned(pd.read_csv(job.out / "metrics.csv")))
    if job.avd:
        weights = load_checkpoint(job.out / "last.pt").weights
    else:
        method, checkpoint = load_method(job.out / "last.pt", card.method)
        weights = published_entries(method, checkpoint.weights)
    return packed(file, card, weights)


def thinned(curve: pd.DataFrame) -> dict[str, tuple[float | None, ...]]:
    """Returns at most `CURVE_POINTS` rows of a curve: means of neighbours, at the last one's step and epoch."""
    width = -(-len(curve) // CURVE_POINTS)
    groups = curve.groupby(curve.index // max(width, 1))
    rows = groups.mean().assign(step=groups["step"].last(), epoch=groups["epoch"].last())
    return {
        name: tuple(None if math.isnan(value) else float(f"{value:.5g}") for value in rows[name])
        for name in curve.columns
    }


def named_files(folder: Path, runs: Sequence[str], avds: Sequence[str]) -> Iterator[Path]:
    """Yields the published files of these runs that are there."""
    names = [*runs, *(f"avd/{run}" for run in avds)]
    for file in (folder / f"{name}.safetensors" for name in names):
        yield from (path for path in (file, card_of(file)) if path.is_file())
