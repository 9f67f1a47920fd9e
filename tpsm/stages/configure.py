"""Checks `params.yaml` as a whole, and resolves it into one small file for each stage: `tpsm configure`.

A stage depends on its own resolved file, so that a change in `params.yaml` re-runs what it concerns and nothing else,
and a mistake anywhere in it is found before the first step of training.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from tpsm.config.params import data_section, origin_of, read_params, resolve_run
from tpsm.config.repeats import check_repeat, seeds
from tpsm.config.sections import DataSection, Params, RunConfig
from tpsm.core.errors import UserError, is_outside
from tpsm.core.files import sha256_of, write_text
from tpsm.core.fingerprint import outside
from tpsm.core.layout import raw_folder
from tpsm.core.reading import read_yaml
from tpsm.core.schema import as_yaml
from tpsm.data.raw import check_folder
from tpsm.data.splits import SplitConfig, read_split
from tpsm.jobs.map import WORKERS
from tpsm.methods import method_module
from tpsm.published.card import Published

ROLES = ("landmarks", "identity")
"""The keys of `evaluators`, each of which has a section with a `kind`."""


def configure(params_file: Path, out: Path, *, fresh: bool = False) -> list[Path]:
    """Writes a file for every stage under `out/<dataset>/`, once all are known to be right, and returns the paths.

    Sets that `datasets` does not name get none; their sections are checked all the same. `fresh` takes no published
    weights, as if no data set named any.

    Raises:
        UserError: a section is wrong, or a file that it names is missing or does not fit; then nothing is written.
    """
    # Every run on every data set.
    params = read_params(params_file)
    if fresh:
        params = without_published(params)
    data = {dataset: data_section(params, dataset) for dataset in params.data}
    resolved = {
        dataset: {run: resolve_run(params, dataset, run) for run in params.runs_on(dataset)}
        for dataset in params.datasets
    }

    # What a run needs is there, and fits.
    for dataset, runs in resolved.items():
        for run, (config, _) in runs.items():
            if (original := params.run[run].repeat_of) is not None:
                check_repeat(config, runs[original][0])
        if raw_folder(dataset) not in brought_by_dvc():
            check_folder(raw_folder(dataset))
        for run, (config, avd) in runs.items():
            if config.released is not None:
                from tpsm.checkpoints.released import read_released  # Here: it needs PyTorch.

                read_released(config.released.unchanged(), config.method).method(config.method, config.model)
            if config.frames is not None:
                continue
            check_model(config)
            if config.published is not None:
                from tpsm.stages.take_published import published_avd, published_run  # Here: they need PyTorch.

                published_run(config, data[dataset].raw)
                if avd.published is not None:
                    published_avd(config, avd)
            runs[run] = with_vgg19(with_origin(config, {name: done for name, (done, _) in runs.items()})), avd

    # One file for each stage of each data set.
    files: dict[Path, Any] = {out / WORKERS: {"workers": params.workers}}  # no stage depends on it
    for dataset, runs in resolved.items():
        name = data[dataset].split
        split = SplitConfig() if name is None else SplitConfig(name, read_split(dataset, name).sha256)
        evaluation = params.evaluation.get(dataset, {})
        animate = params.animate.on(dataset)
        sections: dict[str, Any] = {"data": data[dataset].raw, "animate": animate, "evaluation": evaluation}
        # The whole evaluation section is what is read. Training evaluators depends on one part of it and scoring on
        # another, so that a change in a table re-runs neither; likewise labels, which the report alone reads.
        parts = ("evaluators", "metrics", "protocols")
        sections |= {part: with_code(evaluation.get(part)) for part in parts} | {"split": split}
        sections["inference"] = data[dataset].inference
        sections["published-evaluators"] = published_evaluators(data[dataset], evaluation)
        sections["labels"] = labels(params, list(runs))
        sections["seeds"] = seeds(params.run, {run: config for run, (config, _) in runs.items()})
        for run, (config, avd) in runs.items():
            sections |= {f"runs/{run}": config, f"avd/{run}": avd}
        files |= {out / dataset / f"{name}.yaml": section for name, section in sections.items()}
    check_table_names(params, params_file.name)

    # Nothing is written before all is checked.
    for path, section in files.items():
        write_text(path, as_yaml(section))
    return list(files)


def with_code(section: Any) -> Any:
    """Returns a part of an evaluation section, with what is known of each module from outside beside its name.

    Raises:
        UserError: there is no such module.
    """
    if isinstance(section, str) and is_outside(section):
        return {section: asdict(outside(section))}
    if isinstance(section, Mapping):
        return {key: with_code(value) if key in (*ROLES, "kind") else value for key, value in section.items()}
    return [with_code(value) for value in section] if isinstance(section, (list, tuple)) else section


def labels(params: Params, runs: Sequence[str]) -> dict[str, str]:
    """Returns what tables and figures call each run.

    Raises:
        UserError: two runs of a data set have one label, and nobody could tell them apart.
    """
    named: dict[str, str] = {}
    for run in runs:
        label = params.run[run].label
        if (other := named.setdefault(label, run)) != run:
            raise UserError(
                f"params.yaml.run.{run}.label is {label!r}, as run.{other}.label is; change one of the two."
            )
    return {run: label for label, run in named.items()}


def with_origin(config: RunConfig, runs: Mapping[str, RunConfig]) -> RunConfig:
    """Returns the run, with the weights that it begins with checked.

    `runs` are all of its data set, those before it as they will be written. DVC trains them in this order, which alone
    ensures that a run is trained before those that begin with its weights.

    Raises:
        UserError: the run that it begins with does not stand before it, or the file does not fit.
    """
    if config.origin is None:
        return config
    where = f"params.yaml.run.{config.run}.train.from"
    if config.origin.run is None:
        from tpsm.checkpoints.origin import fitting  # Here: they need PyTorch.
        from tpsm.checkpoints.released import skeleton

        fitting(skeleton(config.method, config.model), config.method, config.origin.unchanged())
        return config
    names = list(runs)
    if config.origin.run not in names[: names.index(config.run)]:
        raise UserError(f"{where} is '{config.origin.run}'; list that run under runs, before '{config.run}'.")
    before = runs[config.origin.run]
    if before.method != config.method:
        raise UserError(f"{where} is '{before.run}', a run of '{before.method}' and not of '{config.method}'.")
    return replace(config, origin=origin_of(before))


def without_published(params: Params) -> Params:
    """Returns the parameters as if no data set named published weights."""
    data = {
        dataset: {**values, "weights": None, "evaluators": None} if isinstance(values, Mapping) else values
        for dataset, values in params.data.items()
    }
    return replace(params, data=data)


def published_evaluators(data: DataSection, evaluation: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the file that each role's network is taken from, whether its kind is one that is trained or not. One from
    outside is not published."""
    sections = {role: section for role, section in (evaluation.get("evaluators") or {}).items() if section is not None}
    kinds = {role: section.get("kind") if isinstance(section, Mapping) else None for role, section in sections.items()}
    roles = [role for role, kind in kinds.items() if not (isinstance(kind, str) and is_outside(kind))]
    if data.evaluators is None:
        return {}
    return {role: asdict(Published.at(Path(data.evaluators) / f"{role}.safetensors")) for role in roles}


