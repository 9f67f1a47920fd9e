"""params.yaml is checked as a whole, before anything trains."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from tpsm.config import check_model, configure, merge, read_params, read_run, resolve_run
from tpsm.errors import UserError

ROOT = Path(__file__).parent.parent


@pytest.fixture
def params() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "params.yaml").read_text())


def written(folder: Path, params: dict[str, Any]) -> Path:
    path = folder / "params.yaml"
    path.write_text(yaml.safe_dump(params))
    return path


def test_the_committed_parameters_resolve(tmp_path: Path) -> None:
    params = read_params(ROOT / "params.yaml")
    paths = configure(ROOT / "params.yaml", tmp_path)
    for dataset in params.datasets:
        for run in params.runs:
            assert tmp_path / dataset / "runs" / f"{run}.yaml" in paths
            assert read_run(dataset, run, tmp_path) == resolve_run(params, dataset, run)[0]


def test_a_run_changes_its_methods_section_and_nothing_else(params: dict[str, Any], tmp_path: Path) -> None:
    read = read_params(written(tmp_path, params))
    base, changed = resolve_run(read, "puppets", "tps")[0], resolve_run(read, "puppets", "tps-k4")[0]
    assert changed.model.num_tps == 4
    assert changed.train == base.train
    assert {k: v for k, v in vars(changed.model).items() if k != "num_tps"} == {
        k: v for k, v in vars(base.model).items() if k != "num_tps"
    }


def test_merging_goes_section_by_section_and_null_replaces() -> None:
    assert merge({"a": {"b": 1, "c": 2}, "d": {"e": 1}}, {"a": {"b": 3}, "d": None}) == {
        "a": {"b": 3, "c": 2},
        "d": None,
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dataset": ["puppets"]}, r"Unknown key params\.yaml\.dataset"),
        ({"datasets": ["vox"]}, r"datasets lists 'vox', but there is no section params\.yaml\.data\.vox"),
        ({"runs": ["tps-k3"]}, r"runs lists 'tps-k3', but there is no section params\.yaml\.run\.tps-k3"),
        ({"animate": {"runs": ["tps-k2"], "avd": ["tps"]}}, r"animate\.avd: 'tps' is not among animate\.runs"),
        ({"animate": {"pairs": 0}}, r"animate\.pairs: must be at least 1"),
        ({"data": {"puppets": {"path": "x", "scale": "huge"}}}, r"data\.puppets\.scale is 'huge'; choose one of small"),
        ({"data": {"puppets": {"path": "x", "siez": 64}}}, r"Unknown key params\.yaml\.data\.puppets\.siez"),
        ({"run": {"tps": {"method": "tpsm"}}}, r"run\.tps\.method is 'tpsm'; choose one of tps, fomm, mraa"),
        ({"run": {"tps": {"model": {"num_tps": 0}}}}, r"run\.tps\.model\.num_tps: must be at least 1"),
        ({"run": {"tps": {"model": {"num_tps": "ten"}}}}, r"run\.tps\.model\.num_tps must be of type int, not 'ten'"),
        ({"run": {"fomm-k5": {"model": {"num_tps": 5}}}}, r"Unknown key params\.yaml\.run\.fomm-k5\.model\.num_tps"),
        ({"run": {"tps": {"train": {"batch": 0}}}}, r"run\.tps\.train\.batch: must be at least 1"),
        (
            {"data": {"puppets": {"path": "nowhere"}}},
            r"There is no folder nowhere, which params\.yaml\.data\.puppets\.path",
        ),
        (
            {"data": {"puppets": {"path": "x", "size": 40}}},
            r"run\.tps\.model with frames of 40 x 40: .*multiples of 32",
        ),
    ],
)
def test_a_mistake_is_named(params: dict[str, Any], tmp_path: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        configure(written(tmp_path, merge(params, change)), tmp_path / "configs")


def test_a_depth_that_fits_no_picture_is_refused(params: dict[str, Any], tmp_path: Path) -> None:
    deep = merge(params, {"run": {"fomm": {"model": {"dense_motion": {"num_blocks": 7}}}}})
    config, _ = resolve_run(read_params(written(tmp_path, deep)), "puppets", "fomm")
    with pytest.raises(UserError, match=r"run\.fomm\.model with frames of 64 x 64"):
        check_model(config)


def test_yaml_that_is_none_is_said(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text("a: [1")
    with pytest.raises(UserError, match=r"params\.yaml is not valid YAML"):
        read_params(path)
    with pytest.raises(UserError, match=r"There is no file .*absent\.yaml"):
        read_params(tmp_path / "absent.yaml")
