"""From animations to a blinded page, and from vote files to tables."""

from __future__ import annotations

import base64
import csv
import io
import json
import math
import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from small_pipeline import dots
from small_study import LABELS, PAIRS, RUNS, key_of, make, make_runs, read, vote_file

from eval.__main__ import main
from eval.study.key import QUESTIONS, Item, Key
from eval.study.make import Settings
from eval.study.videos import Strip, broken, strip
from eval.study.votes import read_votes
from tpsm.core.errors import UserError
from tpsm.core.layout import Layout, file_name
from tpsm.data.clip import read_clip


@pytest.fixture
def key(study: Layout) -> Key:
    return key_of(study)


def page(layout: Layout) -> str:
    return (layout.root / "study" / "dots" / "study.html").read_text(encoding="utf-8")


def data(layout: Layout) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page(layout), re.DOTALL)
    assert found
    return json.loads(found[1])


def pixels(video: dict[str, Any]) -> np.ndarray:
    """The frames of a strip, cut as the page cuts them."""
    with Image.open(io.BytesIO(base64.b64decode(video["image"].partition(",")[2]))) as picture:
        sheet = np.array(picture.convert("RGB"))
    columns, width, height = video["columns"], video["width"], video["height"]
    corners = [(i // columns * height, i % columns * width) for i in range(video["frames"])]
    return np.stack([sheet[y : y + height, x : x + width] for y, x in corners])


def first(item: Item, question: str) -> str:
    """Prefers the run that comes first in the alphabet."""
    return min(item.videos.values())


def rows(layout: Layout, table: str) -> dict[str, dict[str, str]]:
    with (layout.report / "study" / "tables" / f"{table}.csv").open() as file:
        return {next(iter(row.values())): row for row in csv.DictReader(file)}


def test_the_page_names_no_run_no_clip_and_no_place(study: Layout) -> None:
    text = re.sub(r"base64,[^\"]*", "", page(study)).lower()
    for word in (*RUNS, *LABELS.values(), "relative", "dots", str(study.root), "real", "broken", "d#0", "e#1"):
        assert not re.search(rf"(?<![a-z]){re.escape(word.lower())}(?![a-z])", text.replace("looks more real", "")), (
            word
        )
    # Pictures carry nothing but pixels.
    for video in data(study)["videos"].values():
        with Image.open(io.BytesIO(base64.b64decode(video["image"].partition(",")[2]))) as picture:
            assert not {"exif", "xmp", "comment", "icc_profile"} & set(picture.info)


def test_the_page_loads_nothing(study: Layout) -> None:
    text = page(study)
    assert "default-src 'none'" in text
    assert not re.search(r"(?:src|href)\s*=\s*[\"'](?!data:)", text)
    assert "http://" not in text and "https://" not in text


def test_the_page_shows_the_clips_bit_for_bit(study: Layout, key: Key) -> None:
    videos, screens = data(study)["videos"], data(study)["items"]
    for item in key.items:
        if item.right_answer is not None:
            continue
        source, driving = next(pair for pair in PAIRS if "--".join(pair) == item.clip)
        screen = screens[item.id]
        assert np.array_equal(pixels(videos[screen["driving"]]), read_clip(study.test_clip(driving)).frames)
        assert np.array_equal(pixels(videos[screen["source"]]), read_clip(study.test_clip(source)).frames[:1])
        assert sorted(item.videos) == screen["videos"] and screen["fps"] == 25
        for token, run in item.videos.items():
            made = study.outputs(run) / "animation" / "relative" / file_name(item.clip)
            assert np.array_equal(pixels(videos[token]), read_clip(made).frames)


def test_checks_hold_the_real_clip_against_a_broken_one(study: Layout, key: Key) -> None:
    checks = [item for item in key.items if item.right_answer is not None]
    assert len(checks) == len(PAIRS)  # four are wished for, and there are two clips
    for item in checks:
        real = read_clip(study.test_clip(item.clip)).frames
        shown = {run: pixels(data(study)["videos"][token]) for token, run in item.videos.items()}
        assert np.array_equal(shown["real"], real)
        assert np.abs(shown["broken"].astype(int) - real).mean() > 5
        assert all(check in {entry.item for entry in sheet} for sheet in key.sheets for check in [item.id])


def test_page_and_key_have_the_same_sheets_balanced_by_side(study: Layout, key: Key) -> None:
    assert data(study)["sheets"] == [[[shown.item, shown.left] for shown in sheet] for sheet in key.sheets]
    left = Counter(key.by_id[shown.item].videos[shown.left] for sheet in key.sheets for shown in sheet)
    assert left["real"] == left["broken"] and len({left[run] for run in RUNS}) == 1


def test_a_long_video_makes_an_even_picture() -> None:
    frames = np.arange(300, dtype=np.uint16).astype(np.uint8)[:, None, None, None] * np.ones((1, 4, 8, 3), np.uint8)
    made = strip(frames, None)
    assert isinstance(made, Strip) and np.array_equal(pixels(vars(made)), frames)
    with pytest.raises(ValueError, match="do not fit"):
        strip(np.zeros((2000, 512, 512, 3), np.uint8)[:, :, :], None)
    assert np.abs(pixels(vars(strip(dots("d", 1).frames, 90))).astype(int) - dots("d", 1).frames).mean() < 8


def test_a_broken_clip_has_the_same_pixels_elsewhere() -> None:
    frames = dots("d", 1).frames
    torn = broken(frames, np.random.default_rng(0))
    assert not any(np.array_equal(a, b) for a in torn for b in frames)
    assert Counter(map(tuple, torn.reshape(-1, 3))) == Counter(map(tuple, frames.reshape(-1, 3)))


def test_votes_become_rates_and_a_ranking(study: Layout, key: Key, tmp_path: Path) -> None:
    """Four prefer alpha in everything; two prefer it in continuity alone, and the last of the alphabet elsewhere."""

    def half(item: Item, question: str) -> str:
        return first(item, question) if question == "continuity" else max(item.videos.values())

    files = [vote_file(tmp_path, key, f"s{i}", i % len(key.sheets), first if i < 4 else half) for i in range(6)]
    assert read(study, *files) == 0
    row = rows(study, "study_preference")["Alphamethod over Betamethod"]
    assert (row["Continuity"], row["Continuity low"]) == ("1", f"{0.025 ** (1 / 6):.6g}")
    assert float(row["Authenticity"]) == pytest.approx(4 / 6, abs=1e-5)
    assert float(row["Authenticity low"]) < 4 / 6 < float(row["Authenticity high"])
    assert row["Paper's Table 2"] == "n/a"
    ranks = rows(study, "study_ranking")
    assert ranks["Alphamethod"]["Continuity, rank"] == "n/a (one wins or loses all)"
    assert [ranks[LABELS[run]]["Authenticity, rank"] for run in RUNS] == ["1", "2", "3"]
    assert float(ranks["Alphamethod"]["Authenticity, log strength"]) > 0
    agreement = rows(study, "study_agreement")
    assert agreement["all"]["Continuity, alpha"] == "n/a (all answers are equal)"
    # Of six raters, 4 and 2 on every item: 7 of 15 pairs agree.
    assert float(agreement["all"]["Authenticity, raw"]) == pytest.approx(7 / 15, abs=1e-5)
    told = json.loads((study.report / "study" / "study.json").read_text())
    assert (told["raters"], told["dropped"], told["left_preferred"]) == (6, 0, 0.5)
    assert told["questions"]["continuity"]["preference"]["alpha-run over beta-run"]["votes"] == 12


def test_without_votes_the_tables_say_so(study: Layout) -> None:
    assert read(study) == 0
    readme = (study.report / "study" / "README.md").read_text()
    assert "n/a (no votes yet)" in readme and "`python -m eval study make`" in readme
    cells = [value for row in rows(study, "study_preference").values() for value in list(row.values())[1:]]
    assert not any(re.search(r"[1-9]", cell) for cell in cells)
    assert (study.report / "study" / "tables" / "study_preference.tex").is_file()


def test_raters_who_do_not_look_are_dropped_and_counted(
    study: Layout, key: Key, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    good = vote_file(tmp_path, key, "good", 0, first)
    bad = vote_file(tmp_path, key, "bad", 1, first, attentive=False)
    ballot = read_votes([good, bad], key, allowed=1)
    assert (ballot.raters, ballot.dropped, ballot.slips) == (("good",), ("bad",), {"good": 0, "bad": 4})
    assert {vote.session for vote in ballot.votes} == {"good"}
    assert "bad.json does not count: 4 answers" in caplog.text
    assert read(study, bad) == 0
    assert "n/a (no rater passed the checks)" in (study.report / "study" / "README.md").read_text()
    assert len(read_votes([good, bad], key, allowed=4).raters) == 2


def test_one_slip_is_forgiven(key: Key, tmp_path: Path) -> None:
    path = vote_file(tmp_path, key, "once", 0, first)
    votes = json.loads(path.read_text())
    slip = next(a for a in votes["answers"] if key.by_id[a["item"]].right_answer == a["choice"])
    slip["choice"] = next(token for token in key.by_id[slip["item"]].videos if token != slip["choice"])
    path.write_text(json.dumps(votes))
    assert not read_votes([path], key, allowed=1).dropped
    assert read_votes([path], key, allowed=0).dropped == ("once",)


def test_a_session_counts_once(key: Key, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = vote_file(tmp_path, key, "s", 0, first)
    copy = tmp_path / "copy.json"
    copy.write_text(path.read_text())
    assert read_votes([path, copy], key, 1).votes == read_votes([path], key, 1).votes
    assert "copy.json is the same session as" in caplog.text
    votes = json.loads(path.read_text())
    votes["answers"][0]["seconds"] = 9
    copy.write_text(json.dumps(votes))
    with pytest.raises(UserError, match=r"copy\.json and .*votes-s\.json are of the same session and differ"):
        read_votes([path, copy], key, 1)


def spoil(change: str, votes: dict[str, Any]) -> str:
    answers = votes["answers"]
    if change == "study":
        votes["study"] = "another"
    elif change == "sheet":
        votes["sheet"] = 99
    elif change == "missing":
        answers.pop()
    elif change == "twice":
        answers[0] = dict(answers[1])
    elif change == "choice":
        answers[0]["choice"] = "nothing"
    elif change == "seconds":
        answers[0]["seconds"] = math.nan
    elif change == "key":
        votes["name"] = "a rater's name"
    elif change == "list":
        return "[1, 2]"
    elif change == "deep":
        return "[" * 100_000
    elif change == "text":
        return "votes"
    return json.dumps(votes)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("study", "is not of this study"),
        ("sheet", "names sheet 99"),
        ("missing", "does not answer each question of its sheet once"),
        ("twice", "does not answer each question of its sheet once"),
        ("choice", "prefers 'nothing'"),
        ("seconds", r"bad.json is not valid JSON \(NaN"),
        ("key", "Unknown key .*bad.json.name"),
        ("list", "must be a section"),
        ("deep", "is not valid JSON"),
        ("text", "is not valid JSON"),
    ],
)
def test_a_bad_vote_file_is_named(key: Key, tmp_path: Path, change: str, says: str) -> None:
    path = tmp_path / "bad.json"
    path.write_text(spoil(change, json.loads(vote_file(tmp_path, key, "s", 0, first).read_text())))
    with pytest.raises(UserError) as error:
        read_votes([path], key, 1)
    assert re.search(says, str(error.value)) and "bad.json" in str(error.value)


def test_a_missing_vote_file_or_key_is_named(study: Layout, key: Key, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no vote file .*nowhere\.json"):
        read_votes([tmp_path / "nowhere.json"], key, 1)
    assert read(study, tmp_path / "nowhere.json") == 2
    (study.root / "study" / "dots" / "key.json").rename(tmp_path / "key.json")
    try:
        assert read(study) == 2
    finally:
        (tmp_path / "key.json").rename(study.root / "study" / "dots" / "key.json")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ((), "key.json is there already"),
        (
            ("--out", "x", "--runs", "alpha-run"),
            "compares at least two runs in mode 'relative', and there is alpha-run",
        ),
        (("--out", "x", "--runs", "alpha-run,absent"), "There is no outputs/dots/absent/animation/relative/pairs.csv"),
        (("--out", "x", "--questions", "7"), "--questions: must be between 1 and 6"),
        (("--out", "x", "--quality", "0"), "--quality: must be at least 1"),
        (("--out", "x", "--mode", "avd"), "there is none"),
    ],
)
def test_a_study_that_cannot_be_is_refused(
    study: Layout, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], says: str
) -> None:
    assert make(study, *options) == 2
    assert says in capsys.readouterr().err
    assert not Path("x").exists()


def test_runs_must_have_animated_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    layout = make_runs(tmp_path)
    pairs = layout.outputs("beta-run") / "animation" / "relative" / "pairs.csv"
    text = pairs.read_text()
    pairs.write_text("".join(text.splitlines(keepends=True)[:-1]))
    assert make(layout) == 2
    assert "Run 'beta-run' animates other pairs than 'alpha-run'" in capsys.readouterr().err


@pytest.mark.parametrize("slips", ["-1", "1001", "x"])
def test_wrong_answers_that_are_allowed_have_bounds(slips: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["study", "read", "--key", "key.json", "--slips", slips]) == 2
    assert "'--slips'" in capsys.readouterr().err


def test_settings_name_what_is_wrong() -> None:
    for wrong in ({"checks": -1}, {"frames": 1}, {"quality": 101}, {"runs": ("a", "a")}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            Settings(**wrong)  # type: ignore[arg-type]
    assert QUESTIONS == ("continuity", "authenticity")
