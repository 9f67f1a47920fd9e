"""The answers about the papers' claim, K and components, from scores whose differences are known."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from small_pipeline import configure, make_data, score

from eval.config import read_config
from eval.report.findings import answer
from eval.report.question import Question
from eval.tables.build import build_tables
from eval.tables.published import PublishedRow, PublishedSet
from eval.tables.results import Results, Series
from eval.tables.table import text
from tpsm.core.layout import Layout

IDENTITIES = "abcdefgh"
"""Eight that all differ the same way have p = 2 / 2^8; it takes six to be significant."""


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return make_data(tmp_path, train=("a#0",))


def add(layout: Layout, run: str, value: float, method: str, keypoints: int = 5, *, either_way: bool = False) -> None:
    """A run whose L1 is `value` for every identity, or on average alone."""
    sway = 0.05 if either_way else 0.0
    score(layout, run, {f"{who}#0": value + sway * (-1) ** i for i, who in enumerate(IDENTITIES)})
    layout.model(run).mkdir(parents=True)
    about = {"method": method, "keypoints": keypoints}
    (layout.model(run) / "summary.json").write_text(json.dumps(about))
    labels = yaml.safe_load(layout.labels.read_text())
    layout.labels.write_text(yaml.safe_dump(labels | {run: run.capitalize()}))


def results_of(layout: Layout, **tables: list[str]) -> Results:
    configure(layout, {"metrics": ["l1"], "tables": tables})
    return Results(layout, read_config(layout))


def asked(results: Results, word: str) -> list[Question]:
    return [q for q in answer(results) if word in q.title and q.protocol == "strict"]


def test_what_k_does_goes_from_the_fewest_keypoints_to_the_most(layout: Layout) -> None:
    layout.labels.write_text(yaml.safe_dump({"m": "M", "n": "N"}))
    for run, value, keypoints in (("many", 0.3, 20), ("few", 0.1, 5), ("m", 0.9, 10)):
        add(layout, run, value, "m", keypoints)
    add(layout, "n", 0.2, "n", 50)
    add(layout, "half", 0.2, "n", 1020, either_way=True)
    add(layout, "lonely", 0.2, "o", 7)
    (question,) = asked(results_of(layout, k_ablation=["many", "half", "few", "lonely", "n", "m"]), "What does K do?")
    assert question.sentences == (
        "M, 20 keypoints in place of 5: worse in L1.",
        "N, 1,020 keypoints in place of 50: no clear difference in L1.",
    )
    assert question.headline == (
        "M with 20 keypoints in place of 5 is clearly worse in 1 of 1 metrics. "
        "N with 1,020 keypoints in place of 50 is clearly different in none of 1 metrics."
    )


@pytest.mark.parametrize(("again", "small"), [(0.95, False), (1.2, True)])
def test_a_change_stands_beside_what_seeds_change(again: float, small: bool, layout: Layout) -> None:
    """Also where neither run of the two has seeds of its own, but another one of the method does."""
    for run, value, keypoints in (("many", 0.3, 20), ("few", 0.1, 5), ("m", 0.9, 10), ("m-again", again, 10)):
        add(layout, run, value, "m", keypoints)
    layout.seeds.write_text(yaml.safe_dump({"m": {"m": 0, "m-again": 1}}))
    results = results_of(layout, k_ablation=["few", "m", "many"])
    (question,) = asked(results, "What does K do?")
    assert ("In L1 that is no more than training seeds differ by." in question.sentences) == small
    assert [row[2:] for row in before_and_after(results)] == [
        ("difference", "+.2000 [+.2000, +.2000]"),
        ("between seeds", f"{again - 0.9:.4f}".lstrip("0")),
    ]


def before_and_after(results: Results) -> list[tuple[str, ...]]:
    """What the table of the ablations' differences says."""
    (table,) = (table for table in build_tables(results) if table.name == "changes")
    return [tuple(map(text, row)) for row in table.rows]


