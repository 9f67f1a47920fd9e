"""Released checkpoints: what is read, what is refused, what it costs, and that an imported run is like any other."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from commands import tpsm
from released_files import entry, modules, write
from safetensors.torch import save_file

from baselines import fomm, mraa
from eval.__main__ import main as evaluate
from tpsm.checkpoints.checkpoint import load_checkpoint, load_method
from tpsm.checkpoints.released import read_released
from tpsm.checkpoints.released_file import Released
from tpsm.checkpoints.trained import load_avd
from tpsm.config.params import merge, read_params, read_run, resolve_run
from tpsm.config.sections import RunConfig
from tpsm.core.errors import UserError
from tpsm.core.schema import plain
from tpsm.data.video import write_video
from tpsm.methods import tps
from tpsm.methods.avd_config import AvdConfig
from tpsm.nn.vgg import PerceptualConfig
from tpsm.show.animate_file import Animation, animate_file
from tpsm.sources.puppets.generate import synthesize
from tpsm.stages.import_released import import_file
from tpsm.training.config import TrainConfig

ROOT = Path(__file__).parents[2]
MRAA_AVD = AvdConfig(id_bottle=64, pose_bottle=64)
SN, PLAIN = fomm.DiscriminatorConfig(), fomm.DiscriminatorConfig(spectral_norm=False)
# Every configuration that weights were released for: method, its model, the picture's side, its AVD.
FULL: dict[str, tuple[str, Any, int, AvdConfig | None]] = {
    "tps-vox": ("tps", tps.Config(), 256, AvdConfig()),
    "tps-taichi": ("tps", tps.Config(background_start=0), 256, AvdConfig()),
    "tps-ted": ("tps", tps.Config(background_start=0), 384, AvdConfig()),
    "tps-mgif": ("tps", tps.Config(background=False), 256, AvdConfig()),
    "fomm-vox": ("fomm", fomm.Config(discriminator=SN), 256, None),
    "fomm-taichi": ("fomm", fomm.Config(discriminator=PLAIN), 256, None),
    "fomm-mgif": (
        "fomm",
        fomm.Config(single_jacobian=True, discriminator=SN, weights=fomm.LossWeights(gan=1.0)),
        256,
        None,
    ),
    "fomm-vox-adv": (
        "fomm",
        fomm.Config(discriminator=replace(PLAIN, use_keypoints=True), weights=fomm.LossWeights(gan=1.0)),
        256,
        None,
    ),
    "mraa-vox": ("mraa", mraa.Config(padding=3), 256, MRAA_AVD),
    "mraa-taichi": ("mraa", mraa.Config(padding=0), 256, MRAA_AVD),
    "mraa-ted": ("mraa", mraa.Config(padding=0), 384, MRAA_AVD),
    "mraa-ted-youtube": ("mraa", mraa.Config(padding=0, num_regions=20), 384, MRAA_AVD),
    "mraa-mgif": ("mraa", mraa.Config(padding=0, background=mraa.BackgroundConfig("zero")), 256, MRAA_AVD),
}
QUICK = ("fomm-mgif", "mraa-vox")


def run_config(method: str, model: Any, size: int, dataset: str = "drawn") -> RunConfig:
    return RunConfig(dataset, f"{method}-released", method, size, model, TrainConfig())


@pytest.mark.parametrize("name", [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in FULL])
def test_a_file_of_full_size_is_taken_whole(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    method, model, size, avd = FULL[name]
    parts = modules(method, model, size, avd)
    file = write(tmp_path / "released.pth.tar", method, parts, legacy=method != "tps")
    import_file(file, run_config(method, model, size), avd or AvdConfig())
    folder = Path("models/drawn") / f"{method}-released"
    checkpoint = load_checkpoint(folder / "last.pt")
    taken = {part: entries for part, entries in parts.items() if part != "avd_network"}
    if method == "fomm" and not model.weights.gan:
        del taken["discriminator"]
    expected = {f"{part}.{key}": value for part, entries in taken.items() for key, value in entries.items()}
    assert set(checkpoint.weights) == set(expected)
    for key in sorted(expected)[::5]:  # a sample, held against the formula once more
        assert torch.equal(checkpoint.weights[key], entry(key, tuple(expected[key].shape)))
    assert all(torch.equal(checkpoint.weights[key], value) for key, value in expected.items())
    summary = json.loads((folder / "summary.json").read_text())
    trained = sum(v.numel() for k, v in expected.items() if is_parameter(k))
    assert (summary["parameters"], summary["steps"], summary["released"]) == (trained, None, sha256(file))
    network, _ = load_method(folder / "last.pt", method)
    assert not any(value.is_meta for value in [*network.parameters(), *network.buffers()])
    if avd is not None:
        loaded = load_avd(Path("avd/drawn") / folder.name / "last.pt", network, size)
        for key, value in list(parts["avd_network"].items())[::5]:
            assert torch.equal(loaded.state_dict()[key], value)


def is_parameter(name: str) -> bool:
    buffers = ("running_mean", "running_var", "num_batches_tracked", "down.weight", "weight_u", "weight_v")
    return not name.endswith(buffers)


def sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


# What a whole import takes, as the system counts it: /proc has the peak of this very program, where getrusage would
# also know of the one that started it.
MEASURED = """
import sys
from pathlib import Path
from tpsm.methods import tps
from baselines import fomm
from tpsm.methods.avd import AvdConfig
from tpsm.config.sections import RunConfig
from tpsm.checkpoints.released import skeleton
from tpsm.stages.import_released import import_file
from tpsm.training.config import TrainConfig
from tpsm.checkpoints.trained import example_keypoints

