"""`tpsm demo`, `tpsm animate` and `tpsm doctor` as they are typed, with the published weights and nothing else."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from commands import tpsm
from PIL import Image
from test_sound import FPS, film

from tpsm.checkpoints.checkpoint import Checkpoint
from tpsm.core.errors import UserError
from tpsm.core.files import sha256_of
from tpsm.core.schema import plain
from tpsm.data.video import read_video, write_video
from tpsm.published.card import card_of, read_card
from tpsm.show.panels import CAPTION, GAP, SMALLEST, side_by_side
from tpsm.show.run import find_run, load_run

ROOT = Path(__file__).parents[2]
PUPPET, CLIP = (ROOT / f"samples/puppets/test/{name}.webp" for name in ("puppet044#00", "puppet052#01"))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Path:
    """A folder with the published weights, and no parameters."""
    monkeypatch.chdir(tmp_path)
    Path("weights").symlink_to(ROOT / "weights")
    caplog.set_level("INFO")
    return tmp_path


def animate(*options: str, source: Path = PUPPET, driving: Path = CLIP, run: str = "tps", out: str = "out.webp") -> str:
    return tpsm("animate", "--source", str(source), "--driving", str(driving), "--run", run, "--out", out, *options)


def panels(sheet: np.ndarray) -> list[np.ndarray]:
    return [sheet[CAPTION:, left : left + SMALLEST] for left in range(0, sheet.shape[1], SMALLEST + GAP)]


def test_the_demo_shows_source_clip_and_all_methods(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(ROOT)
    out = tmp_path / "demo.mp4"
    assert f"source | driving | FOMM | MRAA | TPSMM -> {out}" in tpsm("demo", "--out", str(out))
    frames, fps = read_video(out)
    driving, _ = read_video(CLIP)
    assert (len(frames), fps) == (3 * len(driving), 12)
    source = Image.fromarray(read_video(PUPPET)[0][0]).resize((SMALLEST, SMALLEST), Image.Resampling.BICUBIC)
    shown = panels(frames[5])
    assert len(shown) == 5
    assert np.abs(shown[0].astype(int) - np.asarray(source)).mean() < 6  # as H.264 loses it
    for made in shown[2:]:  # each is the source, moved: nearer to it than the driving clip is
        errors = [np.abs(made.astype(int) - np.asarray(other)).mean() for other in (source, shown[1])]
        assert errors[0] < errors[1]


def test_elsewhere_the_demo_says_what_it_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"no samples/puppets/.*`tpsm --root FOLDER demo`"):
        tpsm("demo")
    shutil.copytree(ROOT / "samples", "samples")
    with pytest.raises(UserError, match=r"no weights of a run 'fomm' of puppets; .* are none\. .*tpsm import"):
        tpsm("demo")
    assert not Path("demo.mp4").exists()


def test_published_weights_are_the_runs_own_and_what_is_made_here_goes_first(folder: Path) -> None:
    run = load_run("tps", None)
    assert (run.dataset, run.size, run.fit, run.fps) == ("puppets", 64, "crop", 12)
    card = read_card(card_of(find_run("tps", None)))
    assert sha256_of(run.file) == card.sha256
    weights = run.method.state_dict()
    model = plain(card.recipe["model"])
    Checkpoint("tps", "tps", "puppets", 64, model, weights, 0, 0).save(Path("models/puppets/tps/last.pt"))
    here = load_run("tps", None)
    assert here.file == Path("models/puppets/tps/last.pt") and here.fps is None  # nothing is configured here
    assert all(np.array_equal(value, here.method.state_dict()[key]) for key, value in weights.items())


@pytest.mark.parametrize("out", ["out.mp4", "out.gif", "out.webp"])
def test_a_strip_moves_at_the_rate_of_its_data_set(folder: Path, caplog: pytest.LogCaptureFixture, out: str) -> None:
    assert "20 frames" in animate("--mode", "avd", out=out)
    assert "puppet052#01.webp at 12 frames per second, 64 x 64 pixels, all of it." in caplog.text
    frames, fps = read_video(Path(out))
    assert frames.shape == (20, 64, 64, 3) and fps == pytest.approx(12, rel=0.01)


def test_several_runs_or_compare_are_side_by_side(folder: Path) -> None:
    animate("--compare", out="one.webp")
    animate("--run", "fomm", out="two.webp")
    one, two = (read_video(Path(name))[0][-1] for name in ("one.webp", "two.webp"))
    assert len(panels(one)) == 3 and len(panels(two)) == 4
    for place in range(3):  # source, driving clip, and the first run
        assert np.abs(panels(one)[place].astype(int) - panels(two)[place]).mean() < 2


def test_a_method_has_the_title_that_the_demo_gives_it(folder: Path) -> None:
    for run, title in {"tps": "TPSMM", "fomm-k10": "fomm-k10"}.items():
        animate("--compare", run=run, out=run)
        blank = np.zeros((64, 64, 3), np.uint8)
        expected = next(side_by_side(["source", "driving", title], [[blank]] * 3, 64))
        np.testing.assert_array_equal(read_video(Path(run))[0][0][:CAPTION], expected[:CAPTION])


def test_the_best_frame_is_that_of_the_source_itself(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """By landmarks where params.yaml and the published evaluators are there, and by keypoints where not."""
    for number in (0, 7):
        animate("--find-best-frame", "--source-frame", str(number), source=CLIP)
        assert f"Best frame: {number}, by the method's own keypoints." in caplog.text
    for name in ("params.yaml", "scales"):
        Path(name).symlink_to(ROOT / name)
    animate("--find-best-frame", "--source-frame", "7", source=CLIP, out="by-landmarks")
    assert "Best frame: 7, by the landmarks of puppets." in caplog.text
    animate("--reference-frame", "7", "--source-frame", "7", source=CLIP, out="by-number")
    np.testing.assert_array_equal(*(read_video(Path(name))[0] for name in ("by-landmarks", "by-number")))


def test_sound_is_kept_at_the_same_speed(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    from tpsm.show.sound import has_sound

    film(folder / "loud.mp4")
    for out, options, kept in (
        ("kept.mp4", (), True),
        ("beside.mp4", ("--compare",), True),
        ("quiet.mp4", ("--no-audio",), False),
        ("fast.mp4", ("--fps", "20"), False),
    ):
        animate(*options, driving=folder / "loud.mp4", out=out)
        assert has_sound(Path(out)) == kept
        assert read_video(Path(out))[1] == (20 if "--fps" in options else FPS)
    assert "Sound: none, for the speed is another" in caplog.text
    animate(driving=folder / "loud.mp4", out="out.gif")
    assert "out.gif holds no sound; .mp4 does" in caplog.text


def test_what_is_cut_off_a_portrait_is_said(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    portrait = np.random.default_rng(0).integers(0, 256, (160, 90, 3), dtype=np.uint8)
    Image.fromarray(portrait).save("me.png")
    write_video(Path("wide.mp4"), [np.full((60, 100, 3), 10 * t, np.uint8) for t in range(3)], 10.0)
    animate(source=Path("me.png"), driving=Path("wide.mp4"))
    assert (
        "me.png, 90 x 160 pixels, of which the square of 90 at 0,35 is taken; cut off are 35 top, 35 bottom (--crop"
        in caplog.text
    )
    assert "wide.mp4 at 10 frames per second, 100 x 60 pixels, of which the square of 60 at 20,0" in caplog.text
    animate("--pad", source=Path("me.png"), driving=Path("wide.mp4"))
    assert "square of 160 at -35,0 is taken; the edge is repeated for 35 left, 35 right." in caplog.text
    assert "20 right (--driving-crop and --pad choose otherwise)" in caplog.text
    animate("--pad", "--crop", "-10,0,90", source=Path("me.png"))
    assert "square of 90 at -10,0 is taken" in caplog.text and "the edge is repeated for 10 left." in caplog.text
    animate("--crop", "0,0,90", "--driving-crop", "10,0,60", source=Path("me.png"), driving=Path("wide.mp4"))
    assert "cut off are 70 bottom." in caplog.text and "square of 60 at 10,0" in caplog.text


@pytest.mark.parametrize("out", ["out.mp4", "out.png"])
def test_a_single_image_moves_nothing_and_a_line_says_so(
    folder: Path, caplog: pytest.LogCaptureFixture, out: str
) -> None:
    animate(out=out)
    assert "one frame" not in caplog.text
    Image.fromarray(read_video(CLIP)[0][0]).save("still.jpg")
    assert "1 frames" in animate(driving=Path("still.jpg"), out=out)
    assert "It is one frame, and so is the result: motion comes from a video" in caplog.text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--crop", "-1,0,10"), r"-1,0,10 reaches beyond .*puppet044#00.*--pad"),
        (("--crop", "chin"), r"--crop is 'chin'.*X,Y,SIZE"),
        (("--driving-crop", "1,2"), r"--driving-crop is '1,2'"),
        (("--crop", "60,60,10"), r"60,60,10 reaches beyond .*puppet044#00.*--pad"),
        (("--crop", "face"), r"No face.*puppet044#00"),
        (("--reference-frame", "20"), r"puppet052#01\.webp has no frame 20.*--reference-frame"),
        (("--reference-frame", "0", "--find-best-frame"), r"leave one out"),
        (("--find-best-frame", "--mode", "standard"), r"standard starts from no frame.*--mode relative"),
        (("--run", "nobody"), r"no weights of a run 'nobody'; .*puppets/fomm, .*puppets/tps"),
        (("--dataset", "faces"), r"no weights of a run 'tps' of faces"),
        (("--mode", "avd", "--run", "fomm"), r"run 'fomm' has no AVD network weights/puppets/avd/fomm"),
        (("--out", "a.xyz"), r"Cannot write a\.xyz.*\.webp"),
    ],
)
def test_wrong_wishes_end_in_a_sentence_and_write_nothing(folder: Path, options: tuple[str, ...], message: str) -> None:
    with pytest.raises(UserError, match=message):
        animate(*options)
    assert [path.name for path in folder.iterdir()] == ["weights"]


@pytest.mark.parametrize("option", ["--source", "--driving"])
def test_what_is_animated_is_not_replaced(folder: Path, option: str) -> None:
    shutil.copy(CLIP, "mine.webp")
    with pytest.raises(UserError, match=r"mine\.webp.*another name for --out"):
        animate(option, "mine.webp", out=str(folder / "mine.webp"))
    assert Path("mine.webp").read_bytes() == CLIP.read_bytes()


def test_a_damaged_published_file_is_named(folder: Path) -> None:
    Path("weights").unlink()
    shutil.copytree(ROOT / "weights/puppets", "weights/puppets", ignore=shutil.ignore_patterns("*k*", "*seed*", "avd"))
    file = Path("weights/puppets/tps.safetensors")
    whole = file.read_bytes()
    file.write_bytes(whole[:-1])
    with pytest.raises(UserError, match=r"tps\.safetensors is not the file that tps\.json describes"):
        animate()
    file.write_bytes(whole)
    card = card_of(file).read_text()
    card_of(file).write_text(card.replace('"method": "tps"', '"method": "splines"'))
    with pytest.raises(UserError, match=r"tps\.json: method is 'splines'; choose one of tps"):
        animate()
    card_of(file).unlink()
    with pytest.raises(UserError, match=r"tps\.json"):
        animate()


def test_the_doctor_says_what_is_here_and_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    said = tpsm("doctor")
    for what in ("cores", "GB of memory", "GB of the disk", "GPU", "H.264", "AAC", "weights/puppets, published: fomm"):
        assert what in said
    for command in ("python -m eval weights fetch fan", "tpsm weights vgg19-torchvision", "tpsm import FILE"):
        assert f"type: {command}" in said
    assert max(map(len, said.splitlines())) <= 120


def test_the_doctor_helps_where_everything_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tpsm.cli.doctor._version", lambda package: "")
    said = tpsm("doctor")
    assert "type: uv pip install" in said and "type: git checkout params.yaml" in said
    Path("params.yaml").write_text("datasets: [")
    assert "type: git checkout params.yaml" in tpsm("doctor")
    for name in ("params.yaml", "scales"):
        Path(name).unlink(missing_ok=True)
        Path(name).symlink_to(ROOT / name)
    said = tpsm("doctor")
    assert " no  published: weights/puppets/tps.safetensors" in said and "type: git checkout weights" in said


def test_the_doctor_misses_no_weights_of_a_method_from_outside(folder: Path) -> None:
    for name in ("params.yaml", "scales"):
        shutil.copytree(ROOT / name, name) if (ROOT / name).is_dir() else shutil.copy(ROOT / name, name)
    params = Path("params.yaml")
    params.write_text(params.read_text().replace("  tps-seed1: {method: tps,", "  tps-seed1: {method: lab.method,"))
    Path("weights").unlink()
    said = tpsm("doctor")
    assert "weights/puppets/tps-seed2.safetensors" in said and "tps-seed1.safetensors" not in said