def test_each_component_is_held_against_the_runs_before_it(layout: Layout) -> None:
    for run, value in (("alone", 0.5), ("part", 0.6), ("full", 0.2)):
        add(layout, run, value, "m")
    add(layout, "stranger", 0.1, "other")
    layout.labels.write_text(yaml.safe_dump({"alone": "Alone", "part": "+ part", "full": "Full", "stranger": "X"}))
    names = ["stranger", "alone", "part", "unscored", "full"]
    results = results_of(layout, components=names)
    (question,) = asked(results, "component")
    assert question.sentences == (
        "From Alone to + part: worse in L1.",
        "From + part to Full: better in L1.",
        "All together, from Alone to Full: better in L1.",
    )
    assert question.headline == "From Alone to Full, all together: clearly better in 1 of 1 metrics."
    assert before_and_after(results)[::2] == [
        ("Alone", "+ part", "difference", "+.1000 [+.1000, +.1000]"),
        ("+ part", "Full", "difference", "-.4000 [-.4000, -.4000]"),
        ("Alone", "Full", "difference", "-.3000 [-.3000, -.3000]"),
    ]
    assert {row[3] for row in before_and_after(results)[1::2]} == {"n/a (one seed)"}


def test_pairs_that_are_asked_together_are_corrected_together(layout: Layout) -> None:
    for run, value in (("alone", 0.5), ("part", 0.6), ("full", 0.2)):
        add(layout, run, value, "m")
    results = results_of(layout, components=["alone", "part", "full"])
    alone, part, full = map(Series, ("alone", "part", "full"))
    found = results.compared([(part, alone), (full, part), (full, Series("unscored"))], "l1")
    assert list(found) == [(part, alone), (full, part)]
    assert [(c.p, c.corrected) for c in found.values()] == [(pytest.approx(2 / 2**8), pytest.approx(4 / 2**8))] * 2
    assert found[full, part].difference.mean == pytest.approx(-0.4)


@pytest.mark.parametrize(
    ("value", "word", "says", "ahead"),
    [
        (0.1, "Yes.", "better in L1.", "of Old in 1 of 1 metrics and of Older in 1 of 1 metrics."),
        (0.35, "In part.", "worse in L1.", "of Old in none of 1 metrics and of Older in 1 of 1 metrics."),
        (0.9, "No.", "worse in L1.", "of Old in none of 1 metrics and of Older in none of 1 metrics."),
    ],
)
def test_the_papers_claim_is_answered_in_a_word(value: float, word: str, says: str, ahead: str, layout: Layout) -> None:
    for run, l1 in (("old", 0.3), ("older", 0.5), ("unpublished", 0.0), ("new", value)):
        add(layout, run, l1, run)
    results = results_of(layout, reconstruction=["old", "older", "unpublished", "new"])
    rows = {run: (PublishedRow("P", "seen", l1=l1),) for run, l1 in (("old", ".2"), ("older", ".3"), ("new", ".1"))}
    results.published = PublishedSet("Elsewhere", ("elsewhere",), rows)
    question = answer(results)[0]
    assert question.headline == f"{word} Where New is published as ahead, it is clearly ahead here {ahead}"
    assert question.title == "Is New ahead of Old and Older, as published?"
    assert question.sentences[:2] == ("Against Old, published: ahead in L1.", f"Against Old, here: {says}")
    assert len(question.sentences) == 5 and question.sentences[-1] == "The published numbers are of Elsewhere."


def test_an_open_difference_is_told_and_a_claim_needs_numbers(layout: Layout) -> None:
    add(layout, "old", 0.3, "old")
    add(layout, "new", 0.29, "new", either_way=True)
    results = results_of(layout, reconstruction=["old", "new"])
    rows = {run: (PublishedRow("P", "recalled", l1=l1),) for run, l1 in (("old", ".1"), ("new", ".2"))}
    results.published = PublishedSet("Elsewhere", ("elsewhere",), rows)
    question = answer(results)[0]
    assert question.headline == "New is published as ahead in no metric that is measured here."
    assert question.sentences == (
        "Against Old, published: behind in L1.",
        "Against Old, here: no clear difference in L1.",
        "The published numbers are of Elsewhere, recalled and not checked against the paper.",
    )
    results.published = PublishedSet("Elsewhere", ("elsewhere",), {"old": rows["old"]})
    assert [q.title for q in answer(results)] == ["Reconstruction", "Reconstruction"]
