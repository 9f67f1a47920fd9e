"""Scoring: the controls, a run's own rows, and outputs that do not fit."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from small_pipeline import EVALUATION, FRAMES, TESTS, animate, configure, dots, make_data, make_outputs, output_clip

from eval import metrics
from eval.__main__ import main
from eval.config import read_config
from eval.evaluators.features import load_evaluators
from eval.scoring import scorer
from eval.scoring.legacy_frames import Truncation, with_frames
from eval.scoring.pairs import read_pairs
from eval.scoring.scores_file import COLUMNS
from eval.stages.bench import bench
from eval.types import PIECE, Features, ScoredClip
from tpsm.core.clips import Clip
from tpsm.core.layout import Layout
from tpsm.data.clip import ClipFile, read_clip, write_clip


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Layout]:
    """A data set with outputs, trained evaluators and features, made once."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # the networks are too small to share
    layout = make_data(tmp_path_factory.mktemp("pipeline"))
    make_outputs(layout)
    for verb in ("evaluators", "features"):
        assert main([verb, "--dataset", "dots", "--root", str(layout.root)]) == 0
    yield layout
    torch.set_num_threads(threads)


@pytest.fixture
def layout(made: Layout, tmp_path: Path) -> Layout:
    """A copy that a test may spoil."""
    shutil.copytree(made.root, tmp_path / "copy", ignore=shutil.ignore_patterns("scores"))
    return Layout("dots", tmp_path / "copy")


def score(layout: Layout, run: str) -> pd.DataFrame:
    assert main(["score", "--dataset", "dots", "--run", run, "--root", str(layout.root)]) == 0
    return pd.read_parquet(layout.scores(run))


def refused(layout: Layout, run: str, capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["score", "--dataset", "dots", "--run", run, "--root", str(layout.root)]) == 2
    message = capsys.readouterr().err.strip().splitlines()[-1]
    assert not layout.scores(run).exists(), "a refused run must leave no scores"
    return message


def values(rows: pd.DataFrame, metric: str, mode: str = "", protocol: str = "strict") -> pd.Series:
    chosen = rows[(rows.metric == metric) & (rows["mode"] == mode) & (rows.protocol == protocol)]
    return chosen.set_index(["clip", "frame"])["value"]


def test_quality_was_measured_on_the_test_clips(made: Layout) -> None:
    quality = json.loads((made.evaluators / "quality.json").read_text())
    assert quality["landmarks"]["clips"] == quality["identity"]["clips"] == len(TESTS)
    assert quality["landmarks"]["median_error_px"] < 1


def test_real_frames_score_nothing_but_the_detectors_own_error(made: Layout) -> None:
    rows = score(made, "real")
    for metric in ("l1", "akd", "mkr", "aed"):
        for protocol, frames in (("strict", FRAMES - 1), ("legacy", FRAMES)):
            found = values(rows, metric, protocol=protocol)
            assert (found.dropna() == 0).all() and len(found) == len(TESTS) * frames
    for metric in ("epe_figure", "epe_background"):
        assert values(rows, metric).max() < 1e-4
    assert 0 < values(rows, "akd_truth").mean() < 1
    assert set(rows.task) == {"reconstruction"}


def test_a_copy_is_right_in_frame_0_alone(made: Layout) -> None:
    rows = score(made, "copy-source")
    for metric in ("l1", "akd"):
        legacy = values(rows, metric, protocol="legacy")
        first, later = legacy.xs(0, level="frame"), legacy.drop(0, level="frame")
        assert first.max() < 1e-4 and later.mean() > 10 * max(first.max(), 1e-4), metric
    for metric in ("l1", "akd", "epe_figure", "epe_background", "mkr", "aed", "landmarks_found"):
        assert 0 not in values(rows, metric).index.get_level_values("frame"), "strict means leave the source out"
    clip = dots("d#0", 5).frames  # the sixth clip of the set
    expected = np.abs(clip[2].astype(float) - clip[0]).mean() / 255
    assert values(rows, "l1")["d#0", 2] == pytest.approx(expected)


def test_rows_are_complete_sorted_and_repeatable(made: Layout) -> None:
    rows = score(made, "still")
    assert list(rows.columns) == COLUMNS
    pd.testing.assert_frame_equal(
        rows, rows.sort_values(["task", "mode", "metric", "protocol", "clip", "frame"], ignore_index=True)
    )
    assert set(rows.run) == {"still"} and set(rows.dataset) == {"dots"}
    assert not rows.duplicated(["task", "mode", "metric", "protocol", "clip", "frame"]).any()
    versions = {name: metrics.load(name)[0].version for name in set(rows.metric)}
    assert (rows.version == rows.metric.map(versions)).all()
    pd.testing.assert_frame_equal(rows, score(made, "still"))


