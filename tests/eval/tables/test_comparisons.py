"""Pairs of runs, seeds and verdicts: on scores whose differences are known."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from small_pipeline import TESTS, configure, make_data, score

from eval import metrics
from eval.config import read_config
from eval.report.findings import answer
from eval.report.question import Finding
from eval.stats.config import BootstrapConfig
from eval.stats.intervals import Estimate
from eval.stats.pairwise import compare
from eval.tables.build import build_tables
from eval.tables.published import PublishedRow, PublishedSet
from eval.tables.results import Results
from eval.tables.table import Missing, Table, Value, text, to_csv
from eval.tables.verdict import verdict
from tpsm.core.errors import UserError
from tpsm.core.layout import Layout

CONFIG = BootstrapConfig(samples=500)
CLIPS = [f"{identity}#{n}" for identity in "abcdefghij" for n in range(2)]
L1 = metrics.load("l1")[0]


def rows(add: float, noise: float = 0.01, seed: int = 0, clips: tuple[str, ...] = tuple(CLIPS)) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    hard, own = rng.gamma(4, 0.25, len(clips)), np.random.default_rng(seed).normal(0, noise, len(clips))
    table = pd.DataFrame({"clip": clips, "identity": [clip[0] for clip in clips], "value": hard + own + add})
    return pd.concat([table.assign(frame=frame) for frame in range(3)], ignore_index=True)


def test_pairs_are_told_apart_where_they_differ() -> None:
    found = compare({"a": rows(0), "b": rows(0.1, seed=1), "c": rows(0.1, seed=2)}, CONFIG, "clip")
    assert set(found) == {(x, y) for x in "abc" for y in "abc" if x != y}
    first = found["a", "b"]
    assert first.decided and first.difference.mean == pytest.approx(-0.1, abs=0.01)
    assert first.p == 2 / 2**10 and first.corrected == pytest.approx(3 * first.p)
    assert not found["b", "c"].decided and found["b", "c"].p > 0.05
    back = found["b", "a"]
    assert (back.difference.mean, back.difference.low) == (-first.difference.mean, -first.difference.high)
    assert back.decided and back.corrected == first.corrected


def test_pairs_without_a_common_frame_are_left_out() -> None:
    other = rows(0).assign(clip=lambda table: table["clip"] + "x")
    assert compare({"a": rows(0), "b": other}, CONFIG, "clip") == {}
    assert compare({"a": rows(0)}, CONFIG, "clip") == {}


def test_identical_runs_are_not_told_apart() -> None:
    found = compare({"a": rows(0), "b": rows(0)}, CONFIG, "frame")["a", "b"]
    assert (found.difference.mean, found.p, found.decided) == (0, 1, False)


@pytest.mark.parametrize(
    ("low", "high", "printed", "says"),
    [
        (0.040, 0.044, ".045", "better"),
        (0.040, 0.0446, ".045", "within the interval"),  # .045 stands for .0445 and more
        (0.046, 0.050, ".045", "worse"),
        (5.0, 5.9, "5.41", "within the interval"),
        (float("nan"), float("nan"), ".045", "no interval"),
    ],
)
def test_verdicts_know_how_finely_a_number_is_printed(low: float, high: float, printed: str, says: str) -> None:
    assert verdict(Estimate((low + high) / 2, low, high, 9, 9), printed, L1) == says
    upwards = dataclasses.replace(L1, lower_is_better=False)
    turned = {"better": "worse", "worse": "better"}.get(says, says)
    assert verdict(Estimate((low + high) / 2, low, high, 9, 9), printed, upwards) == turned


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    layout = make_data(tmp_path, train=("a#0",))
    tables = {"reconstruction": ["still", "exact"], "k_ablation": ["still", "exact"]}
    configure(layout, {"metrics": ["l1"], "tables": tables, "published": "taichi"})
    return layout


def tables_of(layout: Layout, published: PublishedSet | None = None) -> dict[str, Table]:
    results = Results(layout, read_config(layout))
    results.published = published
    return {table.name: table for table in build_tables(results)}


def test_seeds_by_hand(layout: Layout) -> None:
    layout.labels.write_text(yaml.safe_dump({"still": "Still", "again": "Again", "exact": "Exact"}))
    layout.seeds.write_text(yaml.safe_dump({"still": {"still": 0, "again": 5}}, sort_keys=False))
    score(layout, "still", dict(zip(TESTS, [0.1, 0.1, 0.3, 0.3], strict=True)))
    score(layout, "again", dict(zip(TESTS, [0.3, 0.3, 0.5, 0.5], strict=True)))
    table = tables_of(layout)["seeds"]
    assert [row[:3] for row in table.rows] == [
        ("Still", "0, 5", "mean over seeds"),
        ("Still", "0, 5", "SD between seeds"),
        ("Still", "0, 5", "SE between identities"),
    ]
    # Means are .2 and .4; two identities that differ by .2 have a standard error of .1.
    numbers = [row[3].estimate.mean for row in table.rows if isinstance(row[3], Value)]
    assert numbers == pytest.approx([0.3, 0.2 / np.sqrt(2), 0.1])
    layout.scores("again").unlink()
    assert text(tables_of(layout)["seeds"].rows[1][3]) == "n/a (again: not run)"


def test_a_verdict_needs_the_same_data_the_same_clips_and_a_number_that_was_seen(layout: Layout) -> None:
    score(layout, "still", dict.fromkeys(TESTS, 0.25))
    score(layout, "exact", dict(zip(TESTS, [0.5, 0.51, 0.52, 0.5], strict=True)))
    layout.labels.write_text(yaml.safe_dump({"still": "Still", "exact": "Exact", "still-released": "Released"}))
    score(layout, "still-released", dict.fromkeys(TESTS, 0.3))
    numbers = {
        "still": (PublishedRow("Paper", "seen", l1=".25", akd="1.2"), PublishedRow("Other", "recalled", l1=".2")),
        "exact": (PublishedRow("Paper", "seen", l1=".1"),),
    }
    here = PublishedSet("Dots", ("dots",), numbers, test_clips=4)
    table = tables_of(layout, here)["verdict"]
    shown = [tuple(text(cell) for cell in row) for row in table.rows]
    assert table.protocol == "legacy"
    assert [row[-1] for row in shown] == [
        "within the interval",
        "n/a (not among the metrics)",
        "not comparable: recalled",
        "worse",
    ]
    assert shown[0][3:5] == (".3000 [.3000, .3000]", "worse") and shown[0][6] == ".0000 [.0000, .0000]"
    assert shown[3][3] == "n/a (exact-released is not among the runs)" and shown[3][6].startswith("+.4075")
    for changed, says in (
        ({"datasets": ("taichi",)}, "not comparable: other data"),
        ({"test_clips": 100}, "not comparable: 4 of 100 test clips"),
    ):
        table = tables_of(layout, dataclasses.replace(here, **changed))["verdict"]
        assert text(table.rows[0][-1]) == says and isinstance(table.rows[0][-2], Missing)


def test_a_verdict_needs_the_papers_evaluator(layout: Layout) -> None:
    akd = metrics.load("akd")[0]
    for kind, says in (("fan", "worse"), ("heatmap", "not comparable: other evaluator")):
        section = {"evaluators": {"landmarks": {"kind": kind}}, "metrics": ["akd"]}
        configure(layout, section | {"tables": {"reconstruction": ["still"]}})
        score(layout, "still", {"d#0": 2.0, "e#0": 2.1})
        frame = pd.read_parquet(layout.scores("still")).assign(metric="akd", version=akd.version)
        frame.to_parquet(layout.scores("still"))
        rows = {"still": (PublishedRow("Paper", "seen", akd="1.294"),)}
        published = PublishedSet("Dots", ("dots",), rows, evaluators={"landmarks": "fan"})
        assert text(tables_of(layout, published)["verdict"].rows[0][-1]) == says


def test_bold_is_a_run_that_beats_every_other_on_enough_identities(layout: Layout) -> None:
    rng = np.random.default_rng(0)
    for identities, marked in (("abcdefgh", True), ("abcde", False)):  # of five, p is 2 / 2^5 at least
        for run, add in (("still", 0.2), ("exact", 0.3)):
            score(layout, run, {f"{identity}#0": add + rng.uniform(0, 0.02) for identity in identities})
        for name in ("reconstruction", "reconstruction_legacy"):
            cells = [row[1] for row in tables_of(layout)[name].rows[:2]]
            assert [isinstance(cell, Value) and cell.best for cell in cells] == [marked, False]


def test_every_pair_has_its_rows_and_numbers(layout: Layout) -> None:
    score(layout, "still", dict.fromkeys(TESTS, 0.25))
    table = tables_of(layout)["comparisons"]
    assert [text(cell) for cell in table.rows[0]][:4] == ["L1 ↓", "Still", "Exact", "n/a (not run)"]
    score(layout, "exact", dict(zip(TESTS, [0.5, 0.51, 0.52, 0.5], strict=True)))
    row = tables_of(layout)["comparisons"].rows[0]
    # With two identities no difference can be told: two of the four ways of swapping reach as far.
    assert [text(cell) for cell in row][4:] == [".5000", ".5000", "not decided"]
    assert "Difference low" in to_csv(tables_of(layout)["comparisons_legacy"]).splitlines()[0]


def test_operations_a_frame_come_from_training(layout: Layout) -> None:
    score(layout, "still", dict.fromkeys(TESTS, 0.25))
    model = layout.model("still")
    model.mkdir(parents=True)
    about = {"keypoints": 50, "parameters": 1234}
    (model / "summary.json").write_text(json.dumps(about))
    assert text(tables_of(layout)["k_ablation"].rows[0][3]) == "n/a (not recorded; train again)"
    (model / "summary.json").write_text(json.dumps(about | {"flops_per_frame": 287_543_104}))
    assert tables_of(layout)["k_ablation"].rows[0][1:4] == (50, 1234, 288)
    assert text(tables_of(layout)["k_ablation"].rows[1][3]) == "n/a (not trained)"
    for odd in ([], about | {"flops_per_frame": "few"}, about | {"method": ["tps"]}):
        (model / "summary.json").write_text(json.dumps(odd))
        with pytest.raises(UserError, match=r"models/dots/still/summary\.json .* train the run again"):
            tables_of(layout)


def test_the_answer_says_what_seeds_change(layout: Layout) -> None:
    seeds = {"still": {"still": 0, "still-seed1": 1}, "exact": {"exact": 0, "exact-seed1": 1}}
    layout.labels.write_text(yaml.safe_dump({run: run.capitalize() for group in seeds.values() for run in group}))
    layout.seeds.write_text(yaml.safe_dump(seeds))
    for run, value in {"still": 0.3, "still-seed1": 0.25, "exact": 0.1, "exact-seed1": 0.2}.items():
        score(layout, run, dict.fromkeys(TESTS, value))

    def l1() -> tuple[Finding, str]:
        strict = next(question for question in answer(Results(layout, read_config(layout))) if question.main)
        return strict.findings[0], strict.headline

    finding, headline = l1()
    assert not finding.by_seed and "round" not in headline
    assert finding.seeds == "apart: Exact .1000 to .2000, Still .2500 to .3000"
    score(layout, "exact-seed1", dict.fromkeys(TESTS, 0.28))
    finding, _ = l1()
    assert finding.by_seed and finding.seeds == "overlap: Exact .1000 to .2800, Still .2500 to .3000"
    layout.scores("exact-seed1").unlink()
    finding, _ = l1()
    assert not finding.by_seed and not finding.seeds, "a seed is missing"