def peak():
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return 1024 * int(line.split()[1])

method, file = sys.argv[1:]
config = {"tps": tps, "fomm": fomm}[method].Config()
example_keypoints(skeleton(method, config), 256)  # the code that PyTorch loads for it counts as imports, 160 MB
before = peak()
import_file(Path(file), RunConfig("drawn", "released", method, 256, config, TrainConfig()), AvdConfig())
print(peak() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc")
@pytest.mark.parametrize(("method", "legacy"), [("tps", False), ("fomm", True)])
def test_an_import_takes_less_memory_than_twice_the_file(method: str, legacy: bool, tmp_path: Path) -> None:
    config, avd = {"tps": (tps.Config(), AvdConfig()), "fomm": (fomm.Config(), None)}[method]
    shapes = modules_of_ones(method, config, avd)
    file = write(tmp_path / "released.pth.tar", method, shapes, legacy=legacy)
    del shapes
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, method, str(file)],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert (tmp_path / "models/drawn/released/last.pt").is_file()
    growth = int(done.stdout) / file.stat().st_size
    print(f"{growth:.2f} times the file of {file.stat().st_size / 1e6:.0f} MB")
    # A second copy of the weights would make it 2 and more; allocators and page caches differ by a tenth or two.
    assert growth < 1.6