def test_a_run_that_copies_equals_the_control(made: Layout) -> None:
    """One goes through the disk and the evaluators, the other through stored features."""
    run, control = score(made, "still"), score(made, "copy-source")
    for metric in ("akd", "mkr", "aed", "akd_truth"):
        np.testing.assert_allclose(values(run, metric), values(control, metric), atol=1e-4)
    # Motion is stored in half precision: steps of 2^-11 near the edges, times 15.5 px.
    for metric in ("epe_figure", "epe_background"):
        np.testing.assert_allclose(values(run, metric), values(control, metric), atol=5e-3)
    np.testing.assert_array_equal(values(run, "l1"), values(control, "l1"))
    assert (values(run, "l1", protocol="legacy") == 0.5).all(), "a model's legacy L1 is the one it recorded"


def test_animation_is_scored_against_source_and_driving(made: Layout) -> None:
    rows = score(made, "still")
    animation = rows[rows.task == "animation"]
    assert set(animation["mode"]) == {"standard", "relative", "copy-source", "driving"}
    assert set(animation["clip"]) == {"d#0--e#0", "e#1--d#1"}
    assert animation.set_index("clip").identity.to_dict() == {"d#0--e#0": "d", "e#1--d#1": "e"}
    np.testing.assert_allclose(values(animation, "aed", "standard"), 0, atol=1e-6)
    for metric in ("akd", "mkr", "pose"):
        np.testing.assert_array_equal(values(animation, metric, "driving").fillna(0), 0)
        np.testing.assert_allclose(
            values(animation, metric, "standard"), values(animation, metric, "copy-source"), atol=1e-4
        )
    assert (values(animation, "aed", "driving") > 0).all(), "the driving clip is of another identity"
    assert "l1" not in set(animation.metric)


def test_akd_is_left_out_of_relative_animation(made: Layout) -> None:
    rows = score(made, "still")
    rates = {"landmarks_found", "joints_found", "identity_found"}
    assert set(rows[rows["mode"] == "relative"].metric) == {"aed", "mkr", "pose", *rates}


def test_modes_are_those_of_the_configuration_and_not_those_on_disk(
    layout: Layout, capsys: pytest.CaptureFixture[str]
) -> None:
    animate(layout, [])
    assert set(score(layout, "still").task) == {"reconstruction"}, "what left the pipeline must not be scored"
    animate(layout, ["still"], avd=["still"])
    layout.scores("still").unlink()
    message = refused(layout, "still", capsys)
    assert "animation/avd/pairs.csv; run `tpsm animate-pairs --dataset dots --run still --mode avd` first." in message
    folder = layout.outputs("still") / "animation"
    shutil.copytree(folder / "relative", folder / "avd")
    assert {"standard", "relative", "avd"} <= set(score(layout, "still")["mode"])


def test_a_set_without_pairs_has_no_animation_rows(layout: Layout) -> None:
    for path in layout.outputs("still").glob("animation/*/pairs.csv"):
        path.write_text("pair,source,driving\n")
    assert set(score(layout, "still").task) == {"reconstruction"}


def test_names_that_look_like_nothing_are_names(tmp_path: Path) -> None:
    layout = Layout("dots", tmp_path)
    path = layout.outputs("tps") / "animation" / "standard" / "pairs.csv"
    path.parent.mkdir(parents=True)
    path.write_text("pair,source,driving\nNA--null,NA,null\n")
    assert read_pairs(layout, "tps", "standard").values.tolist() == [["NA--null", "NA", "null"]]


def test_motion_lies_under_the_encoded_name() -> None:
    assert Layout("dots").motion("tps", "a/b.c:d").name == "a%2Fb.c%3Ad.npz"


def test_without_evaluators_l1_and_epe_remain(layout: Layout) -> None:
    configure(layout, EVALUATION | {"evaluators": {"landmarks": None, "identity": None}})
    shutil.rmtree(layout.evaluators)
    shutil.rmtree(layout.features)
    assert main(["features", "--dataset", "dots", "--root", str(layout.root)]) == 0
    assert set(score(layout, "exact").metric) == {"l1", "epe_figure", "epe_background"}


