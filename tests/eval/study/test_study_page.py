"""A rater goes through the page in a real browser, by keyboard, and the file that it saves is read back."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from browser import visit
from small_study import key_of, read

from eval.study.key import Key
from tpsm.core.layout import Layout

if TYPE_CHECKING:
    from playwright.sync_api import Page


@pytest.fixture
def file(study: Layout) -> Path:
    return study.root / "study" / "dots" / "study.html"


def side_to_choose(page: Page, key: Key, study: str) -> str:
    """Where the real clip, or the first run of the alphabet is, by the state that the page keeps, and the key."""
    state = json.loads(page.evaluate(f"localStorage.getItem('study-{study}')"))
    token, left = state["order"][len(state["answers"]) // 2]
    item = key.by_id[token]
    wanted = item.right_answer or min(item.videos, key=lambda video: item.videos[video])
    return "left" if wanted == left else "right"


def answerable(page: Page) -> None:
    page.locator("#choose-left:enabled").wait_for()


def test_a_session_by_keyboard_ends_in_a_table(study: Layout, file: Path, tmp_path: Path) -> None:
    key = key_of(study)
    count = 2 * len(key.sheets[0])
    keys = {"left": ("ArrowLeft", "1"), "right": ("ArrowRight", "2")}
    with visit(file) as seen:
        page = seen.page
        page.keyboard.press("Enter")  # the button to start has the focus
        for number in range(count):
            if number == 5:
                answerable(page)
                page.reload()
                assert page.locator("#start").inner_text() == "Go on where you were"
                page.keyboard.press("Enter")
            answerable(page)
            place = page.locator("#place").inner_text()
            assert place == f"{number // 2 + 1} of {count // 2}, question {number % 2 + 1} of 2"
            page.keyboard.press(keys[side_to_choose(page, key, key.study)][number % 2])
        page.locator("#save").wait_for()
        with page.expect_download() as download:
            page.keyboard.press("s")
        saved = tmp_path / download.value.suggested_filename
        download.value.save_as(saved)
        assert saved.name in page.locator("#saved").inner_text()
        page.get_by_text("Start afresh").click()
        assert page.locator("#start").inner_text() == "Start"
    votes = json.loads(saved.read_text())
    assert saved.name == f"votes-{votes['session']}.json" and len(votes["answers"]) == count
    assert read(study, saved) == 0
    with (study.report / "study" / "tables" / "study_preference.csv").open() as table:
        rows = {row["Preferred"]: row for row in csv.DictReader(table)}
    assert rows["Alphamethod over Gammamethod"]["Continuity"] == "1"
    assert rows["Gammamethod over Betamethod"]["Authenticity"] == "0"
    assert "Raters: 1." in (study.report / "study" / "README.md").read_text()


def test_one_can_pause_and_go_back_and_answers_wait_for_the_end(file: Path) -> None:
    with visit(file, reduced_motion="reduce") as seen:
        page = seen.page
        page.keyboard.press("Enter")
        page.get_by_text("Press Play first").wait_for()
        page.keyboard.press("ArrowLeft")
        assert page.locator("#place").inner_text() == "1 of 8, question 1 of 2"
        page.keyboard.press(" ")
        answerable(page)
        first = page.locator("#question").inner_text()
        page.locator("#choose-left").click()
        assert page.locator("#question").inner_text() != first
        page.keyboard.press("Backspace")
        assert page.locator("#question").inner_text() == first
        assert page.locator("#back").is_disabled()
        page.keyboard.press(" ")
        shown = page.evaluate(
            "Object.fromEntries(Object.entries(player.films).map(([n, f]) => [n, f.indexOf(player.canvases[n].shown)]))"
        )
        assert shown["left"] == shown["right"] == shown["driving"] >= 0 and shown["source"] == 0, "not in step"


def test_videos_are_enlarged_as_the_screen_allows_and_all_fits(file: Path) -> None:
    with visit(file) as seen:
        page = seen.page
        page.keyboard.press("Enter")
        answerable(page)
        for width, height, least in ((1280, 800, 400), (390, 844, 150)):
            page.set_viewport_size({"width": width, "height": height})
            page.wait_for_timeout(300)  # until the next frame is drawn
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            for name in ("left", "right", "choose-left", "choose-right", "play", "question"):
                box = page.locator(f"#{name}").bounding_box()
                assert box and box["x"] >= 0 and box["x"] + box["width"] <= width
                assert box["y"] >= 0 and box["y"] + box["height"] <= height
            drawn = page.evaluate("['left', 'right'].map((name) => document.getElementById(name).width)")
            assert all(least < side < width / 2 for side in drawn)