def modules_of_ones(method: str, config: Any, avd: AvdConfig | None) -> dict[str, dict[str, torch.Tensor]]:
    """Of full size, and made in no time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("released_files.entry", lambda name, shape, scale: torch.ones(shape))
        return modules(method, config, 256, avd)


TINY = {"width": 4, "max_features": 8, "num_blocks": 2}
PIXELS = {"perceptual": {"backbone": "pixels", "weights": [10]}}
BASELINE = {"detector": TINY, "dense_motion": TINY, "generator": {"width": 4, "max_features": 8}, **PIXELS}
MODELS = {
    "tps": {
        "num_tps": 3,
        "encoder_width": 4,
        "dense_motion": TINY,
        "inpainting": {"width": 4, "max_features": 8, "num_down_blocks": 2},
        **PIXELS,
    },
    "fomm": {"num_keypoints": 4, "discriminator": TINY, **BASELINE},
    "mraa": {"num_regions": 4, "background": TINY, **BASELINE},
}
AVD = {"widths": [16], "id_bottle": 8, "pose_bottle": 8}
RUNS = tuple(f"{method}-released" for method in MODELS)
PARAMS: dict[str, Any] = {
    "datasets": ["drawn"],
    "runs": list(RUNS),
    "animate": {"datasets": ["drawn"], "runs": list(RUNS), "avd": ["tps-released", "mraa-released"], "pairs": 2},
    "data": {"drawn": {"size": 64, "scale": "tiny"}},
    "run": {
        f"{method}-released": {
            "method": method,
            "label": f"{method.upper()} (released)",
            "released": f"released/{{dataset}}/{method}.pth.tar",
        }
        for method in MODELS
    },
    "scales": {"tiny": {method: {"model": model, "avd": {"model": AVD}} for method, model in MODELS.items()}},
    "evaluation": {
        "drawn": {"metrics": ["l1", "epe"], "tables": {"reconstruction": list(RUNS), "animation": list(RUNS)}}
    },
}
PARAMS["scales"]["tiny"]["fomm"].pop("avd")


def small(method: str, **changes: Any) -> tuple[RunConfig, AvdConfig]:
    """The tiny configuration of a released run, as params.yaml in this folder says it."""
    Path("params.yaml").write_text(yaml.safe_dump(merge(PARAMS, changes)))
    config, avd = resolve_run(read_params(Path("params.yaml")), "drawn", f"{method}-released")
    return config, avd.model


def small_parts(method: str) -> dict[str, dict[str, torch.Tensor]]:
    config, avd = small(method)
    return modules(method, config.model, 64, None if method == "fomm" else avd)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which released files went through every stage, as the pipeline runs them."""
    folder = tmp_path_factory.mktemp("released")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        synthesize(
            Path("data/raw/drawn"),
            size=64,
            train_identities=2,
            test_identities=2,
            clips_per_identity=1,
            frames=3,
            seed=1,
        )
        for i, method in enumerate(MODELS):
            write(Path(f"released/drawn/{method}.pth.tar"), method, small_parts(method), legacy=i == 1)
        tpsm("configure")
        assert evaluate(["check"]) == 0
        tpsm("prepare", "--dataset", "drawn")
        for run in RUNS:
            named = ("--dataset", "drawn", "--run", run)
            tpsm("train", *named)
            tpsm("reconstruct", *named)
            modes = ["standard", "relative"]
            if run in PARAMS["animate"]["avd"]:
                tpsm("train-avd", *named)
                modes.append("avd")
            tpsm("animate-pairs", *named, *(part for mode in modes for part in ("--mode", mode)))
        for verb in (
            ["evaluators"],
            ["features"],
            *(["score", "--run", run] for run in (*RUNS, "copy-source", "real")),
            ["report"],
        ):
            assert evaluate([*verb, "--dataset", "drawn"]) == 0
    return folder


def test_released_runs_are_rows_like_any(project: Path) -> None:
    rows = pd.read_csv(project / "reports/drawn/tables/reconstruction.csv").set_index("Run")
    for method in MODELS:
        assert float(rows.loc[f"{method.upper()} (released)", "L1 ↓"]) > 0
        for mode in ("standard", "relative", *(["avd"] if method != "fomm" else [])):
            animated = project / "outputs/drawn" / f"{method}-released" / "animation" / mode
            assert len(list(animated.glob("*.zip"))) == 2
    page = (project / "reports/drawn/README.md").read_text()
    assert "authors released, and not trained here: TPS (released), FOMM (released), MRAA (released)." in page
    assert "Training loss" not in page
    about = json.loads((project / "reports/drawn/provenance.json").read_text())["runs"]["tps-released"]
    assert about["steps"] is None and about["released"] == sha256(project / "released/drawn/tps.pth.tar")