def test_legacy_scores_see_truncated_frames(layout: Layout) -> None:
    """`exact` has the real frames, of which truncation takes one level off in every other frame."""
    calls = []
    rows = score(layout, "exact")
    for metric in ("l1", "akd", "mkr", "aed"):
        assert (values(rows, metric).dropna() == 0).all(), "rounded frames are the real ones"
    for metric in ("akd", "aed"):
        legacy = values(rows, metric, protocol="legacy").unstack("frame")
        assert (legacy[[0, 2]].fillna(0) == 0).all(axis=None) and (legacy[[1, 3]] > 0).any(axis=None), metric
    evaluators = load_evaluators(layout, read_config(layout))
    clip = read_clip(output_clip(layout, "exact", "d#0")).frames
    darker = clip - np.array([0, 1, 0, 1], np.uint8)[:, None, None, None]
    path = layout.rounded_up("exact", "d#0")
    truncation = Truncation(path, clip.size, "d#0.npz")
    np.testing.assert_array_equal(np.concatenate([truncation.next(some) for some in (clip[:1], clip[1:])]), darker)

    def counted(frames: np.ndarray) -> Features:
        calls.append(len(frames))
        return evaluators(frames)

    made = ScoredClip(clip, *vars(evaluators(clip)).values())
    again, whole = with_frames(made, darker, counted), evaluators(darker)
    assert calls == [2], "frames that truncation leaves alone are not looked at again"
    assert again.landmarks is not None and whole.landmarks is not None and again.embedding is not None
    np.testing.assert_allclose(again.landmarks.xy, whole.landmarks.xy, atol=1e-5)
    np.testing.assert_array_equal(again.landmarks.found, whole.landmarks.found)
    np.testing.assert_allclose(again.embedding, whole.embedding, atol=1e-5)
    assert with_frames(made, clip, counted) is made and calls == [2]


def test_only_configured_protocols_are_scored(layout: Layout) -> None:
    shutil.rmtree(layout.rounded_up("exact", "d#0").parent)
    configure(layout, EVALUATION | {"protocols": ["strict"]})
    assert set(score(layout, "exact").protocol) == {"strict"}, "and what legacy alone needs is not asked for"
    configure(layout, EVALUATION | {"protocols": ["legacy"], "metrics": ["l1", "epe"]})
    rows = score(layout, "still")
    assert set(rows.protocol) == {"legacy"} and set(rows.metric) == {"l1"} and set(rows.task) == {"reconstruction"}
    assert set(score(layout, "exact").protocol) == {"legacy"}, "L1 on floats needs no truncated frames"


def test_a_method_without_motion_has_no_epe(layout: Layout) -> None:
    needy = {"epe_figure", "epe_background"}
    assert needy <= set(score(layout, "exact").metric)
    shutil.rmtree(layout.outputs("exact") / "reconstruction" / "motion")
    assert not needy & set(score(layout, "exact").metric)


