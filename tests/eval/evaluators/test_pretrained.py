"""Pretrained evaluators on real clips of faces and people where those and the weights are here, and without either."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
import real_clips
import torch
from real_clips import FACES, PEOPLE, frames
from scipy.ndimage import gaussian_filter
from small_pipeline import configure, dots, make_data

from eval import metrics, weights
from eval.__main__ import main
from eval.evaluators import dlib68, dlib_face, fan, heatmap, rtmpose
from eval.scoring.quality import MOVE, identity_quality, landmark_quality, moved
from eval.scoring.scores_file import about_scores
from eval.types import PROTOCOLS, Landmarks, Protocol, ScoredClip
from tpsm.core.clips import Clip
from tpsm.core.errors import UserError, package
from tpsm.core.layout import Layout
from tpsm.data.clip import write_clip
from tpsm.data.video import write_video

FOLDER = real_clips.ROOT / weights.FOLDER


def lacking(names: Sequence[str], distribution: str) -> str:
    """Why a test cannot run here; nothing where it can."""
    if absent := [name for name in names if weights.entry(name).state(FOLDER) != "present"]:
        return f"no weights: python -m eval weights fetch {' '.join(absent)}"
    if real_clips.missing():
        return "no real clips: tpsm fetch faces; tpsm fetch people"
    try:
        package({"dlib-bin": "dlib"}.get(distribution, distribution), distribution, "")
    except UserError as error:
        return str(error)
    return ""


FACE_REASON = lacking(dlib_face.NEEDS, "dlib-bin")
BODY_REASON = lacking(rtmpose.NEEDS, "onnxruntime")
real_faces = pytest.mark.skipif(bool(FACE_REASON), reason=FACE_REASON)
real_people = pytest.mark.skipif(bool(BODY_REASON), reason=BODY_REASON)
FACE, PERSON = pytest.param("dlib68", FACES, marks=real_faces), pytest.param("rtmpose", PEOPLE, marks=real_people)


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Threads that wait for each other on busy cores take far longer than one."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@cache
def evaluator(kind: str) -> Any:
    modules: dict[str, Any] = {"dlib68": dlib68, "dlib-face": dlib_face, "rtmpose": rtmpose}
    return modules[kind].train(modules[kind].Config(weights=str(FOLDER)), [], "key")


def landmarks(kind: str, pictures: np.ndarray) -> ScoredClip:
    return ScoredClip(pictures, landmarks=evaluator(kind)(pictures))


def score(metric: str, generated: ScoredClip, real: ScoredClip, protocol: Protocol = "strict") -> np.ndarray:
    return metrics.load(metric)[1][protocol](generated, real)


def mean(metric: str, generated: ScoredClip, real: ScoredClip, protocol: Protocol = "strict") -> float:
    return float(np.nanmean(score(metric, generated, real, protocol)))


@pytest.mark.parametrize(("kind", "clips"), [FACE, PERSON])
def test_a_clip_moved_by_2_and_1_px_has_the_akd_of_arithmetic(kind: str, clips: tuple[str, ...]) -> None:
    for name in clips:
        real = landmarks(kind, frames(name, 8, every=4))
        again = landmarks(kind, moved(real.frames))
        assert real.landmarks is not None and again.landmarks is not None
        assert real.landmarks.found.all(axis=1).mean() > 0.9
        assert mean("mkr", again, real) < 0.05
        offset = again.landmarks.pixels(*again.size) - real.landmarks.pixels(*real.size)
        both = real.landmarks.found & again.landmarks.found
        noise = np.linalg.norm(offset - MOVE, axis=-1)[both].mean()
        assert noise < 0.9, f"{name}: the detector's own noise, px"
        # Each joint's noise may add to the distance, at most in full; its mean over joints and frames is far less.
        assert mean("akd", again, real) == pytest.approx(5**0.5, abs=noise)
        coordinates = np.abs(offset - MOVE)[both].mean()
        assert mean("akd", again, real, "legacy") == pytest.approx(1.5, abs=coordinates)
        np.testing.assert_allclose(offset[both].mean(axis=0), MOVE, atol=0.25)


@pytest.mark.parametrize(("kind", "clips"), [FACE, PERSON])
def test_what_spoils_a_picture_moves_akd_and_mkr(kind: str, clips: tuple[str, ...]) -> None:
    rng = np.random.default_rng(0)
    real, other = (landmarks(kind, frames(name, 4, every=10)) for name in clips[-2:])
    pictures = real.frames.astype(np.float64)

    def spoilt(changed: np.ndarray) -> ScoredClip:
        return landmarks(kind, changed.clip(0, 255).astype(np.uint8))

    floor = mean("akd", spoilt(pictures + rng.integers(-1, 2, pictures.shape)), real)
    assert mean("akd", real, real) == mean("mkr", real, real) == 0 < floor < 0.9
    noisy, blurred = pictures + rng.normal(0, 40, pictures.shape), gaussian_filter(pictures, (0, 4, 4, 0))
    for worse in (spoilt(noisy), spoilt(blurred), other):
        strict, legacy = (mean("akd", worse, real, protocol) for protocol in PROTOCOLS)
        # The mean of |x| and |y| lies between half the hypotenuse and 1 / sqrt(2) of it.
        assert strict > 2 * floor and strict / 2 <= legacy <= strict / 2**0.5
        assert mean("l1", worse, real) > 5 * mean("l1", spoilt(pictures + 1), real)
    assert mean("akd", other, real) > 5, "another figure in another place"
    covered = pictures.copy()
    covered[:, covered.shape[1] // 2 :] = 128
    assert mean("mkr", spoilt(covered), real) > 0.2
    assert mean("joints_found", spoilt(covered), real) < mean("joints_found", real, real) - 0.1


@real_faces
def test_the_same_person_is_nearer_than_others() -> None:
    seen = {name: evaluator("dlib-face")(frames(name, 4, every=15)) for name in FACES}

    def distances(one: str, other: str) -> np.ndarray:
        return np.linalg.norm(seen[one][:, None] - seen[other], axis=-1)

    same = max(distances(name, name).max() for name in FACES)
    others = min(distances(one, other).min() for one in FACES for other in FACES if one < other)
    assert 0 < same < 0.6 < others  # what the network was trained to part people by
    for name in FACES:
        ranked = sorted(FACES, key=lambda other: distances(name, other)[0, 1:].mean())
        assert ranked[0] == name, "another moment of the same person comes first"


@real_faces
def test_what_spoils_a_face_moves_aed() -> None:
    rng = np.random.default_rng(0)

    def seen(pictures: np.ndarray) -> ScoredClip:
        shown = pictures.clip(0, 255).astype(np.uint8)
        return ScoredClip(shown, embedding=evaluator("dlib-face")(shown))

    real, other = seen(frames("langer", 3, every=10)), seen(frames("single", 3, every=10))
    grain = seen(real.frames.astype(np.int64) + rng.integers(-1, 2, real.frames.shape))
    shifted, noisy = seen(moved(real.frames)), seen(real.frames + rng.normal(0, 40, real.frames.shape))
    blurred = seen(gaussian_filter(real.frames, (0, 4, 4, 0)))
    for protocol, power in (("strict", 1), ("legacy", 2)):
        for same in (grain, shifted):
            assert mean("aed", same, real, protocol) < 0.15**power  # type: ignore[arg-type]
        for worse in (noisy, blurred):
            values = mean("aed", worse, real, protocol), mean("aed", other, real, protocol)  # type: ignore[arg-type]
            assert 0.2**power < values[0] < values[1]
    np.testing.assert_allclose(score("aed", other, real, "legacy"), score("aed", other, real) ** 2)


@pytest.mark.parametrize(
    "kind", [pytest.param(k, marks=m) for k, m in (("dlib68", real_faces), ("rtmpose", real_people))]
)
def test_frames_where_nothing_is_found_count_as_missed(kind: str) -> None:
    name = FACES[-1] if kind == "dlib68" else PEOPLE[0]
    pictures = frames(name, 3, every=5).copy()
    real = landmarks(kind, pictures.copy())
    pictures[1] = 90
    seen = landmarks(kind, pictures)
    assert seen.landmarks is not None and not seen.landmarks.found[1].any() and seen.landmarks.found[[0, 2]].any()
    for protocol in PROTOCOLS:
        akd, mkr = (score(name, seen, real, protocol) for name in ("akd", "mkr"))
        assert np.isnan(akd).tolist() == [False, True, False] and mkr.tolist() == [0, 1, 0]
    assert score("landmarks_found", seen, real).tolist() == [1, 0, 1]
    assert score("joints_found", seen, real)[1] == 0, "what AKD leaves out without a word is told here"
    assert np.isfinite(seen.landmarks.xy).all()
    empty = landmarks(kind, np.zeros_like(pictures))
    assert empty.landmarks is not None and not empty.landmarks.found.any()


@real_faces
def test_frames_without_a_face_have_no_embedding_and_do_not_count(tmp_path: Path) -> None:
    pictures = frames("single", 3, every=5).copy()
    pictures[1] = 90
    embedding = evaluator("dlib-face")(pictures)
    assert np.isnan(embedding).all(axis=1).tolist() == [False, True, False]
    real = ScoredClip(pictures, embedding=embedding)
    assert np.isnan(score("aed", real, real)).tolist() == [False, True, False]
    assert score("identity_found", real, real).tolist() == [1, 0, 1]
    blank = np.full_like(pictures, 90)
    clips = [
        write_clip(tmp_path, Clip(name, name, shown, 25.0)) for name, shown in (("one", pictures), ("none", blank))
    ]
    quality = identity_quality(evaluator("dlib-face"), clips)
    assert quality["frames_found"] == pytest.approx(2 / 6, abs=1e-4) and quality["other_identity_distance"] is None
    assert identity_quality(evaluator("dlib-face"), clips[1:])["same_clip_aed"] is None


@pytest.mark.parametrize(("kind", "clips"), [FACE, PERSON])
def test_places_do_not_depend_on_the_size_or_the_company(kind: str, clips: tuple[str, ...]) -> None:
    pictures = frames(clips[0], 3, every=20)
    many = evaluator(kind)(pictures)
    alone = evaluator(kind)(pictures[1:2])
    np.testing.assert_allclose(alone.xy[0], many.xy[1], atol=1e-4)
    small = pictures.reshape(3, 128, 2, 128, 2, 3).mean(axis=(2, 4)).round().astype(np.uint8)
    half = evaluator(kind)(small)
    both = half.found & many.found
    assert both.mean() > 0.9
    # A pixel of the small picture is the mean of four: its centre is half a pixel off its first one's.
    error = np.abs(2 * half.pixels(128, 128) + 0.5 - many.pixels(256, 256))[both]
    assert error.mean() < 2


@real_faces
def test_the_whole_way_on_real_faces(tmp_path: Path) -> None:
    layout = make_data(tmp_path, train=())
    clips = {"d#0": ("langer", 0), "d#1": ("langer", 300), "e#0": ("single", 0), "e#1": ("single", 40)}
    for name, (clip, first) in clips.items():
        shown = frames(clip, 4, every=3, first=first)
        write_clip(layout.clips / "test", Clip(name, name[0], shown, 25.0))
    section = {"kind": "dlib68", "weights": str(FOLDER)}
    configure(
        layout,
        {
            "evaluators": {"landmarks": section, "identity": section | {"kind": "dlib-face"}},
            "metrics": ["akd", "mkr", "aed"],
            "bootstrap": {"samples": 100},
            "figures": {"clips": 1, "frames": 2},
        },
    )
    for verb in ("evaluators", "features", "score --run real", "score --run copy-source", "report"):
        assert main([*verb.split(), "--dataset", "dots", "--root", str(tmp_path)]) == 0
    quality = json.loads((layout.evaluators / "quality.json").read_text())
    faces, people = quality["landmarks"], quality["identity"]
    assert faces["frames_found"] == people["frames_found"] == 1 and people["auc"] == people["rank_1"] == 1
    assert faces["moved_akd"] == pytest.approx(faces["moved_akd_by_arithmetic"], abs=0.3) and faces["shift_akd"] < 0.9
    assert faces["median_error_px"] is None and faces["pretrained"]["weights"].keys() == {"dlib-landmarks"}
    page = (layout.report / "README.md").read_text()
    assert "dlib68, pretrained: dlib-landmarks" in page and "Models were trained on the 0 training clips" in page
    check_that_features_belong_to_their_evaluators(layout, section)


def check_that_features_belong_to_their_evaluators(layout: Layout, section: dict) -> None:
    """Kept where clip and evaluators are the same, and refused or made anew where they are not."""
    arguments = ["--dataset", "dots", "--root", str(layout.root)]
    stored = {path: path.stat().st_mtime_ns for path in layout.features.iterdir()}
    stranger = layout.features / "gone.npz"
    stranger.write_bytes(b"")
    assert main(["features", *arguments]) == 0
    assert {path: path.stat().st_mtime_ns for path in layout.features.iterdir()} == stored
    configure(layout, {"evaluators": {"landmarks": section | {"size": 300}}, "metrics": ["akd"]})
    assert main(["features", *arguments]) == 2, "evaluators/ records another size"
    assert main(["evaluators", *arguments]) == main(["features", *arguments]) == 0
    assert all(path.stat().st_mtime_ns > at for path, at in stored.items())


@real_faces
def test_a_record_stands_for_the_weights(tmp_path: Path) -> None:
    detector = evaluator("dlib68")
    path = tmp_path / "landmarks.pt"
    detector.save(path)
    config = dlib68.Config(weights=str(FOLDER))
    record = json.loads(path.read_text())
    assert record["weights"] == {"dlib-landmarks": weights.entry("dlib-landmarks").sha256}
    assert record["settings"] == {"size": 256} and record["packages"].keys() == {"dlib-bin"}
    assert dlib68.load(config, path).record == record
    with pytest.raises(
        UserError, match=r'landmarks\.pt was made with other settings \({"size": 256}, now {"size": 300}'
    ):
        dlib68.load(replace(config, size=300), path)
    path.write_text(json.dumps(record | {"packages": {"dlib-bin": "1"}}))
    with pytest.raises(UserError, match="with other packages"):
        dlib68.load(config, path)
    for content in (b"\x80 a network", b"[]"):
        path.write_bytes(content)
        with pytest.raises(UserError, match="with other kind"):
            dlib68.load(config, path)


def test_a_record_is_no_network(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    layout = make_data(tmp_path)
    layout.networks.mkdir(parents=True)
    (layout.networks / "landmarks.pt").write_text("{}")
    configure(layout, {"evaluators": {"landmarks": {"kind": "heatmap"}}, "metrics": ["akd"]})
    assert main(["features", "--dataset", "dots", "--root", str(tmp_path)]) == 2
    assert "landmarks.pt does not fit evaluation.dots.evaluators.landmarks" in capsys.readouterr().err


def stub(monkeypatch: pytest.MonkeyPatch, module: ModuleType) -> None:
    """The evaluator's package as an empty one: weights are asked for before it is used."""
    library = ModuleType("stub")
    library.get_frontal_face_detector = lambda: None  # type: ignore[attr-defined]
    monkeypatch.setattr(module, "package", lambda *_: library)