def check_model(config: RunConfig) -> None:
    """Builds the model without memory, and asks it whether it takes images of the run's size.

    Nothing is sent through it: a convolution of tensors without memory loads PyTorch's compiler, which takes seconds.

    Raises:
        UserError: a number of points or a depth fits no model of this size; otherwise training would say so much later.
    """
    import torch  # Here: importing this file takes no longer than reading YAML.

    where = f"params.yaml.run.{config.run}.model"
    try:
        with torch.device("meta"):
            method_module(config.method).Model(config.model).check_sides(torch.empty(1, 3, config.size, config.size))
    except (UserError, ValueError, RuntimeError) as error:  # PyTorch's own, of sizes that no layer has
        raise UserError(f"{where} with frames of {config.size} x {config.size}: {error}") from error


def with_vgg19(config: RunConfig) -> RunConfig:
    """Returns the run with the SHA-256 of VGG-19's weights, where its loss takes them: another file is another run.

    Raises:
        UserError: the weights, which are a download, are missing; this shows here before any clip is prepared.
    """
    from tpsm.nn.vgg import weights_file  # Here: it needs PyTorch.

    perceptual = getattr(config.model, "perceptual", None)
    if (
        perceptual is None
        or config.released
        or config.published
        or perceptual.backbone != "vgg19"
        or not any(perceptual.weights)
    ):
        return config
    try:
        sha256 = sha256_of(weights_file(perceptual))
    except UserError as error:
        raise UserError(f"The run '{config.run}' on {config.dataset} cannot be trained yet. {error}") from None
    return replace(config, model=replace(config.model, perceptual=replace(perceptual, sha256=sha256)))


def check_table_names(params: Params, where: str) -> None:
    """Raises UserError where a table names a run without a section. It may name runs that are not trained."""
    for dataset, evaluation in params.evaluation.items():
        tables = evaluation.get("tables") or {}
        if not isinstance(tables, Mapping):
            raise UserError(f"{where}.evaluation.{dataset}.tables must hold lists of runs by a table's name.")
        named = {"published_as": evaluation.get("published_as") or {}, **tables}
        for key, runs in named.items():
            for run in runs if isinstance(runs, (list, dict)) else ():
                if run not in params.run:
                    key = key if key == "published_as" else f"tables.{key}"
                    raise UserError(
                        f"{where}.evaluation.{dataset}.{key} names '{run}', but there is no section {where}.run.{run}."
                    )


def brought_by_dvc() -> set[Path]:
    """Returns the folders that the .dvc files here import; DVC brings them when they are needed."""
    files = [path for path in Path().glob("*.dvc") if path.is_file()]
    return {Path(out["path"]) for file in files for out in read_yaml(file)["outs"]}
