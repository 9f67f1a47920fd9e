"""Reads `params.yaml`, and puts a run's values together from its sections."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from itertools import product
from pathlib import Path
from typing import Any

from tpsm.checkpoints.frames_folder import FramesFolder
from tpsm.checkpoints.origin_file import Origin
from tpsm.checkpoints.released_file import Released
from tpsm.config.repeats import check_names
from tpsm.config.sections import AvdRun, AvdSection, DataSection, MethodSection, Params, RunConfig
from tpsm.core.errors import UserError, is_outside
from tpsm.core.fingerprint import outside, sha256_of_text
from tpsm.core.layout import Layout, check_name, did_you_mean, raw_folder
from tpsm.core.reading import read_section, read_yaml
from tpsm.core.schema import as_yaml, from_mapping
from tpsm.data.config import DataConfig
from tpsm.inference.config import InferenceConfig
from tpsm.jobs.map import as_workers
from tpsm.methods import FRAMES, METHODS, check_method, method_module
from tpsm.published.card import Published
from tpsm.training.config import TrainConfig


def read_params(path: Path) -> Params:
    """Reads the parameters, every section of which is checked.

    Raises:
        UserError: a key is unknown or missing, a value does not fit, or a name leads nowhere; the message names it.
    """
    values = read_yaml(path)
    if isinstance(scales := values.get("scales"), Mapping):
        values["scales"] = {name: read_scale(path, name, scale) for name, scale in scales.items()}
    params = from_mapping(Params, values, path.name)
    as_workers(params.workers, f"{path.name}.workers")

    # Every data set and run that a list names has a section, and a name that files can have.
    for name in params.datasets:
        if name not in params.data:
            raise UserError(f"{path.name}.datasets lists '{name}', but there is no section {path.name}.data.{name}.")
    for name in params.evaluation:
        if name not in params.data:
            raise UserError(
                f"There is a section {path.name}.evaluation.{name}, but no {path.name}.data.{name}; "
                f"correct the name, or remove the section. The data sets are {', '.join(params.data)}."
            )
    for key, names in (("runs", params.runs), ("more.runs", params.more.runs), ("animate.runs", params.animate.runs)):
        for name in names:
            if name not in params.run:
                raise UserError(f"{path.name}.{key} lists '{name}', but there is no section {path.name}.run.{name}.")
    for key, sections in (("data", params.data), ("run", params.run)):
        for name in sections:
            check_name(name, f"A name under {path.name}.{key}")
    check_stages(params, path.name)

    # Lists agree with one another.
    if reserved := {"avd", "evaluators"} & set(params.run):
        raise UserError(f"{path.name}.run.{min(reserved)}: folders of weights have this name; call the run otherwise.")
    if twice := set(params.runs) & set(params.more.runs):
        raise UserError(f"{path.name}.more.runs lists '{min(twice)}', which {path.name}.runs does too; keep one.")
    for key, some in (("more", params.more.datasets), ("animate", params.animate.datasets)):
        if others := set(some) - set(params.datasets):
            raise UserError(
                f"{path.name}.{key}.datasets lists '{min(others)}', which {path.name}.datasets does not; change one."
            )
    for dataset in params.datasets:
        check_names(params.run, params.runs_on(dataset), path.name)
    for dataset in params.animate.datasets:
        if missing := set(params.animate.runs) - set(params.runs_on(dataset)):
            raise UserError(
                f"{path.name}.animate.runs lists '{min(missing)}', which {path.name}.runs does not train on {dataset}."
            )
    return params


def check_stages(params: Params, where: str) -> None:
    """Raises UserError where DVC would give two stages one name: it joins data set and run by a hyphen."""
    for datasets, runs in ((params.datasets, params.runs), (params.more.datasets, params.more.runs)):
        stages: dict[str, tuple[str, str]] = {}
        for dataset, run in product(datasets, runs):
            other = stages.setdefault(f"{dataset}-{run}", (dataset, run))
            if other != (dataset, run):
                raise UserError(
                    f"{where}: the run '{run}' on '{dataset}' and the run '{other[1]}' on '{other[0]}' are both "
                    f"{dataset}-{run} to DVC; rename one."
                )


def read_scale(params: Path, name: str, scale: Any) -> dict[str, Any]:
    """Returns the sections of a scale, by method. `scale` holds them, or names a file beside `params` that does.

    Each section is checked by itself, so that a message names a mistake where it stands, and not in the runs that build
    on it.
    """
    where = f"{params.name}.scales.{name}"
    if isinstance(scale, str):
        if not (params.parent / scale).is_file():
            raise UserError(f"{where} names the file {scale}, which is not there; correct the name.")
        where, scale = scale, read_yaml(params.parent / scale)
    if not isinstance(scale, Mapping):
        raise UserError(f"{where} must be a section of keys and values, or the name of a file, not {scale!r}.")
    for method, values in scale.items():
        if method not in METHODS and not is_outside(method):
            raise UserError(
                f"Unknown key {where}.{method}; {where} knows {', '.join(METHODS)}, and PACKAGE.MODULE of your own."
            )
        section = from_mapping(MethodSection, values, f"{where}.{method}")
        from_mapping(method_module(method).Config, section.model, f"{where}.{method}.model")
        from_mapping(
            TrainConfig, schedule_and_origin(section.train, f"{where}.{method}.train")[0], f"{where}.{method}.train"
        )
        from_mapping(AvdSection, section.avd, f"{where}.{method}.avd")
    return dict(scale)


def data_section(params: Params, dataset: str) -> DataSection:
    """Returns the section `data.<dataset>`. Raises UserError where there is none, or a value does not fit."""
    where = f"params.yaml.data.{dataset}"
    if dataset not in params.data:
        meant = did_you_mean(dataset, params.data)
        raise UserError(f"There is no section {where}{meant}; its sections are {', '.join(params.data)}.")
    values = params.data[dataset]
    if not isinstance(values, Mapping):
        raise UserError(f"{where} must be a section of keys and values, not {values!r}.")
    if "path" in values:
        raise UserError(
            f"{where}.path: the folder of a data set is always {raw_folder(dataset)}; "
            f"link {values['path']} there, and remove the key."
        )

    # The keys of this section; all others are those of `DataConfig`.
    names = {field.name for field in fields(DataSection)} - {"raw"}
    own, others = ({key: values[key] for key in values if (key in names) == mine} for mine in (True, False))
    section = from_mapping(DataSection, own | {"raw": from_mapping(DataConfig, others, where)}, where)
    if section.scale not in params.scales:
        raise UserError(f"{where}.scale is {section.scale!r}; choose one of {', '.join(params.scales)}.")
    return section


def schedule_and_origin(train: Mapping[str, Any], where: str) -> tuple[dict[str, Any], str | None]:
    """Returns what `TrainConfig` knows of a section `train`, and the value of its key `from`."""
    origin = train.get("from")
    if origin is not None and (not isinstance(origin, str) or not origin):
        raise UserError(f"{where}.from is {origin!r}; name a run, or a file of weights.")
    return {key: value for key, value in train.items() if key != "from"}, origin


def resolve_run(params: Params, dataset: str, run: str, later: tuple[str, ...] = ()) -> tuple[RunConfig, AvdRun]:
    """Returns all that decides a run: the scale's section of its method, changed by its own section, and checked.

    `later` are the runs that begin with this one's weights, one after the other.

    Raises:
        UserError: a name leads nowhere, a value does not fit, or runs begin with one another's weights in a circle.
    """
    if run not in params.run:
        raise UserError(
            f"There is no run '{run}'{did_you_mean(run, params.run)}; params.yaml.run has {', '.join(params.run)}."
        )
    data, section = data_section(params, dataset), params.run[run]
    where = f"params.yaml.run.{run}"
    if section.method == FRAMES:
        return frames_run(params, dataset, run), AvdRun()
    check_method(section.method, f"{where}.method")
    if section.folder is not None:
        raise UserError(f"{where}.folder: a method makes its own frames; remove the key, or set method to {FRAMES}.")

    # The scale's values and the run's own, merged.
    base = params.scales[data.scale].get(section.method, MethodSection())
    schedule, begin = schedule_and_origin(merge(base.train, section.train), f"{where}.train")
    if run in later:
        raise UserError(f"{where}.train.from is '{begin}', which begins with '{run}' itself; one must be drawn.")
    config = RunConfig(
        dataset=dataset,
        run=run,
        method=section.method,
        size=data.raw.size,
        model=from_mapping(method_module(section.method).Config, merge(base.model, section.model), f"{where}.model"),
        train=from_mapping(TrainConfig, schedule, f"{where}.train"),
        released=None if section.released is None else Released.at(section.released.replace("{dataset}", dataset)),
        code=outside(section.method) if is_outside(section.method) else None,
    )
    avd = AvdRun(**vars(from_mapping(AvdSection, merge(asdict(AvdSection()), base.avd), f"{where}.avd")))
    if config.released is not None:
        return config, avd

    # Published weights come in the place of training, and so of what it would begin with. A method from outside need
    # not be among them.
    published = None if data.weights is None else Path(data.weights)
    if config.code is not None and published is not None and not (published / f"{run}.safetensors").is_file():
        published = None
    if published is not None:
        if run in params.animate.on(dataset).avd:
            avd = replace(avd, published=Published.at(published / "avd" / f"{run}.safetensors"))
        return replace(config, published=Published.at(published / f"{run}.safetensors")), avd
    if begin in params.run:
        before, _ = resolve_run(params, dataset, begin, (*later, run))
        config = replace(config, origin=origin_of(before))
    elif begin is not None:
        config = replace(config, origin=Origin.at(begin.replace("{dataset}", dataset)))
    return config, avd


def frames_run(params: Params, dataset: str, run: str) -> RunConfig:
    """Returns a run that has its frames from a folder.

    Raises:
        UserError: there is no such folder, a key says how a model is made, or the run is to have an AVD network.
    """
    section, where = params.run[run], f"params.yaml.run.{run}"
    if section.folder is None:
        raise UserError(f"{where}.folder is missing; the method {FRAMES} takes the frames that lie there.")
    for key in ("model", "train", "released", "repeat_of"):
        if getattr(section, key):
            raise UserError(f"{where}.{key}: a folder of frames has no model; remove the key.")
    if run in params.animate.on(dataset).avd:
        raise UserError(f"params.yaml.animate.avd lists '{run}', a folder of frames; take it out there.")
    frames = FramesFolder.at(section.folder.replace("{dataset}", dataset), f"{where}.folder")
    size = data_section(params, dataset).raw.size
    return RunConfig(dataset, run, FRAMES, size, model={}, train=TrainConfig(), frames=frames)


def origin_of(run: RunConfig) -> Origin:
    """Returns another run's weights as an origin; they need not be there yet."""
    file = Layout(run.dataset).model(run.run) / "last.pt"
    return Origin(file.as_posix(), sha256_of_text(as_yaml(run)), run.run)