@pytest.mark.parametrize(
    ("module", "patched", "name"),
    [
        (dlib68, dlib68, "dlib-landmarks"),
        (dlib_face, dlib68, "dlib-landmarks"),
        (fan, fan, "fan"),
        (rtmpose, rtmpose, "rtmpose-s"),
    ],
)
def test_missing_weights_say_what_to_type(
    module: Any, patched: ModuleType, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stub(monkeypatch, patched)
    with pytest.raises(UserError, match=rf"There is no .*; type `python -m eval weights fetch {name} --folder .*` to"):
        module.train(module.Config(weights=str(tmp_path)), [], "key")
    assert not list(tmp_path.iterdir()), "nothing is fetched unasked"


@pytest.mark.parametrize(
    ("module", "missing", "distribution"),
    [
        (dlib68, "dlib", "dlib-bin"),
        (dlib_face, "dlib", "dlib-bin"),
        (fan, "face_alignment", "face-alignment"),
        (rtmpose, "onnxruntime", "onnxruntime"),
    ],
)
def test_a_missing_package_is_named(
    module: Any, missing: str, distribution: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(UserError, match=f"needs the package {distribution} .*type `pip install {distribution}`"):
        module.train(module.Config(), [], "key")


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: dlib68.Config(size=79), "size"),
        (lambda: dlib_face.Config(batch=0), "batch"),
        (lambda: fan.Config(threshold=1.0), "threshold"),
        (lambda: rtmpose.Config(threshold=0.0), "threshold"),
    ],
)
def test_bad_settings_are_refused(make: Callable[[], object], field: str) -> None:
    with pytest.raises(ValueError, match=f"^{field}: "):
        make()


