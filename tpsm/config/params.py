"""`params.yaml`: its sections as types, and how a run's values are put together from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, is_dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from tpsm.checkpoints.released import Released
from tpsm.config.repeats import check_names
from tpsm.core.errors import UserError
from tpsm.core.schema import build
from tpsm.data.prepare import DataConfig
from tpsm.jobs.map import Workers, as_workers
from tpsm.methods.avd import AvdConfig
from tpsm.methods.base import METHODS, method_module
from tpsm.training.loop import TrainConfig

WORKERS = "workers.yaml"


@dataclass(frozen=True)
class AnimateConfig:
    """Which runs animate across identities, which of them with AVD too, and on how many fixed pairs."""

    runs: tuple[str, ...] = ()
    avd: tuple[str, ...] = ()
    pairs: int = 12
    seed: int = 0

    def __post_init__(self) -> None:
        if self.pairs < 1:
            raise ValueError("pairs: must be at least 1")
        if others := set(self.avd) - set(self.runs):
            raise ValueError(f"avd: '{min(others)}' is not among animate.runs")


@dataclass(frozen=True)
class MethodSection:
    """What a scale says of a method: sections of its `Config`, of `TrainConfig`, and of AVD where it has one."""

    model: dict[str, Any] = field(default_factory=dict)
    train: dict[str, Any] = field(default_factory=dict)
    avd: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class RunSection:
    """A run: a method, and what it changes of that method's section of the data set's scale.

    `released` names a released checkpoint ("{dataset}" in it is replaced), which is then taken and not trained.
    `repeat_of` names the run that this one repeats with another `train.seed`, and nothing else.
    """

    method: str
    label: str
    model: dict[str, Any] = field(default_factory=dict)
    train: dict[str, Any] = field(default_factory=dict)
    released: str | None = None
    repeat_of: str | None = None


@dataclass(frozen=True)
class DataSection:
    """A data set: the scale its runs have, the named split that it takes, and (all other keys) a `DataConfig`."""

    scale: str
    raw: DataConfig
    split: str | None = None


@dataclass(frozen=True)
class Params:
    datasets: tuple[str, ...]
    runs: tuple[str, ...]
    animate: AnimateConfig
    data: dict[str, Any]
    scales: dict[str, dict[str, MethodSection]]
    run: dict[str, RunSection]
    evaluation: dict[str, dict[str, Any]]
    workers: Any = 1  # of `tpsm.jobs.map.Workers`


@dataclass(frozen=True)
class AvdSection:
    model: AvdConfig = field(default_factory=AvdConfig)
    train: TrainConfig = field(default_factory=lambda: TrainConfig(batch=256, learning_rate=1e-3, clip_norm=None))


@dataclass(frozen=True)
class RunConfig:
    """All that decides the training of one run on one data set. `model` is the method's own `Config`.

    With `released` the run's weights come out of that file, whose hash makes a changed one count.
    """

    dataset: str
    run: str
    method: str
    size: int
    model: Any
    train: TrainConfig
    released: Released | None = None


def read_yaml(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise UserError(f"There is no file {path}; name another, or run `tpsm configure` if it is a stage's.")
    try:
        refuse_twice(yaml.compose(path.read_text(), yaml.SafeLoader))
        content = yaml.safe_load(path.read_text())
    except yaml.YAMLError as error:
        raise UserError(f"{path} is not valid YAML: {' '.join(str(error).split())}.") from error
    if not isinstance(content, dict):
        raise UserError(f"{path} must hold sections of keys and values.")
    return content


def refuse_twice(node: yaml.Node | None) -> None:
    """Raises yaml.YAMLError at a key that stands twice in a section, of which YAML would silently take the last."""
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            refuse_twice(item)
    if isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if key.value in seen:
                raise yaml.YAMLError(
                    f"the key '{key.value}' stands twice in one section, in lines {seen[key.value]} and {line}"
                )
            seen[key.value] = line
            refuse_twice(value)


def read_params(path: Path) -> Params:
    values = read_yaml(path)
    if isinstance(scales := values.get("scales"), Mapping):
        values["scales"] = {name: read_scale(path, name, scale) for name, scale in scales.items()}
    params = build(Params, values, path.name)
    as_workers(params.workers, f"{path.name}.workers")
    for name in params.datasets:
        if name not in params.data:
            raise UserError(f"{path.name}.datasets lists '{name}', but there is no section {path.name}.data.{name}.")
    for key, names in (("runs", params.runs), ("animate.runs", params.animate.runs)):
        for name in names:
            if name not in params.run:
                raise UserError(f"{path.name}.{key} lists '{name}', but there is no section {path.name}.run.{name}.")
    check_names(params.run, params.runs, path.name)
    if missing := set(params.animate.runs) - set(params.runs):
        raise UserError(f"{path.name}.animate.runs lists '{min(missing)}', which {path.name}.runs does not train.")
    return params


def read_scale(params: Path, name: str, scale: Any) -> dict[str, Any]:
    """`scale` has a section for each method, or names the file that does, from the folder of `params`.

    Each section is checked by itself: a mistake is then named where it stands, and not in the runs that build on it.
    """
    where = f"{params.name}.scales.{name}"
    if isinstance(scale, str):
        if not (params.parent / scale).is_file():
            raise UserError(f"{where} names the file {scale}, which is not there; correct the name.")
        where, scale = scale, read_yaml(params.parent / scale)
    if not isinstance(scale, Mapping):
        raise UserError(f"{where} must be a section of keys and values, or the name of a file, not {scale!r}.")
    for method, values in scale.items():
        if method not in METHODS:
            raise UserError(f"Unknown key {where}.{method}; {where} knows {', '.join(METHODS)}.")
        section = build(MethodSection, values, f"{where}.{method}")
        build(method_module(method).Config, section.model, f"{where}.{method}.model")
        build(TrainConfig, section.train, f"{where}.{method}.train")
        build(AvdSection, section.avd, f"{where}.{method}.avd")
    return dict(scale)


def data_section(params: Params, dataset: str) -> DataSection:
    where = f"params.yaml.data.{dataset}"
    if dataset not in params.data:
        raise UserError(f"There is no section {where}; its sections are {', '.join(params.data)}.")
    values = params.data[dataset]
    if not isinstance(values, Mapping):
        raise UserError(f"{where} must be a section of keys and values, not {values!r}.")
    if "path" in values:
        raise UserError(
            f"{where}.path: the folder of a data set is always {raw_folder(dataset)}; "
            f"link {values['path']} there, and remove the key."
        )
    raw = {key: value for key, value in values.items() if key not in ("scale", "split")}
    scale = values.get("scale", "small")
    if scale not in params.scales:
        raise UserError(f"{where}.scale is {scale!r}; choose one of {', '.join(params.scales)}.")
    split = values.get("split")
    if split is not None and not isinstance(split, str):
        raise UserError(f"{where}.split is {split!r}; name a file of splits/{dataset}, without its suffix.")
    return DataSection(scale, build(DataConfig, raw, where), split)


def resolve_run(params: Params, dataset: str, run: str) -> tuple[RunConfig, AvdSection]:
    """The scale's section of the run's method, changed by the run's own section; every value checked."""
    if run not in params.run:
        raise UserError(f"There is no run '{run}'; params.yaml.run has {', '.join(params.run)}.")
    data, section = data_section(params, dataset), params.run[run]
    where = f"params.yaml.run.{run}"
    if section.method not in METHODS:
        raise UserError(f"{where}.method is '{section.method}'; choose one of {', '.join(METHODS)}.")
    base = params.scales[data.scale].get(section.method, MethodSection())
    config = RunConfig(
        dataset=dataset,
        run=run,
        method=section.method,
        size=data.raw.size,
        model=build(method_module(section.method).Config, merge(base.model, section.model), f"{where}.model"),
        train=build(TrainConfig, merge(base.train, section.train), f"{where}.train"),
        released=None if section.released is None else Released.at(section.released.replace("{dataset}", dataset)),
    )
    return config, build(AvdSection, merge(asdict(AvdSection()), base.avd), f"{where}.avd")