def merge(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Merges section by section; a value that is no section, or a null, replaces what stood there."""
    merged = dict(base)
    for key, value in changes.items():
        below = merged.get(key)
        both = isinstance(below, Mapping) and isinstance(value, Mapping)
        merged[key] = merge(below, value) if both else value  # type: ignore[arg-type]
    return merged


def read_data(dataset: str) -> DataConfig:
    """Reads the resolved section of a data set. Raises UserError where `tpsm configure` has not written it."""
    return from_mapping(DataConfig, read_section(Layout(dataset), "data"), f"data.{dataset}")


def read_inference(dataset: str) -> InferenceConfig:
    """Reads how frames are computed. Raises UserError where `tpsm configure` has not written it."""
    return from_mapping(InferenceConfig, read_section(Layout(dataset), "inference"), f"inference.{dataset}")


def read_run(dataset: str, run: str, configs: Path = Path("configs")) -> RunConfig:
    """Reads the resolved section of a run. Raises UserError where `tpsm configure` has not written it."""
    path = configs / dataset / "runs" / f"{run}.yaml"
    if not path.is_file():
        runs = [other.stem for other in path.parent.glob("*.yaml")]
        others = [] if path.parent.is_dir() else [other.name for other in configs.glob("*")]
        meant = did_you_mean(run, runs) if runs else did_you_mean(dataset, others)
        raise UserError(
            f"The run '{run}' on '{dataset}' is not configured{meant}: name them under runs and datasets in "
            f"params.yaml, then type `dvc repro prepare@{dataset}`."
        )
    where = f"{dataset}/runs/{run}.yaml"
    config = from_mapping(RunConfig, read_yaml(path), where)
    if config.frames is not None:
        return config
    return replace(config, model=from_mapping(method_module(config.method).Config, config.model, f"{where}.model"))