def test_a_detector_of_other_joints_is_not_held_against_the_truth(tmp_path: Path) -> None:
    class Corner:
        """One joint, always found, in the corner."""

        def __call__(self, pictures: np.ndarray) -> Landmarks:
            count = len(pictures)
            return Landmarks(np.full((count, 1, 2), -1, np.float32), np.ones((count, 1), bool))

        def save(self, path: Path) -> None:
            raise NotImplementedError

    quality = landmark_quality(Corner(), [write_clip(tmp_path, dots("a#0", 0))])
    assert quality["frames_found"] == quality["joints_found"] == 1
    assert quality["median_error_px"] is quality["visible_found"] is quality["share_within_2_px"] is None
    assert quality["moved_akd"] == 0 and quality["shift_akd"] == pytest.approx(5**0.5, abs=1e-5)
    clip = dots("a#0", 0)
    seen = ScoredClip(clip.frames, Corner()(clip.frames), truth=clip.truth)
    with pytest.raises(UserError, match="akd_truth needs a detector of the set's own joints"):
        score("akd_truth", seen, seen)


def test_peaks_are_found_between_cells() -> None:
    cells = np.arange(40, dtype=np.float32)
    places = np.array([7.3, 0, 39, 20.5], np.float32)
    scores = 1 - np.square((cells - places[:, None]) / 9)[None]
    found, height = rtmpose.peaks(scores.astype(np.float32))
    np.testing.assert_allclose(found[0] * rtmpose.BINS, places, atol=1e-3)
    np.testing.assert_allclose(height, 1, atol=0.01)