def test_a_fifth_metric_is_a_file_and_a_name(layout: Layout, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    code = (
        "import numpy as np\n"
        "from eval.metrics import Metric\n"
        "METRIC = Metric('peak', 'Peak', 'levels', True, 1, 'largest error of a frame')\n"
        "def score(generated, reference):\n"
        "    error = np.abs(generated.frames.astype(float) - reference.frames)\n"
        "    return error.max(axis=(1, 2, 3))\n"
    )
    (tmp_path / "peak.py").write_text(code)
    import eval.metrics

    monkeypatch.setattr(eval.metrics, "__path__", [*eval.metrics.__path__, str(tmp_path)])
    configure(layout, EVALUATION | {"metrics": ["l1", "peak"]})
    assert (values(score(layout, "exact"), "peak") == 0).all()
    assert values(score(layout, "still"), "peak").max() > 50


def test_scores_of_pieces_are_those_of_the_whole(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    for run in ("exact", "still", "real", "copy-source"):
        whole = score(layout, run)
        with monkeypatch.context() as patch:
            patch.setattr(scorer, "PIECE", 3)
            shutil.rmtree(layout.root / ".work", ignore_errors=True)
            layout.scores(run).unlink()
            pd.testing.assert_frame_equal(score(layout, run), whole, check_exact=False, atol=1e-4)


def test_features_of_pieces_are_those_of_the_whole(layout: Layout) -> None:
    evaluators = load_evaluators(layout, read_config(layout))
    frames = np.random.default_rng(0).integers(0, 256, (PIECE + 2, 32, 32, 3), dtype=np.uint8)
    with ClipFile(write_clip(layout.root, Clip("long", "long", frames, 25.0))) as clip:
        found, whole = evaluators.of_clip(clip), evaluators(frames)
    assert found.landmarks is not None and whole.landmarks is not None and found.embedding is not None
    np.testing.assert_allclose(found.landmarks.xy, whole.landmarks.xy, atol=1e-4)
    np.testing.assert_array_equal(found.landmarks.found, whole.landmarks.found)
    np.testing.assert_allclose(found.embedding, whole.embedding, atol=1e-5)
    assert Features.joined([Features(None, None)]) == Features(None, None)


@pytest.mark.parametrize("over_time", [False, True])
def test_a_metric_over_time_sees_whole_clips(
    layout: Layout, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, over_time: bool
) -> None:
    code = (
        "import numpy as np\n"
        "from eval.metrics import Metric\n"
        f"METRIC = Metric('{{name}}', 'Seen', 'frames', True, 1, 'frames at once', over_time={over_time})\n"
        "def score(generated, reference):\n"
        "    return np.full(len(generated.frames), float(len(reference.frames)))\n"
    )
    name = f"seen_{over_time}".lower()
    (tmp_path / f"{name}.py").write_text(code.format(name=name))
    monkeypatch.setattr(metrics, "__path__", [*metrics.__path__, str(tmp_path)])
    monkeypatch.setattr(scorer, "PIECE", 1)
    configure(layout, EVALUATION | {"metrics": ["l1", name]})
    assert set(values(score(layout, "exact"), name)) == {FRAMES if over_time else 1}


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda layout: shutil.rmtree(layout.outputs("exact")), "run the stage reconstruct of run 'exact'"),
        (lambda layout: output_clip(layout, "exact", "d#0").unlink(), "d#0.zip"),
        (lambda layout: output_clip(layout, "exact", "d#0").write_bytes(b"no zip"), "corrupt"),
        (
            lambda layout: write_clip(output_clip(layout, "exact", "d#0").parent, dots("d#0", 0, frames=2)),
            "d#0.zip has 2 frames where 4 are due",
        ),
        (
            lambda layout: write_clip(
                output_clip(layout, "exact", "d#0").parent, Clip("d#0", "d", np.zeros((4, 8, 8, 3), np.uint8), 25.0)
            ),
            "at another size",
        ),
        (
            lambda layout: layout.rounded_up("exact", "d#0").unlink(),
            "reconstruction/rounded_up/d#0.npz, which the legacy protocol needs; run the stage reconstruct again.",
        ),
        (
            lambda layout: np.savez(layout.rounded_up("exact", "d#0"), bits=np.zeros(9, np.uint8)),
            "rounded_up/d#0.npz holds an array 'bits' of shape",
        ),
        (lambda layout: shutil.rmtree(layout.features), "python -m eval features --dataset dots"),
        (lambda layout: shutil.rmtree(layout.evaluators), "python -m eval evaluators --dataset dots"),
        (
            lambda layout: np.savez(
                layout.outputs("exact") / "reconstruction/motion/d#0.npz", grid=np.zeros((3, 8, 8, 2), np.float32)
            ),
            "'grid' of shape (3, 8, 8, 2), not (4, 32, 32, 2)",
        ),
        (
            lambda layout: pd.DataFrame({"clip": ["d#0"], "frame": [0], "l1": [0.1]}).to_parquet(
                layout.outputs("exact") / "reconstruction/l1.parquet"
            ),
            "does not cover 'd#0'",
        ),
        (
            lambda layout: configure(
                layout,
                EVALUATION
                | {"evaluators": EVALUATION["evaluators"] | {"landmarks": {"kind": "heatmap", "size": 32, "width": 4}}},
            ),
            "does not fit evaluation.dots.evaluators.landmarks",
        ),
    ],
    ids=[
        *("outputs", "clip", "corrupt", "frames", "size", "no-bits", "bits", "features"),
        *("evaluators", "motion", "l1", "other-network"),
    ],
)
def test_what_does_not_fit_is_named(spoil, says: str, layout: Layout, capsys: pytest.CaptureFixture[str]) -> None:
    spoil(layout)
    message = refused(layout, "exact", capsys)
    assert says in message and message.endswith("."), message


def test_a_pair_of_unknown_clips_is_named(layout: Layout, capsys: pytest.CaptureFixture[str]) -> None:
    (layout.outputs("still") / "animation/standard/pairs.csv").write_text("pair,source,driving\nx--d#0,x,d#0\n")
    assert "the clip 'x'" in refused(layout, "still", capsys)


def test_the_bench_counts_what_goes_through_the_evaluators(made: Layout, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["bench", "--dataset", "dots", "--root", str(made.root)]
    frames = len(TESTS) * FRAMES
    cost = bench(made, "exact", 20)
    # Five clips of four frames, the first one twice; truncation changes every other frame.
    assert cost.frames == 20 and cost.seen == {"landmarks": 30, "identity": 30} and 0 < cost.forward < cost.total
    assert bench(made, "still", frames).seen == {"landmarks": frames, "identity": frames}
    assert main([*arguments, "--run", "still", "--frames", "4"]) == 0
    text = capsys.readouterr().out
    assert "4 frames through landmarks" in text and "the bound of 1.1" in text
    assert main([*arguments, "--run", "real"]) == 2
    assert "'real' is a control" in capsys.readouterr().err


def test_help_teaches(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["--help"], ["score", "--help"]):
        assert main(arguments) == 0
    text = capsys.readouterr().out
    assert "python -m eval features --dataset D" in text and "copy-source" in text
