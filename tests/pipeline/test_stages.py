"""Every stage that needs a model, end to end on a small drawn set, as the pipeline runs them."""

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from commands import tpsm
from PIL import Image

from tpsm.checkpoints.checkpoint import load_checkpoint
from tpsm.config.params import merge
from tpsm.core.errors import UserError
from tpsm.core.files import sha256_of
from tpsm.core.tensors import read_torch
from tpsm.data.clip import read_clip
from tpsm.data.manifest import read_manifest
from tpsm.data.resize import fit_to_size
from tpsm.data.video import read_video, write_video
from tpsm.show.animate_file import Animation, animate_file, read_still
from tpsm.show.run import find_run
from tpsm.sources.puppets.generate import synthesize
from tpsm.stages.animate import cross_identity_pairs

TINY = {"width": 4, "max_features": 8, "num_blocks": 2}
PIXELS = {"perceptual": {"backbone": "pixels", "weights": [10]}}
TRAIN = {"epochs": 2, "repeats": 2, "batch": 4, "learning_rate": 1e-3, "checkpoint_every": 2, "preview_every": 3}
AVD = {"model": {"widths": [16], "id_bottle": 8, "pose_bottle": 8}, "train": TRAIN | {"clip_norm": None}}
BASELINE = {"detector": TINY, "dense_motion": TINY, "generator": {"width": 4, "max_features": 8}, **PIXELS}
PARAMS = {
    "datasets": ["drawn"],
    "runs": ["tps", "fomm", "mraa"],
    "animate": {"datasets": ["drawn"], "runs": ["tps", "fomm", "mraa"], "avd": ["tps", "mraa"], "pairs": 2},
    "data": {"drawn": {"size": 64, "scale": "tiny"}},
    "run": {name: {"method": name, "label": name.upper()} for name in ("tps", "fomm", "mraa")},
    "scales": {
        "tiny": {
            "tps": {
                "model": {
                    "num_tps": 3,
                    "encoder_width": 4,
                    "background_start": 1,
                    "dense_motion": TINY,
                    "inpainting": {"width": 4, "max_features": 8, "num_down_blocks": 2},
                    **PIXELS,
                },
                "train": TRAIN,
                "avd": AVD,
            },
            "fomm": {"model": {"num_keypoints": 4, **BASELINE}, "train": TRAIN},
            "mraa": {
                "model": {"num_regions": 4, "background": TINY, **BASELINE},
                "train": TRAIN,
                "avd": AVD,
            },
        }
    },
    "evaluation": {},
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which every stage has run."""
    folder = tmp_path_factory.mktemp("project")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        Path("params.yaml").write_text(yaml.safe_dump(PARAMS))
        raw = Path("data/raw/drawn")
        synthesize(raw, size=64, train_identities=3, test_identities=2, clips_per_identity=2, frames=4, seed=1)
        tpsm("configure")
        tpsm("prepare", "--dataset", "drawn")
        for run in PARAMS["runs"]:
            tpsm("train", "--dataset", "drawn", "--run", run)
            tpsm("reconstruct", "--dataset", "drawn", "--run", run)
            tpsm("animate-pairs", "--dataset", "drawn", "--run", run, "--mode", "standard", "--mode", "relative")
        for run in PARAMS["animate"]["avd"]:
            tpsm("train-avd", "--dataset", "drawn", "--run", run)
            tpsm("animate-pairs", "--dataset", "drawn", "--run", run, "--mode", "avd")
    return folder


@pytest.mark.parametrize(("run", "keypoints"), [("tps", 15), ("fomm", 4), ("mraa", 4)])
def test_training_leaves_a_summary_a_curve_and_previews(project: Path, run: str, keypoints: int) -> None:
    folder = project / "models/drawn" / run
    summary = json.loads((folder / "summary.json").read_text())
    assert (summary["keypoints"], summary["method"], summary["steps"]) == (keypoints, run, 2)
    curve = pd.read_csv(folder / "metrics.csv")
    assert len(curve) == summary["steps"]
    assert np.isfinite(curve.total).all()
    preview = Image.open(sorted((folder / "previews").glob("*.png"))[-1])
    assert preview.height == 4 * 64 * 2
    left = {path.suffix for path in (project / ".work").iterdir()}
    assert left == {".lock", ".finished"}  # what a run that is given more epochs goes on from


def test_a_summary_says_what_made_the_run(project: Path) -> None:
    made = json.loads((project / "models/drawn/tps/summary.json").read_text())["provenance"]
    assert made["parameters"] == {name: sha256_of(project / "configs/drawn" / name) for name in made["parameters"]}
    assert set(made["parameters"]) == {"runs/tps.yaml", "data.yaml"}
    assert made["weights"] == {"last.pt": sha256_of(project / "models/drawn/tps/last.pt")}
    assert made["data"]["sha256"] == read_manifest(project / "data/clips/drawn").sha256
    assert (made["precision"], made["seed"], made["resumed"]) == ("fp32", 0, False) and made["seconds"] > 0


def test_frames_say_what_made_them(project: Path) -> None:
    for name, networks in {"reconstruction": ["models"], "animation/avd": ["models", "avd"]}.items():
        about = json.loads((project / "outputs/drawn/tps" / name / "model.json").read_text())
        files = [f"{network}/drawn/tps/last.pt" for network in networks]
        assert about.pop("weights") == {file: sha256_of(project / file) for file in files}
        summary = json.loads((project / "models/drawn/tps/summary.json").read_text())
        assert summary.pop("provenance") and about == summary


def test_frames_in_bf16_differ_and_say_so(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = shutil.copytree(project, tmp_path / "project")
    monkeypatch.chdir(copy)
    changed = merge(PARAMS, {"data": {"drawn": {"inference": {"precision": "bf16"}}}})
    (copy / "params.yaml").write_text(yaml.safe_dump(changed))
    tpsm("configure")
    tpsm("reconstruct", "--dataset", "drawn", "--run", "tps")
    tpsm("animate-pairs", "--dataset", "drawn", "--run", "tps", "--mode", "relative")
    for name in ("reconstruction", "animation/relative"):
        before, after = (root / "outputs/drawn/tps" / name for root in (project, copy))
        about = json.loads((after / "model.json").read_text())
        assert about.pop("inference")["precision"] == "bf16"
        assert about == json.loads((before / "model.json").read_text())
        clip = next(before.glob("*.zip")).name
        difference = read_clip(before / clip).frames.astype(int) - read_clip(after / clip).frames
        assert 0 < np.abs(difference).max() < 26


@pytest.mark.parametrize("run", ["tps", "fomm", "mraa"])
def test_reconstruction_covers_every_test_frame(project: Path, run: str) -> None:
    manifest = read_manifest(project / "data/clips/drawn")
    out = project / "outputs/drawn" / run / "reconstruction"
    errors = pd.read_parquet(out / "l1.parquet")
    for entry in manifest.clips("test"):
        real = read_clip(project / "data/clips/drawn" / entry.file)
        rebuilt = read_clip(out / entry.file.name)
        assert rebuilt.frames.shape == real.frames.shape
        l1 = errors[errors["clip"] == entry.name].sort_values("frame").l1.to_numpy()
        stored = np.abs(rebuilt.frames.astype(float) - real.frames).mean(axis=(1, 2, 3)) / 255
        assert np.abs(l1 - stored).max() < 0.5 / 255  # the clips are rounded, the errors are not
        up = np.unpackbits(np.load(out / "rounded_up" / f"{entry.file.stem}.npz")["bits"], count=rebuilt.frames.size)
        assert 0.1 < up.mean() < 0.9 and (rebuilt.frames.ravel() >= up).all()
        grid = np.load(out / "motion" / f"{entry.file.stem}.npz")["grid"]
        assert grid.shape[0] == len(real.frames) and grid.shape[-1] == 2


@pytest.mark.parametrize(
    ("run", "points", "motions", "masks"), [("tps", 15, 4, 3), ("fomm", 4, 5, 1), ("mraa", 4, 5, 1)]
)
def test_insides_are_those_that_made_the_frames(project: Path, run: str, points: int, motions: int, masks: int) -> None:
    out = project / "outputs/drawn" / run / "reconstruction"
    files = sorted((out / "insides").glob("*.npz"))
    assert len(files) == 3
    for file in files:
        with np.load(file) as arrays, np.load(out / "motion" / file.name) as whole:
            assert arrays["frames"].tolist() == [1, 2, 3]
            assert arrays["source_xy"].shape == (points, 2) and arrays["driving_xy"].shape == (3, points, 2)
            np.testing.assert_allclose(arrays["motion"], whole["grid"][1:], atol=2e-3)
            assert arrays["weights"].shape[:2] == (3, motions)
            np.testing.assert_allclose(arrays["weights"].astype(float).sum(axis=1), 1, atol=0.01)
            names = [name for name in arrays.files if name.startswith("occlusion")]
            assert names == [f"occlusion_{i}" for i in range(masks)]
            widths = [arrays[name].shape[-1] for name in names]
            assert widths == sorted(widths)
            assert all(0 <= arrays[name].min() <= arrays[name].max() <= 1 for name in names)


def test_animation_pairs_are_the_same_for_all_runs_and_modes(project: Path) -> None:
    tables = sorted(project.glob("outputs/drawn/*/animation/*/pairs.csv"))
    assert len(tables) == 8
    assert len({table.read_text() for table in tables}) == 1
    pairs = pd.read_csv(tables[0])
    assert all(s.split("#")[0] != d.split("#")[0] for s, d in zip(pairs.source, pairs.driving, strict=True))
    for table in tables:
        for pair in pairs.pair:
            assert len(read_clip(table.with_name(f"{pair}.zip")).frames) == 4


def test_pairs_are_spread_over_the_clips(project: Path) -> None:
    manifest = read_manifest(project / "data/clips/drawn")
    pairs = cross_identity_pairs(manifest, 4, seed=0)
    assert len({source.name for source, _ in pairs} | {driving.name for _, driving in pairs}) == 4
    assert pairs == cross_identity_pairs(manifest, 4, seed=0)
    assert len(cross_identity_pairs(manifest, 1000, seed=0)) == 8


@pytest.mark.parametrize("mode", ["standard", "relative", "avd"])
@pytest.mark.parametrize("suffix", [".mp4", ".gif"])
def test_animate_takes_pictures_and_videos_of_any_size(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str, suffix: str
) -> None:
    monkeypatch.chdir(project)
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 255, (91, 130, 3), np.uint8)).save(tmp_path / "source.jpg")
    write_video(tmp_path / f"driving{suffix}", list(rng.integers(0, 255, (5, 120, 74, 3), np.uint8)), 10.0)
    out = tmp_path / "result.mp4"
    arguments = ["--source", str(tmp_path / "source.jpg"), "--driving", str(tmp_path / f"driving{suffix}")]
    assert "5 frames" in tpsm("animate", *arguments, "--run", "tps", "--mode", mode, "--out", str(out))
    frames, fps = read_video(out)
    assert frames.shape == (5, 64, 64, 3)
    assert fps == pytest.approx(10)


def test_animate_says_what_is_missing(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    picture = tmp_path / "source.png"
    Image.new("RGB", (64, 64)).save(picture)
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    out = tmp_path / "result.mp4"
    with pytest.raises(UserError, match=r"no weights of a run 'vox'; .*drawn/fomm, drawn/mraa, drawn/tps"):
        animate_file(Animation(picture, tmp_path / "broken.mp4", {"vox": ""}, out))
    with pytest.raises(UserError, match=r"broken\.mp4 cannot be read"):
        animate_file(Animation(picture, tmp_path / "broken.mp4", {"tps": ""}, out))
    with pytest.raises(UserError, match="The run 'fomm' has no AVD network"):
        animate_file(Animation(picture, tmp_path / "broken.mp4", {"fomm": ""}, out, "avd"))
    assert not out.exists()


def test_of_a_run_of_several_data_sets_the_first_is_taken_and_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    caplog.set_level("INFO")
    for name in ("puppets-quick", "puppets"):
        Path(f"models/{name}/tps").mkdir(parents=True)
        Path(f"models/{name}/tps/last.pt").touch()
    assert find_run("tps", None) == Path("models/puppets/tps/last.pt")
    assert "--dataset takes that of puppets-quick" in caplog.text
    assert find_run("tps", "puppets-quick") == Path("models/puppets-quick/tps/last.pt")


def test_an_avd_checkpoint_is_not_taken_for_a_method(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tpsm.checkpoints.checkpoint import load_method

    with pytest.raises(UserError, match="holds a checkpoint of method 'avd', but 'tps' is needed"):
        load_method(project / "avd/drawn/tps/last.pt", "tps")


def test_animate_says_what_it_took(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A strip of the data set gives its frames, and a photo twice as wide as high is one picture."""
    monkeypatch.chdir(project)
    strip = next(path for path in sorted(Path("data/raw/drawn/test").iterdir()) if path.suffix != ".npz")
    frames, _ = read_video(strip)
    photo = tmp_path / "photo.png"
    Image.fromarray(np.concatenate([frames[0], frames[2]], axis=1)).save(photo)
    caplog.set_level("INFO")

    np.testing.assert_array_equal(read_still(strip), frames[0])
    np.testing.assert_array_equal(read_still(strip, 2), frames[2])
    np.testing.assert_array_equal(read_still(photo), np.concatenate([frames[0], frames[2]], axis=1))
    np.testing.assert_array_equal(read_still(photo, 1), frames[2])
    with pytest.raises(UserError, match=r"no frame 9.*--source-frame"):
        read_still(strip, 9)

    out = tmp_path / "out"
    assert animate_file(Animation(photo, strip, {"fomm": ""}, out, "standard")) == len(frames)
    assert f"Source: the image {photo}, 128 x 64 pixels, of which the square of 64 at 32,0 is taken" in caplog.text
    assert f"Driving: the strip {strip}" in caplog.text
    assert animate_file(Animation(strip, photo, {"fomm": ""}, out, "standard")) == 1
    assert f"Source: frame 0 of the strip {strip}, 64 x 64 pixels, all of it." in caplog.text
    assert f"Driving: the image {photo}" in caplog.text


def test_a_run_animates_as_it_was_trained(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Squares by cropping or stretching are a matter of the checkpoint, which is silent where it is cropping."""
    monkeypatch.chdir(project)
    wide = np.random.default_rng(0).integers(0, 256, (64, 128, 3), dtype=np.uint8)
    Image.fromarray(wide).save(tmp_path / "wide.png")
    checkpoint = load_checkpoint(Path("models/drawn/fomm/last.pt"))
    assert checkpoint.fit == "crop"
    assert "fit" not in read_torch(Path("models/drawn/fomm/last.pt"))  # as in every file written before
    dataclasses.replace(checkpoint, fit="stretch", run="wide").save(Path("models/drawn/wide/last.pt"))
    for run, fit in (("fomm", "crop"), ("wide", "stretch")):
        square = fit_to_size(wide, 64, fit)
        Image.fromarray(square).save(tmp_path / "square.png")
        for name in ("wide", "square"):
            picture = tmp_path / f"{name}.png"
            animate_file(Animation(picture, picture, {run: ""}, tmp_path / name, "standard"))
        np.testing.assert_array_equal(read_video(tmp_path / "wide")[0], read_video(tmp_path / "square")[0])
    shutil.rmtree("models/drawn/wide")