def test_a_box_shows_what_its_numbers_say() -> None:
    y, x = torch.meshgrid(torch.arange(60.0), torch.arange(80.0), indexing="ij")
    images = torch.stack([x, y, x + y])[None].to(torch.uint8)
    shown = rtmpose.cut(images, np.array([[40.0, 30.0, 24.0]]))  # a pixel of the box is an eighth of one
    np.testing.assert_allclose(shown[0, 0, 128], 40 + (np.arange(192) - 96) / 8, atol=1e-3)
    np.testing.assert_allclose(shown[0, 1, :, 96], 30 + (np.arange(256) - 128) / 8, atol=1e-3)


def test_the_second_look_is_about_what_was_found() -> None:
    whole = rtmpose.whole(3, 100, 200)
    assert whole[0].tolist() == [99.5, 49.5, 200]
    points = np.array([[10.0, 20], [40, 100], [30, 60]])[None].repeat(3, axis=0)
    found = np.array([[True] * 3, [True, True, False], [True] * 3])
    points[2] = 5
    boxes = rtmpose.about(points, found, whole)
    assert boxes[0].tolist() == [25, 60, 1.25 * 80 * 192 / 256]
    assert (boxes[1:] == whole[1:]).all(), "too few joints, or all in one place"


@pytest.fixture
def random_fan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """FAN and S3FD with random weights, in files that a manifest pins."""
    models = pytest.importorskip("face_alignment.models")
    net_s3fd = pytest.importorskip("face_alignment.detection.sfd.net_s3fd")
    torch.manual_seed(0)
    entries = {}
    for name, network in (("fan", models.FAN(4)), ("s3fd", net_s3fd.s3fd())):
        path = tmp_path / weights.entry(name).file
        torch.save(network.state_dict(), path)
        entries[name] = replace(weights.entry(name), sha256=hashlib.sha256(path.read_bytes()).hexdigest()[:10])
    monkeypatch.setattr(weights, "entries", lambda: entries)
    return tmp_path


