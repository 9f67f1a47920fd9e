"""params.yaml is checked as a whole, before anything trains."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from tpsm.config.params import merge, read_params, read_run, resolve_run
from tpsm.core.errors import UserError
from tpsm.core.reading import read_yaml
from tpsm.stages.configure import check_model, configure, labels

ROOT = Path(__file__).parents[2]


@pytest.fixture
def params() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "params.yaml").read_text())


NO_MORE: dict[str, Any] = {"more": {"datasets": []}, "animate": {"datasets": []}}
TRAINED: dict[str, Any] = {"datasets": ["puppets"], "data": {"puppets": {"scale": "small", "weights": None}}} | NO_MORE
"""Runs that are named are trained on the puppets, as small ones: no published weights and no VGG-19 are there."""
VOX: dict[str, Any] = {"datasets": ["vox"], "more": {"datasets": []}, "animate": {"datasets": ["vox"]}}


def written(folder: Path, params: dict[str, Any]) -> Path:
    path = folder / "params.yaml"
    (folder / "scales").symlink_to(ROOT / "scales")
    path.write_text(yaml.safe_dump(params))
    return path


def test_the_committed_parameters_resolve(tmp_path: Path) -> None:
    params = read_params(ROOT / "params.yaml")
    paths = configure(ROOT / "params.yaml", tmp_path)
    for dataset in params.datasets:
        for run in params.runs_on(dataset):
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


def test_two_runs_of_one_label_are_refused(params: dict[str, Any], tmp_path: Path) -> None:
    params["run"]["fomm"]["label"] = params["run"]["tps"]["label"]
    read = read_params(written(tmp_path, params))
    with pytest.raises(UserError, match=r"run\.fomm\.label is 'TPSMM', as run\.tps\.label is; change one"):
        labels(read, ["tps", "mraa", "fomm"])
    assert labels(read, ["mraa", "fomm"]) == {"mraa": "MRAA", "fomm": "TPSMM"}


def test_merging_goes_section_by_section_and_null_replaces() -> None:
    assert merge({"a": {"b": 1, "c": 2}, "d": {"e": 1}}, {"a": {"b": 3}, "d": None}) == {
        "a": {"b": 3, "c": 2},
        "d": None,
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dataset": ["puppets"]}, r"Unknown key params\.yaml\.dataset"),
        (
            {"datasets": ["portraits"]},
            r"datasets lists 'portraits', but there is no section params\.yaml\.data\.portraits",
        ),
        ({"runs": ["tps-k3"]}, r"runs lists 'tps-k3', but there is no section params\.yaml\.run\.tps-k3"),
        ({"animate": {"runs": ["tps-k2"], "avd": ["tps"]}}, r"animate\.avd: 'tps' is not among animate\.runs"),
        ({"animate": {"pairs": 0}}, r"animate\.pairs: must be at least 1"),
        ({"data": {"puppets": {"scale": "huge"}}}, r"data\.puppets\.scale is 'huge'; choose one of .*small"),
        ({"data": {"puppets": {"siez": 64}}}, r"Unknown key params\.yaml\.data\.puppets\.siez"),
        ({"data": {"faces": {"siez": 64}}}, r"Unknown key params\.yaml\.data\.faces\.siez"),
        (
            {"data": {"puppets": {"path": "/data/puppets"}}},
            r"puppets\.path: the folder of a data set is always data/raw/puppets; link /data/puppets there",
        ),
        (
            {"evaluation": {"puppet": {}}},
            r"section params\.yaml\.evaluation\.puppet, but no params\.yaml\.data\.puppet; correct .*puppets-quick",
        ),
        ({"run": {"tps": {"train": {"epochs": 10**9}}}}, r"run\.tps\.train\.epochs: must be at most"),
        ({"run": {"tps": {"train": {"seed": -1}}}}, r"run\.tps\.train\.seed: must be at least 0"),
        ({"scales": {"vox": "scales/voks.yaml"}}, r"scales\.vox names the file scales/voks\.yaml, which is not there"),
        ({"scales": {"vox": 4}}, r"scales\.vox must be a section of keys and values, or the name of a file, not 4"),
        ({"scales": {"small": {"tsp": {}}}}, r"Unknown key params\.yaml\.scales\.small\.tsp; .* knows tps, fomm, mraa"),
        (
            {"scales": {"small": {"tps": {"avd": {"train": {"batch": 0}}}}}},
            r"scales\.small\.tps\.avd\.train\.batch: must be at least 1",
        ),
        ({"run": {"tps": {"method": "tpsm"}}}, r"run\.tps\.method is 'tpsm'; choose one of tps, fomm, mraa"),
        ({"run": {"tps": {"model": {"num_tps": 0}}}}, r"run\.tps\.model\.num_tps: must be at least 1"),
        ({"run": {"tps": {"model": {"num_tps": "ten"}}}}, r"run\.tps\.model\.num_tps must be of type int, not 'ten'"),
        ({"run": {"fomm-k20": {"model": {"num_tps": 5}}}}, r"Unknown key params\.yaml\.run\.fomm-k20\.model\.num_tps"),
        ({"run": {"tps": {"train": {"batch": 0}}}}, r"run\.tps\.train\.batch: must be at least 1"),
        ({"datasets": ["vox"]}, r"more\.datasets lists 'puppets', which params\.yaml\.datasets does not"),
        (VOX | {"animate": {"datasets": ["puppets"]}}, r"animate\.datasets lists 'puppets', which params"),
        ({"more": {"runs": ["tps"]}}, r"more\.runs lists 'tps', which params\.yaml\.runs does too"),
        ({"data": {"puppets": {"weights": 3}}}, r"data\.puppets\.weights must be of type str, not 3"),
        (VOX, r"There is no folder data/raw/vox; put the data set there, or link it: .*ln -s"),
        ({"data": {"puppets": {"size": 40}}}, r"run\.tps\.model with frames of 40 x 40: .*multiples of 32"),
    ],
)
def test_a_mistake_is_named(params: dict[str, Any], tmp_path: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        configure(written(tmp_path, merge(params, change)), tmp_path / "configs")


@pytest.mark.parametrize("name", ["a b", "a/b", "..", "../../../../evil", "x" * 300, "a\nb", "", "a:b"])
@pytest.mark.parametrize("key", ["data", "run"])
def test_names_that_lead_elsewhere_are_refused(params: dict[str, Any], tmp_path: Path, key: str, name: str) -> None:
    section = {"method": "tps", "label": "L"} if key == "run" else {}
    changed = merge(params, {key: {name: section}})
    with pytest.raises(UserError, match=rf"name under params\.yaml\.{key} is ") as refused:
        configure(written(tmp_path, changed), tmp_path / "configs")
    assert repr(name)[1:-1][:40] in str(refused.value) and not (tmp_path / "configs").exists()


def test_stages_that_dvc_would_call_alike_are_refused(params: dict[str, Any], tmp_path: Path) -> None:
    run = {"method": "tps", "label": "L"}
    changed = merge(params, {"data": {"a": {}, "a-b": {}}, "run": {"c": run, "b-c": run}})
    changed |= {"datasets": ["a", "a-b"], "runs": ["b-c", "c"]}
    with pytest.raises(UserError, match="both a-b-c to DVC"):
        read_params(written(tmp_path, changed))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("fomm: {model: {num_tps: 3}}", r"Unknown key scale\.yaml\.fomm\.model\.num_tps"),
        ("tps: {train: {epohcs: 3}}", r"Unknown key scale\.yaml\.tps\.train\.epohcs"),
        ("tsp: {}", r"Unknown key scale\.yaml\.tsp"),
        ("tps: [", r"scale\.yaml is not valid YAML"),
    ],
)
def test_a_mistake_in_a_scales_file_is_named(params: dict[str, Any], tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "scale.yaml").write_text(text)
    changed = merge(params, {"scales": {"unused": "scale.yaml"}})
    with pytest.raises(UserError, match=message):
        read_params(written(tmp_path, changed))


def test_how_frames_are_computed_stands_in_a_file_of_its_own(params: dict[str, Any], tmp_path: Path) -> None:
    def resolved(**section: Any) -> dict[str, str]:
        folder = tmp_path / (section.get("precision") or "plain")
        folder.mkdir()
        few = merge(TRAINED, {"runs": ["tps"], "data": {"puppets": {"inference": section}}})
        paths = configure(written(folder, merge(params, few)), folder / "out")
        return {path.relative_to(folder).as_posix(): path.read_text() for path in paths}

    plain, half = resolved(), resolved(precision="bf16", graph=True)
    assert {name for name in half if half[name] != plain[name]} == {"out/puppets/inference.yaml"}
    assert yaml.safe_load(half["out/puppets/inference.yaml"])["precision"] == "bf16"
    with pytest.raises(UserError, match=r"params.yaml.data.puppets.inference.precision.*fp32"):
        resolved(precision="fp8")


def test_only_the_sets_that_are_asked_for_are_configured(
    params: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    raw = Path("data/raw/portraits")
    raw.parent.mkdir(parents=True)
    raw.symlink_to("elsewhere")
    portraits = {"datasets": ["portraits"], "runs": ["mraa"]} | NO_MORE
    file = written(tmp_path, merge(params, portraits | {"data": {"portraits": {"size": 64}}}))
    with pytest.raises(UserError, match="data/raw/portraits links to elsewhere, where nothing is"):
        configure(file, Path("configs"))
    raw.unlink()
    raw.symlink_to(tmp_path / "elsewhere")
    configure(file, Path("configs"))
    assert sorted(path.name for path in Path("configs").iterdir()) == ["portraits", "workers.yaml"]
    assert [path.name for path in Path("configs/portraits/runs").iterdir()] == ["mraa.yaml"]


def test_what_dvc_brings_need_not_be_there_yet(
    params: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = written(tmp_path, merge(params, {"runs": []} | NO_MORE))
    with pytest.raises(UserError, match="There is no folder data/raw/puppets"):
        configure(file, Path("configs"))
    Path("data.dvc").write_bytes((ROOT / "data.dvc").read_bytes())
    with pytest.raises(UserError, match="There is no folder data/raw/puppets-quick"):
        configure(file, Path("configs"))
    Path("puppets-quick.dvc").write_bytes((ROOT / "puppets-quick.dvc").read_bytes())
    assert configure(file, Path("configs"))


def test_weights_that_training_needs_are_asked_for_first(params: dict[str, Any], tmp_path: Path) -> None:
    vgg19 = {"perceptual": {"backbone": "vgg19", "file": str(tmp_path / "vgg.pth")}}
    runs = {"runs": ["fomm"], "run": {"fomm": {"model": vgg19}}}
    file = written(tmp_path, merge(params, TRAINED | runs))
    message = r"'fomm' on puppets cannot be trained yet\. perceptual\.file: there is no file .*vgg\.pth; `tpsm weights"
    with pytest.raises(UserError, match=message):
        configure(file, tmp_path / "configs")
    (tmp_path / "vgg.pth").touch()
    assert configure(file, tmp_path / "configs")


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


def test_a_key_that_stands_twice_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "params.yaml"
    file.write_text("a:\n  b: &b {c: 1}\n  d: {<<: *b, c: 2}\n")
    assert read_yaml(file) == {"a": {"b": {"c": 1}, "d": {"c": 2}}}
    file.write_text("a: {b: 1, b: 2}\n")
    with pytest.raises(UserError, match="the key 'b' stands twice in one section, in lines 1 and 1"):
        read_yaml(file)
    file.write_text("a:\n  b: {c: 1}\n  d: 3\n  b: 2\n")
    with pytest.raises(UserError, match="the key 'b' stands twice in one section, in lines 2 and 4"):
        read_yaml(file)