def merge(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Section by section; a value that is no section, or a null, replaces what stood there."""
    merged = dict(base)
    for key, value in changes.items():
        below = merged.get(key)
        both = isinstance(below, Mapping) and isinstance(value, Mapping)
        merged[key] = merge(below, value) if both else value  # type: ignore[arg-type]
    return merged


def raw_folder(dataset: str) -> Path:
    """Where a data set's raw clips are: put there or linked by hand, or brought by DVC."""
    return Path("data/raw") / dataset


def read_run(dataset: str, run: str, configs: Path = Path("configs")) -> RunConfig:
    path = configs / dataset / "runs" / f"{run}.yaml"
    if not path.is_file():
        raise UserError(
            f"The run '{run}' on '{dataset}' is not configured: name them under runs and datasets in params.yaml, then "
            f"type `dvc repro prepare@{dataset}`."
        )
    values = read_yaml(path)
    where = f"{dataset}/runs/{run}.yaml"
    model = build(method_module(values["method"]).Config, values["model"], f"{where}.model")
    return replace(build(RunConfig, values, where), model=model)


def chosen_workers(option: str | None, configs: Path = Path("configs")) -> Workers:
    """Where a stage maps over clips: `option`, of a command line, or else what `tpsm configure` resolved; or else in
    this process."""
    if option is not None:
        return as_workers(option, "--workers")
    path = configs / WORKERS
    return as_workers(read_yaml(path).get("workers"), f"{path}: workers") if path.is_file() else 1


def as_yaml(section: Any) -> str:
    return yaml.safe_dump(plain(asdict(section) if is_dataclass(section) else section), sort_keys=False)  # type: ignore[arg-type]


def plain(value: Any) -> Any:
    """Tuples as lists, which YAML has a word for."""
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, (list, tuple)) else value