@pytest.mark.slow  # half a minute
def test_fan_in_batches_is_the_librarys_own(random_fan: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library = pytest.importorskip("face_alignment")
    hub = random_fan / "hub" / "checkpoints"
    hub.mkdir(parents=True)
    (hub / weights.entry("fan").file).symlink_to(random_fan / weights.entry("fan").file)
    monkeypatch.setenv("TORCH_HOME", str(random_fan))
    whole = library.FaceAlignment(
        library.LandmarksType.TWO_D,
        device="cpu",
        flip_input=False,
        compile=False,
        face_detector_kwargs={"path_to_detector": str(random_fan / weights.entry("s3fd").file)},
    )
    mine = fan.train(fan.Config(batch=2, weights=str(random_fan)), [], "key")
    pictures = np.random.default_rng(0).integers(0, 256, (3, 96, 96, 3), np.uint8)
    boxes = [np.array([[12.0 + i, 8, 70, 80 - i, 0.9], [0, 0, 30, 30, 0.6]]) for i in range(3)]
    boxes[1] = boxes[1][:0]  # no face there
    chunks = iter([boxes[:2], boxes[2:]])
    monkeypatch.setattr(mine.detector, "detect_from_batch", lambda images: next(chunks))
    seen = mine(pictures)
    assert seen.found.all(axis=1).tolist() == [True, False, True]
    for index in (0, 2):
        expected = whole.get_landmarks_from_image(pictures[index], detected_faces=boxes[index])[0]
        np.testing.assert_allclose(seen.pixels(96, 96)[index], expected, atol=1e-3)


def test_fans_detector_runs_on_local_weights(random_fan: Path) -> None:
    mine = fan.train(fan.Config(weights=str(random_fan), threshold=0.999), [], "key")
    seen = mine(np.zeros((2, 64, 64, 3), np.uint8))
    assert seen.xy.shape == (2, 68, 2) and not seen.found.any()
    mine.save(random_fan / "landmarks.pt")
    again = fan.load(fan.Config(weights=str(random_fan), threshold=0.999), random_fan / "landmarks.pt")
    assert again.record["weights"].keys() == {"fan", "s3fd"}


def test_every_kind_is_a_file_with_the_same_parts() -> None:
    from eval.evaluators import KINDS, EvaluatorModule, evaluator_module
    from eval.types import ROLES

    for role in ROLES:
        for kind in KINDS[role]:
            module, config = evaluator_module(role, {"kind": kind}, "key")
            assert isinstance(module, EvaluatorModule) and config.kind == kind
    assert heatmap.Config().kind == "heatmap"


@real_faces
def test_faces_from_anywhere_are_scored_without_a_data_set(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, first in (("one", 0), ("two", 40)):
        shown = frames("single", 3, every=3, first=first)
        write_video(tmp_path / "real" / f"{name}.png", shown)
        write_video(tmp_path / "made" / f"{name}.png", moved(shown))
    kinds = {"landmarks": "dlib68", "identity": "dlib-face"}
    options = [f"--{role}={{kind: {kind}, weights: '{FOLDER}'}}" for role, kind in kinds.items()]
    out = tmp_path / "scores.parquet"
    folders = ["--real", str(tmp_path / "real"), "--generated", str(tmp_path / "made")]
    assert main(["score", *folders, *options, "--out", str(out)]) == 0
    page = capsys.readouterr().out
    assert "2 of 2 real clips" in page and all(title in page for title in ("L1 ↓", "AKD ↓", "MKR ↓", "AED ↓"))
    rows = pd.read_parquet(out)
    legacy = rows[(rows.metric == "akd") & (rows.protocol == "legacy")]
    assert legacy.value.mean() == pytest.approx(np.mean(MOVE), abs=0.3)
    assert about_scores(out)["provenance"]["evaluators"].keys() == {"dlib-landmarks", "dlib-identity"}
