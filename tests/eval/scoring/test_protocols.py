"""The legacy protocol against the papers' program, written out from its description in lists and loops."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from papers_program import PAPERS, as_file
from small_pipeline import EVALUATION, configure, make_data

from eval import metrics
from eval.__main__ import main
from eval.config import read_config
from eval.stats.config import BootstrapConfig
from eval.stats.intervals import ClipSums, mean
from eval.tables.results import Results, Series
from eval.types import Landmarks, ScoredClip
from tpsm.core.layout import Layout

HEIGHT, WIDTH = 48, 64


@st.composite
def features(draw: st.DrawFn, frames: int, joints: int, face: bool) -> ScoredClip:
    """A face is found with all its points or not at all; of a body, any joints."""
    xy = draw(arrays(np.float32, (frames, joints, 2), elements=st.floats(-1.25, 1.25, width=32, allow_subnormal=False)))
    found = draw(arrays(bool, (frames, 1 if face else joints)))
    embedding = draw(arrays(np.float32, (frames, 3), elements=st.floats(-1, 1, width=32, allow_subnormal=False)))
    blank = np.zeros((frames, HEIGHT, WIDTH, 3), np.uint8)
    return ScoredClip(blank, Landmarks(xy, np.repeat(found, joints, axis=1) if face else found), embedding)


@st.composite
def clips(draw: st.DrawFn) -> list[tuple[ScoredClip, ScoredClip]]:
    """Real and generated clips."""
    face, joints = draw(st.booleans()), draw(st.integers(1, 4))
    lengths = draw(st.lists(st.integers(1, 5), min_size=1, max_size=6))
    return [(draw(features(n, joints, face)), draw(features(n, joints, face))) for n in lengths]


def rows(made: list[tuple[ScoredClip, ScoredClip]], metric: str) -> pd.DataFrame:
    score = metrics.load(metric)[1]["legacy"]
    tables = []
    for index, (real, generated) in enumerate(made):
        value = score(generated, real)
        about = {"clip": f"{index:02}", "identity": str(index % 2), "frame": np.arange(len(value))}
        tables.append(pd.DataFrame(about | {"value": value}))
    return pd.concat(tables)


@settings(max_examples=150)
@given(made=clips(), unit=st.sampled_from(["clip", "identity"]))
def test_legacy_means_are_those_of_the_papers_program(made: list[tuple[ScoredClip, ScoredClip]], unit: str) -> None:
    real, generated = ([as_file(pair[side]) for pair in made] for side in (0, 1))
    for metric, program in PAPERS.items():
        expected = program(real, generated)
        estimate = mean(ClipSums.of(rows(made, metric), unit, "frame"), BootstrapConfig(samples=100))
        if not expected:
            assert estimate is None, metric
            continue
        assert estimate is not None and estimate.frames == len(expected), metric
        assert estimate.mean == pytest.approx(np.mean(expected), rel=1e-12, abs=1e-15), metric


def test_the_order_of_many_frames_does_not_reach_the_twelfth_digit() -> None:
    """Sums a clip, then over clips, where the program takes one mean over all frames."""
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"clip": rng.integers(0, 500, 200_000).astype(str), "value": rng.lognormal(0, 3, 200_000)})
    estimate = mean(ClipSums.of(table, "clip", "frame"), BootstrapConfig(samples=100))
    assert estimate is not None
    assert estimate.mean == pytest.approx(math.fsum(table["value"]) / len(table), rel=1e-12)
    assert estimate.mean == pytest.approx(np.mean(list(table["value"])), rel=1e-12)


@pytest.fixture
def scored(tmp_path: object) -> Layout:
    layout = make_data(tmp_path, train=())  # type: ignore[arg-type]
    configure(layout, {"bootstrap": {"samples": 100}, "metrics": ["l1"], "tables": {"reconstruction": []}})
    for verb in ("features", "score --run copy-source"):
        assert main([*verb.split(), "--dataset", "dots", "--root", str(layout.root)]) == 0
    return layout


def test_frame_0_counts_in_legacy_alone(scored: Layout) -> None:
    results = Results(scored, read_config(scored))
    strict = results.estimate(Series("copy-source"), "l1")
    legacy = results.estimate(Series("copy-source", protocol="legacy"), "l1")
    assert strict is not None and legacy is not None
    assert (strict.frames, legacy.frames) == (12, 16)
    assert legacy.mean == pytest.approx(strict.mean * 12 / 16, rel=1e-12), "the copy's frame 0 is right"


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda rows: rows.assign(version=1), "has l1 by version 1 of its formula, and the code is at version 2; run"),
        (lambda rows: rows.drop(columns="protocol"), "lacks the column 'protocol'; run"),
    ],
)
def test_scores_of_another_version_are_refused(
    spoil, says: str, scored: Layout, capsys: pytest.CaptureFixture[str]
) -> None:
    path = scored.scores("copy-source")
    spoil(pd.read_parquet(path)).to_parquet(path)
    assert main(["report", "--dataset", "dots", "--root", str(scored.root)]) == 2
    message = capsys.readouterr().err.strip()
    command = "`python -m eval score --dataset dots --run copy-source` again."
    assert message.endswith(f"scores/dots/copy-source.parquet {says} {command}")


def test_what_is_not_configured_any_more_is_not_read(scored: Layout) -> None:
    path = scored.scores("copy-source")
    old = pd.read_parquet(path).assign(metric="akd", version=1)
    pd.concat([pd.read_parquet(path), old]).to_parquet(path)
    found = Results(scored, read_config(scored)).as_dict()
    assert found.keys() == {"copy-source"} and set(found["copy-source"]["legacy"]) == {"l1"}


@pytest.mark.parametrize("protocols", [[], ["strict", "strict"], ["papers"]])
def test_wrong_protocols_are_named(protocols: list[str], scored: Layout, capsys: pytest.CaptureFixture[str]) -> None:
    configure(scored, EVALUATION | {"protocols": protocols})
    assert main(["report", "--dataset", "dots", "--root", str(scored.root)]) == 2
    assert "evaluation.dots.protocols" in capsys.readouterr().err