@pytest.mark.parametrize("method", MODELS)
def test_an_imported_run_is_written_as_a_trained_one(
    project: Path, method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the pipeline and by hand, the same; and with the fields that training writes."""
    monkeypatch.chdir(project)
    config = read_run("drawn", f"{method}-released")
    params, file = project / "params.yaml", project / "released/drawn" / f"{method}.pth.tar"
    stored = load_checkpoint(Path(f"models/drawn/{method}-released/last.pt"))
    assert (stored.method, stored.run, stored.size) == (method, config.run, 64)
    assert stored.model_config == plain(asdict(config.model))
    monkeypatch.chdir(tmp_path)
    tpsm("import", str(file), "--dataset", "drawn", "--run", config.run, "--params", str(params))
    places = (tmp_path, project)
    for name in ("models", "avd") if method != "fomm" else ("models",):
        ours, theirs = (load_checkpoint(top / name / "drawn" / config.run / "last.pt") for top in places)
        assert vars(replace(ours, weights={})) == vars(replace(theirs, weights={}))
        assert all(torch.equal(value, theirs.weights[key]) for key, value in ours.weights.items())
    imported, piped = (json.loads((top / "models/drawn" / config.run / "summary.json").read_text()) for top in places)
    assert imported.pop("provenance").keys() == piped.pop("provenance").keys() and imported == piped


def test_an_imported_run_animates_by_hand(project: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(project)
    clip = min(Path("data/raw/drawn/test").glob("*.webp"))
    write_video(tmp_path / "driving.gif", list(torch.randint(0, 255, (3, 64, 64, 3), dtype=torch.uint8).numpy()), 10.0)
    for mode in ("standard", "avd"):
        out = tmp_path / f"{mode}.gif"
        assert animate_file(Animation(clip, tmp_path / "driving.gif", {"mraa-released": ""}, out, mode)) == 3


def test_the_resolved_run_holds_the_files_hash(folder: Path) -> None:
    file = write(Path("released/drawn/mraa.pth.tar"), "mraa", small_parts("mraa"))
    config, _ = small("mraa")
    assert config.released == Released("released/drawn/mraa.pth.tar", sha256(file))
    assert f"sha256: {sha256(file)}" in tpsm("params", "drawn", "mraa-released")
    before = config.released
    file.write_bytes(file.read_bytes() + b"\0")
    assert small("mraa")[0].released != before
    with pytest.raises(UserError, match=r"mraa\.pth\.tar has changed since `tpsm configure` read it"):
        before.unchanged()


def test_configure_refuses_a_file_that_is_not_there(folder: Path) -> None:
    synthesize(
        Path("data/raw/drawn"), size=64, train_identities=1, test_identities=1, clips_per_identity=1, frames=2, seed=1
    )
    small("tps")
    with pytest.raises(UserError, match=r"There is no released checkpoint released/drawn/tps\.pth\.tar; put it there"):
        tpsm("configure")
    assert not Path("configs").exists()
    assert "sha256: null" in tpsm("params", "drawn", "tps-released")  # what will be taken can be asked all the same


def complex_twin(entries: dict[str, torch.Tensor], key: str) -> dict[str, torch.Tensor]:
    return {key: entries[key].to(torch.complex64)}


def spoilt(change: Callable[[dict[str, Any]], Any], method: str = "tps") -> Path:
    parts: dict[str, Any] = small_parts(method)
    change(parts)
    return write(Path("spoilt.pth.tar"), method, parts)


@pytest.mark.parametrize(
    ("method", "change", "message"),
    [
        ("tps", lambda p: p["kp_detector"].pop("fg_encoder.fc.bias"), "has no entry kp_detector.fg_encoder.fc.bias"),
        ("tps", lambda p: p["kp_detector"].update(x=torch.zeros(1)), r"entry kp_detector\.x, for which .* no place"),
        (
            "tps",
            lambda p: p["inpainting_network"].update({"final.bias": torch.zeros(4)}),
            r"entry inpainting_network\.final\.bias is of shape \(4,\), the model's of \(3,\)",
        ),
        (
            "tps",
            lambda p: p["kp_detector"]["fg_encoder.fc.bias"].fill_(float("nan")),
            r"entry kp_detector\.fg_encoder\.fc\.bias holds values that are not finite",
        ),
        (
            "mraa",
            lambda p: p.update(region_predictor={f"net.{k}": v for k, v in p["region_predictor"].items()}),
            r"has no entry region_predictor\..* more \(but region_predictor\.net\.",
        ),
        ("tps", lambda p: p.pop("dense_motion_network"), "has no module 'dense_motion_network'"),
        ("tps", lambda p: p.pop("bg_predictor"), r"no module 'bg_predictor'.*set model\.background: false"),
        ("tps", lambda p: p.update(generator=p["kp_detector"]), "no place for the module 'generator'"),
        ("tps", lambda p: p.update(extra=[3]), "'extra' is neither a module's weights nor known from released files"),
        ("tps", lambda p: p["avd_network"].pop("decoder.0.bias"), "has no entry avd_network.decoder.0.bias"),
        (
            "fomm",
            lambda p: p["discriminator"].pop("discs.1.conv.weight_u"),
            r"has no entry discriminator\.discs\.1\.conv\.weight_u",
        ),
        ("fomm", lambda p: p.update(avd_network={"x": torch.zeros(1)}), "no place for the module 'avd_network'"),
        (
            "mraa",
            lambda p: p["bg_predictor"].clear(),
            r"'bg_predictor' is empty; set model\.background: \{kind: zero\}",
        ),
        ("tps", lambda p: p["bg_predictor"].clear(), r"'bg_predictor' is empty; .*set model\.background: false"),
        (
            "tps",
            lambda p: p["kp_detector"].update(complex_twin(p["kp_detector"], "fg_encoder.fc.bias")),
            r"entry kp_detector\.fg_encoder\.fc\.bias is complex",
        ),
        (
            "fomm",
            lambda p: p["kp_detector"].update({"kp.bias": p["kp_detector"]["kp.bias"].to_sparse()}),
            r"entry kp_detector\.kp\.bias is sparse",
        ),
        (
            "fomm",
            lambda p: p["kp_detector"].update({"kp.bias": p["kp_detector"]["kp.bias"].to("meta")}),
            r"entry kp_detector\.kp\.bias has a shape but no values",
        ),
        (
            "fomm",
            lambda p: p["kp_detector"].update({"kp.bias": torch.zeros(1).expand(4)}),
            r"entry kp_detector\.kp\.bias declares more values than the file holds",
        ),
        (
            "mraa",
            lambda p: p["avd_network"].update({"decoder.0.weight": torch.zeros(3, 3)}),
            r"entry avd_network\.decoder\.0\.weight is of shape \(3, 3\)",
        ),
    ],
)
def test_what_does_not_fit_is_named_and_nothing_is_written(
    folder: Path, method: str, change: Callable[[dict[str, Any]], Any], message: str
) -> None:
    file = spoilt(change, method)
    with pytest.raises(UserError, match=rf"spoilt\.pth\.tar.*{message}"):
        import_file(file, *small(method))
    assert not Path("models").exists() and not Path("avd").exists()


def test_a_background_that_the_configuration_has_no_place_for_is_named(folder: Path) -> None:
    file = spoilt(lambda parts: None)
    without = {"run": {"tps-released": {"model": {"background": False}}}}
    with pytest.raises(UserError, match="no place for the module 'bg_predictor'"):
        import_file(file, *small("tps", **without))
    file = spoilt(lambda parts: parts.pop("bg_predictor"))
    import_file(file, *small("tps", **without))


def test_a_file_of_another_method_is_refused(folder: Path) -> None:
    file = spoilt(lambda parts: None, "mraa")
    with pytest.raises(UserError, match="has no module 'kp_detector', only bg_predictor, generator, region_predictor"):
        import_file(file, *small("tps"))


def test_a_file_without_avd_says_so_and_leaves_no_other_files(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    import_file(spoilt(lambda parts: None), *small("tps"))
    stale = Path("avd/drawn/tps-released/last.pt")
    assert stale.is_file()
    with caplog.at_level(logging.INFO):
        import_file(spoilt(lambda parts: parts.pop("avd_network")), *small("tps"))
    assert "holds no AVD network, so the run cannot animate in the mode avd" in caplog.text
    assert not stale.exists()
    assert Path("models/drawn/tps-released/last.pt").is_file()


def test_the_avd_stage_refuses_a_file_without_it(folder: Path) -> None:
    config, avd = small("tps")
    released = read_released(spoilt(lambda parts: parts.pop("avd_network")), "tps")
    from tpsm.stages.import_released import released_avd

    with pytest.raises(UserError, match=r"spoilt\.pth\.tar holds no AVD network; take its run out of animate\.avd"):
        released_avd(config, avd, released)


def test_a_trained_run_is_not_overwritten(folder: Path) -> None:
    file = spoilt(lambda parts: None)
    Path("models/drawn/tps-released").mkdir(parents=True)
    Path("models/drawn/tps-released/metrics.csv").touch()
    with pytest.raises(UserError, match="models/drawn/tps-released holds a run trained here; remove it first"):
        import_file(file, *small("tps"))


def test_half_precision_becomes_single(folder: Path) -> None:
    def halve(parts: dict[str, Any]) -> None:
        parts["kp_detector"] = {k: v.half() if v.is_floating_point() else v for k, v in parts["kp_detector"].items()}

    import_file(spoilt(halve), *small("tps"))
    weights = load_checkpoint(Path("models/drawn/tps-released/last.pt")).weights
    assert weights["kp_detector.fg_encoder.fc.bias"].dtype == torch.float32


def test_other_programs_forms_are_taken_as_they_are(folder: Path) -> None:
    """Parallel training's prefix, one mapping below `state_dict`, NumPy's numbers beside it, and safetensors."""
    config, avd = small("fomm")
    parts = small_parts("fomm")
    flat = {f"{name}.{key}": value for name, entries in parts.items() for key, value in entries.items()}
    wrapped = {name: {f"module.{key}": value for key, value in entries.items()} for name, entries in parts.items()}
    torch.save(parts | {"best_loss": np.float64(0.5), "rank1": np.float32(1), "note": "x"}, "numbers.pth")
    torch.save(wrapped, "wrapped.pth")
    torch.save({"state_dict": {f"module.{key}": value for key, value in flat.items()}, "epoch": 3}, "below.pth")
    save_file(flat, "flat.safetensors")
    for name in ("numbers.pth", "wrapped.pth", "below.pth", "flat.safetensors"):
        import_file(Path(name), config, avd)
        weights = load_checkpoint(Path("models/drawn/fomm-released/last.pt")).weights
        assert weights and all(torch.equal(value, flat[key]) for key, value in weights.items()), name


def test_what_is_no_checkpoint_is_said_and_runs_no_code(folder: Path) -> None:
    config, avd = small("tps")

    class Payload:
        def __reduce__(self) -> Any:
            return Path("ran").touch, ()

    torch.save({"kp_detector": Payload()}, "evil.pth.tar")
    torch.save({"kp_detector": Payload()}, "evil.pth", _use_new_zipfile_serialization=False)
    torch.save([1, 2], "list.pth")
    whole = write(Path("whole.pth"), "tps", small_parts("tps")).read_bytes()
    Path("half.pth").write_bytes(whole[: len(whole) // 2])
    Path("text.pth").write_text("no checkpoint")
    for name in ("evil.pth.tar", "evil.pth", "half.pth", "text.pth"):
        with pytest.raises(UserError, match=rf"{name} cannot be read as a checkpoint"):
            import_file(Path(name), config, avd)
    with pytest.raises(UserError, match=r"list\.pth holds no modules by name"):
        import_file(Path("list.pth"), config, avd)
    with pytest.raises(UserError, match=r"There is no released checkpoint absent\.pth"):
        import_file(Path("absent.pth"), config, avd)
    assert not Path("ran").exists()


def test_the_weights_are_the_files_own(folder: Path) -> None:
    """What is imported predicts what a model with those weights predicts (no entry lands in another's place)."""
    parts = small_parts("fomm")
    import_file(write(Path("x.pth"), "fomm", parts), *small("fomm"))
    imported, _ = load_method(Path("models/drawn/fomm-released/last.pt"))
    direct = fomm.Model(imported.config).eval()  # type: ignore[arg-type]
    for name, module in direct.named_children():
        module.load_state_dict(parts[name])
    image = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        ours, theirs = (m.render(m.encode(image), m.keypoints(image.flip(3))).image for m in (imported, direct))
    assert torch.equal(ours, theirs)


def test_perceptual_weights_are_not_asked_of_a_run_that_is_not_trained(folder: Path) -> None:
    synthesize(
        Path("data/raw/drawn"), size=64, train_identities=1, test_identities=1, clips_per_identity=1, frames=2, seed=1
    )
    write(Path("released/drawn/tps.pth.tar"), "tps", small_parts("tps"))
    vgg = plain(asdict(PerceptualConfig()))
    only = {"runs": ["tps-released"], "animate": {"runs": [], "avd": []}}
    small("tps", **only, run={"tps-released": {"model": {"perceptual": vgg}}})
    assert "resolved files" in tpsm("configure")
