"""reports/index.html, from scores to a page that plays: what it holds, and how it behaves in a browser."""

from __future__ import annotations

import base64
import io
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from browser import visit
from PIL import Image
from small_pipeline import EVALUATION, FRAMES, SIZE, TESTS, configure, make_data, make_outputs, output_clip

from eval.__main__ import main
from eval.config import read_config
from eval.figures.comparison import GAP, HEAD, moving_comparison
from eval.report.difficulty import comparison, hardest
from eval.report.findings import answer, brief, headline
from eval.report.modes import common_mode
from eval.report.question import Finding, Question
from eval.report.worst import worst_frames
from eval.stats.config import BootstrapConfig
from eval.stats.intervals import Estimate
from eval.stats.pairwise import Comparison
from eval.tables.results import Results, Series
from eval.tables.table import Missing, Table, Value
from eval.templates import render
from eval.web.content import table_content
from eval.web.strips import chosen_frames
from tpsm.core.layout import Layout
from tpsm.data.clip import read_clip

QUICK = {
    "evaluators": {"landmarks": EVALUATION["evaluators"]["landmarks"] | {"steps": 20, "threshold": 0.01}},
    "metrics": ["l1", "akd", "mkr", "epe", "pose"],
    "videos": {"clips": 3, "pairs": 2, "quality": 95},
}
HOSTILE = 'St<i>ill</i> </script> & "co"'


class Page(HTMLParser):
    """What stands in a page: ids, addresses, the JSON of its script, and open elements that were never closed."""

    VOID = ("meta", "link", "input", "img", "br")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.open: list[str] = []
        self.text: list[str] = []
        self.json = ""
        self.feed(text)
        self.close()
        self.data = json.loads(self.json)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        about = dict(attributes)
        self.ids += [str(value) for key, value in attributes if key == "id"]
        self.links += [str(about[key]) for key in ("src", "href") if key in about]
        if tag not in self.VOID:
            self.open.append("json" if about.get("id") == "data" else tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() in (tag, "json" if tag == "script" else tag), tag

    def handle_data(self, text: str) -> None:
        if self.open and self.open[-1] == "json":
            self.json += text
        elif self.open and self.open[-1] not in ("script", "style"):
            self.text.append(text)


@pytest.fixture(scope="module")
def layout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Layout]:
    """A pipeline of which the page has been made."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    layout = make_data(tmp_path_factory.mktemp("pipeline"), train=("a#0", "b#0"))
    make_outputs(layout)
    write_some_insides(layout)
    layout.labels.write_text(yaml.safe_dump({"still": HOSTILE, "exact": "Exact", "tps": "TPSMM"}))
    configure(layout, EVALUATION | QUICK)
    verbs = [["evaluators"], ["features"], *(["score", "--run", r] for r in ("still", "exact", "real", "copy-source"))]
    for verb in [*verbs, ["report"]]:
        assert main([*verb, "--dataset", "dots", "--root", str(layout.root)]) == 0
    assert main(["page", "--root", str(layout.root)]) == 0
    yield layout
    torch.set_num_threads(threads)


def write_some_insides(layout: Layout) -> None:
    """Of one clip, with three motions of five points each, and four masks."""
    rng = np.random.default_rng(0)
    path = layout.insides("exact", TESTS[0])
    path.parent.mkdir(parents=True)
    still = np.stack(np.meshgrid(np.linspace(-1, 1, SIZE), np.linspace(-1, 1, SIZE)), axis=-1)
    arrays = {f"occlusion_{i}": rng.uniform(size=(2, side, side)) for i, side in enumerate((4, 8, 16, 32))}
    weights = rng.uniform(size=(2, 4, 16, 16))
    arrays |= {"weights": weights / weights.sum(axis=1, keepdims=True), "motion": np.stack([still + 0.2] * 2)}
    points = rng.uniform(-1, 1, (3, 15, 2))
    np.savez(path, frames=np.array([1, 3]), source_xy=points[0], driving_xy=points[1:], **arrays)


@pytest.fixture(scope="module")
def page(layout: Layout) -> Page:
    return Page((layout.root / "reports" / "index.html").read_text())


def test_the_page_is_whole_and_needs_nothing_else(page: Page, layout: Layout) -> None:
    assert not page.open, "elements that were never closed"
    assert len(set(page.ids)) == len(page.ids)
    for link in page.links:
        assert link.startswith("data:") or link.removeprefix("#") in page.ids, link[:80]
    text = (layout.root / "reports" / "index.html").read_text()
    assert str(layout.root) not in text
    assert not re.search(r"(src|href|url\()\s*=?\s*[\"']?https?:", text)
    assert "default-src 'none'" in text


def test_names_cannot_break_the_page(page: Page) -> None:
    assert any(HOSTILE in text for text in page.text)
    assert any(video["label"].startswith(HOSTILE) for group in page.data["groups"] for video in group["videos"])


def test_every_table_is_there_and_every_cell_says_why_it_is_empty(page: Page, layout: Layout) -> None:
    content = json.loads((layout.page / "content.json").read_text())
    names = {path.stem for path in (layout.report / "tables").glob("*.csv")}
    assert {table["name"] for table in content["tables"]} == names
    assert all(f"Video reconstruction, dots ({protocol} protocol)" in page.text for protocol in ("strict", "legacy"))
    reasons = {entry["reason"] for entry in content["missing"]}
    assert "not run" in reasons
    assert all(reason in page.text for reason in reasons)


def test_a_cell_keeps_its_value_interval_and_reason() -> None:
    estimate = Estimate(0.027849, 0.026912, 0.028741, clips=28, frames=672)
    rows = (
        ("A & b", 1234, Value(estimate, 4, best=True), "avd"),
        ("other", Missing("not run"), Missing("a < b"), "n/a"),
    )
    table = table_content(Table("t", "t", ("Run", "Parameters", "L1 ↓", "Mode"), rows), {"A & b": "TPSMM"})
    text = render("eval.web", "table.html", shown=table)
    assert '<tr data-method="TPSMM" data-mode="avd"><th scope="row">A &amp; b</th>' in text
    assert '<td data-value="1234">1,234</td>' in text
    assert (
        '<td data-value="0.027849" title="28 clips, 672 frames"><b>.0278</b> <small>[.0269, .0287]</small></td>' in text
    )
    assert '<td class="missing" title="a &lt; b">n/a <small>a &lt; b</small></td>' in text


def test_videos_are_the_clips(page: Page, layout: Layout) -> None:
    groups = [group for group in page.data["groups"] if group["task"] == "reconstruction"]
    assert len(groups) == 3
    for group in groups:
        assert (group["frames"], group["width"], group["fps"], group["given"]) == (FRAMES, SIZE, 25.0, 1)
        labels = [video["label"] for video in group["videos"]]
        assert labels == ["real", HOSTILE, "Exact"], "the same runs for every clip"
        paths = [
            layout.test_clip(group["title"]),
            *(output_clip(layout, run, group["title"]) for run in ("still", "exact")),
        ]
        for video, path in zip(group["videos"], paths, strict=True):
            strip = decoded(page, group, video)
            frames = strip.reshape(SIZE, FRAMES, SIZE, 3).swapaxes(0, 1).astype(float)
            error = np.abs(frames - read_clip(path).frames).mean()
            assert error < 8 and error < np.abs(frames - read_clip(path).frames[::-1, ::-1]).mean(), video["label"]


def test_animations_have_the_same_pairs_in_every_mode(page: Page) -> None:
    groups = [group for group in page.data["groups"] if group["task"] == "animation"]
    assert {group["title"] for group in groups} == {"d#0 moved by e#0", "e#1 moved by d#1"}
    for group in groups:
        assert [video["mode"] for video in group["videos"]] == ["", "", "standard", "relative"]
        source, driving = (decoded(page, group, video) for video in group["videos"][:2])
        assert source.shape == (SIZE, SIZE, 3) and driving.shape == (SIZE, FRAMES * SIZE, 3)


def decoded(page: Page, group: dict, video: dict) -> np.ndarray:
    picture = base64.b64decode(page.data["pictures"][f"{group['dataset']}/{video['strip']}"])
    return np.array(Image.open(io.BytesIO(picture)).convert("RGB"))


def test_two_identities_tell_nothing_apart(layout: Layout, page: Page) -> None:
    questions = answer(Results(layout, read_config(layout)))
    (strict,) = (q for q in questions if q.title == "Reconstruction" and q.protocol == "strict")
    assert all(set(finding.best) == {"Exact", HOSTILE} for finding in strict.findings)
    assert strict.headline.endswith("no run is clearly best.")
    assert any(strict.headline in text for text in page.text)
    assert {q.mode for q in questions} == {"reconstruction"}, "one run alone animates: nothing to compare"


def test_the_answer_is_what_the_scores_say(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    # By the interval over clips alone: four clips are too few for the corrected test.
    monkeypatch.setattr(Comparison, "decided", property(lambda self: self.difference.excludes_zero))
    config = replace(read_config(layout), bootstrap=BootstrapConfig(samples=200, unit="clip"))
    results = Results(layout, config)
    questions = answer(results)
    (strict,) = (q for q in questions if q.title == "Reconstruction" and q.protocol == "strict")
    found = {finding.metric: finding for finding in strict.findings}
    assert found["AKD"].best == ("Exact",)
    akd = found["AKD"]
    assert (akd.verdict, akd.value, akd.rival) == ("Exact", ".00 [.00, .00]", HOSTILE)
    assert akd.lead.partition(" ")[0] == f"{results.estimate(Series('still'), 'akd').mean:.2f}"  # type: ignore[union-attr]
    assert akd.p == ".125", "of the 16 ways to swap, two are as far apart"
    assert akd.beats == "Exact" and float(akd.copy) > 0 and not akd.seeds, "no run has several seeds"
    assert set(found["EPE"].best) == {"Exact", HOSTILE}, "both predict the same motion"
    assert found["EPE"].verdict.startswith("open: ")
    assert strict.headline == "Exact is best in L1 and AKD. In MKR and EPE no run is clearly best."
    assert brief(results, questions) == "Exact is best in L1 and AKD; in MKR no method is clearly best."


def test_a_best_run_that_does_not_beat_the_copy_is_said_not_to(layout: Layout) -> None:
    results = Results(layout, read_config(layout))

    def finding(metric: str, best: tuple[str, ...], beats: str, by_seed: bool = False) -> Finding:
        return Finding(metric, "", best, ".10", "B", ".02", ".01", "", beats, ".05", by_seed)

    found = (
        finding("L1", ("A",), "none", by_seed=True),
        finding("AKD", ("A",), "all"),
        finding("MKR", ("A",), ""),  # the copy was not scored
        finding("AED", ("A", "B"), "none"),
    )
    assert headline(found).endswith(
        "In L1 not even the best run beats a repeated source. In AED no run is clearly best."
    )
    question = Question("Reconstruction", "", "reconstruction", results.protocol, True, found)
    doubted = "L1 (but not from every training seed and without beating a repeated source)"
    assert brief(results, [question]) == f"A is best in {doubted}, AKD and MKR."


def test_worst_frames_are_the_worst(layout: Layout) -> None:
    results = Results(layout, read_config(layout))
    rows = results.values(Series("still"), "akd")
    found = worst_frames(results, Series("still"), results.metrics["akd"], 2)
    assert found[0].value == rows["value"].max() and len({failure.clip for failure in found}) == 2
    assert not worst_frames(results, Series("exact"), results.metrics["akd"], 2), "what is exact does not fail"


def test_clips_come_from_the_hardest_on(layout: Layout) -> None:
    results = Results(layout, read_config(layout))
    order = hardest(results, [Series("still")])
    assert sorted(order) == sorted(TESTS)
    ranks = [results.by_clip(Series("still"), name).rank() for name in ("l1", "akd", "mkr", "epe")]
    badness = [sum(rank[clip] for rank in ranks) for clip in order]
    assert badness == sorted(badness, reverse=True)


@pytest.mark.parametrize(("length", "step"), [(1, 1), (48, 1), (49, 2), (500, 11)])
def test_long_clips_keep_their_speed(layout: Layout, length: int, step: int) -> None:
    frames = chosen_frames(length, read_config(layout).videos)
    assert frames == list(range(0, length, step)) and len(frames) <= 48


def test_the_report_begins_with_its_table_and_a_moving_comparison(layout: Layout) -> None:
    page = (layout.report / "README.md").read_text()
    assert page.index("**Video reconstruction, dots (strict protocol)**") < 40
    assert page.index("(figures/comparison.webp)") < page.index("## Which is best at what")
    with Image.open(layout.report / "figures" / "comparison.webp") as picture:
        assert picture.n_frames == FRAMES and picture.info["loop"] == 0
        tile = (picture.width - 2 * GAP) // 3
        moments = []
        for i in range(FRAMES):
            picture.seek(i)
            sheet = np.asarray(picture.convert("RGBA"))
            assert not sheet[HEAD:, tile : tile + GAP, 3].any(), "it has no background"
            moments.append([sheet[HEAD:, k * (tile + GAP) :][:, :tile, :3].astype(float) for k in range(3)])
    shown = comparison(Results(layout, read_config(layout)))
    assert shown is not None and list(shown.made) == [HOSTILE]
    driving, source = read_clip(shown.driving).frames, read_clip(shown.source).frames[0]
    factor = tile // SIZE
    for moment, frame in zip(moments, driving, strict=True):
        for tile_shown, real in zip(moment, (source, frame, source), strict=True):  # `still` repeats the source
            assert np.abs(tile_shown - real.repeat(factor, 0).repeat(factor, 1)).mean() < 8


def test_a_large_comparison_is_made_smaller(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    results, path = Results(layout, read_config(layout)), layout.report / "figures" / "comparison.webp"
    kept = path.read_bytes()
    monkeypatch.setattr("eval.figures.comparison.LARGEST", len(kept) - 1)
    assert moving_comparison(results) == path and path.stat().st_size < len(kept)
    path.write_bytes(kept)


def test_a_comparison_needs_a_mode_that_all_have() -> None:
    assert common_mode([("a", "standard"), ("a", "relative"), ("b", "relative")]) == "relative"
    assert common_mode([("a", "standard"), ("b", "relative")]) == common_mode([]) == ""


def test_figures_are_made(layout: Layout) -> None:
    names = {path.stem for path in (layout.report / "figures").glob("*.png")}
    assert {"insides_exact", "scatter_still_exact", "failures_akd", "failures_epe"} <= names
    with Image.open(layout.report / "figures" / "insides_exact.png") as picture:
        assert picture.width > 8 * picture.height * 0.7, "one clip: a row of nine pictures"
    assert Results(layout, read_config(layout)).method_title("tps") == "TPSMM"


def test_a_page_repeats_itself(layout: Layout) -> None:
    def contents() -> dict[str, object]:
        pictures = {path.name: path.read_bytes() for path in layout.page.glob("*.webp")}
        content = json.loads((layout.page / "content.json").read_text())
        return pictures | {key: value for key, value in content.items() if key != "provenance"}  # has the time it took

    before = contents()
    assert main(["report", "--dataset", "dots", "--root", str(layout.root)]) == 0
    assert main(["page", "--root", str(layout.root)]) == 0
    assert contents() == before


def test_nothing_reported_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["page", "--root", str(tmp_path)]) == 2
    assert "run `python -m eval report --dataset D` first" in capsys.readouterr().err
    torn = tmp_path / "pages" / "dots" / "content.json"
    torn.parent.mkdir(parents=True)
    torn.write_text("{")
    assert main(["page", "--root", str(tmp_path)]) == 2
    assert "pages/dots/content.json is not valid JSON" in capsys.readouterr().err
    torn.write_text('{"dataset": "dots"}')
    assert main(["page", "--root", str(tmp_path)]) == 2
    assert "was written by another version of this program; run `python -m eval report --dataset dots`" in (
        capsys.readouterr().err
    )


def every_path(value: object, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """To all that stands in some JSON but in records that may hold anything."""
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        if key not in ("provenance", "quality"):
            yield (*path, key)
            yield from every_path(inner, (*path, key))


def altered(content: dict, path: tuple[str | int, ...], change: object) -> dict:
    content = json.loads(json.dumps(content))
    *above, key = path
    inner = content
    for step in above:
        inner = inner[step]
    if change is None:
        del inner[key]
    else:
        inner[key] = change
    return content


def test_a_part_of_a_page_is_refused_where_anything_in_it_is_lacking_or_of_another_kind(
    layout: Layout, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "pages" / "dots"
    shutil.copytree(layout.page, folder)
    content = json.loads((folder / "content.json").read_text())
    first = {tuple("*" if isinstance(step, int) else step for step in path): path for path in every_path(content)}
    refused = 0
    for path in first.values():
        for change in (None, {"surely": ["none"]}, 7.5):
            (folder / "content.json").write_text(json.dumps(altered(content, path, change)))
            status, said = main(["page", "--root", str(tmp_path)]), capsys.readouterr().err
            # A list may be shorter, and what has a default be left out.
            may_pass = change is None and (isinstance(path[-1], int) or path[-1] in OPTIONAL)
            may_pass |= path[-1] == "fps" and change == 7.5
            assert status == 2 or (status == 0 and may_pass), (path, change, said)
            assert status == 0 or ("pages/dots/content.json" in said and "eval report --dataset dots" in said), said
            refused += status == 2
    assert refused > 150


OPTIONAL = ("interval", "sample", "best", "findings", "sentences", "method", "mode", "main", "values")


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda folder: next(folder.glob("failure!*.webp")).unlink(), "which is not beside it"),
        (lambda folder: folder.rename(folder.with_name("other")), "is of the data set 'dots'"),
        (lambda folder: pipe(next(folder.glob("figure-*.webp"))), "no regular file"),
    ],
    ids=["an image is lost", "another data set", "a pipe for an image"],
)
def test_a_page_without_what_it_shows_is_refused(
    layout: Layout, tmp_path: Path, capsys: pytest.CaptureFixture[str], spoil: Callable[[Path], object], says: str
) -> None:
    shutil.copytree(layout.page, tmp_path / "pages" / "dots")
    spoil(tmp_path / "pages" / "dots")
    assert main(["page", "--root", str(tmp_path)]) == 2
    assert says in capsys.readouterr().err


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize(
    ("videos", "says"),
    [
        ({"clips": 0}, "clips: must be at least 1"),
        ({"frames": 200}, "frames: 200 frames of 128 px side by side are more than"),
    ],
)
def test_videos_that_cannot_be_are_refused(
    videos: dict, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    layout = make_data(tmp_path, train=("a#0",))
    configure(layout, {"videos": videos})
    assert main(["report", "--dataset", "dots", "--root", str(tmp_path)]) == 2
    assert f"evaluation.dots.videos.{says}" in capsys.readouterr().err


@pytest.fixture(scope="module")
def two_sets(layout: Layout, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of two data sets; the second is the first under another name."""
    root = tmp_path_factory.mktemp("two")
    for name in ("dots", "others"):
        shutil.copytree(layout.page, root / "pages" / name)
        content = root / "pages" / name / "content.json"
        content.write_text(json.dumps(json.loads(content.read_text()) | {"dataset": name}))
    assert main(["page", "--root", str(root)]) == 0
    return root / "reports" / "index.html"


def test_a_browser_sorts_plays_and_filters(two_sets: Path) -> None:
    with visit(two_sets) as seen:
        page = seen.page
        page.get_by_role("link", name="Every metric").click()
        page.locator("#metrics article[data-set=dots] details.table summary").first.click()
        table = page.locator("#metrics article[data-set=dots] table.sortable").first
        order = lambda: table.locator("tbody th").all_inner_texts()  # noqa: E731
        page.get_by_role("button", name="AKD ↓").first.click()
        assert order()[-1] == "absent" and order().index("Exact") < order().index(HOSTILE)
        page.get_by_role("button", name="AKD ↓").first.click()
        assert order()[-1] == "absent" and order().index("Exact") > order().index(HOSTILE)

        page.get_by_role("link", name="Videos").click()
        page.locator("#groups article").first.scroll_into_view_if_needed()
        page.locator(f"{FIRST}[data-frame]").nth(2).wait_for()
        page.locator("#player").get_by_role("button", name="Pause").click()
        page.locator("#time").evaluate("bar => { bar.value = 2; bar.dispatchEvent(new Event('input')); }")
        page.locator(f"{FIRST}[data-frame='2']").first.wait_for()
        shown = page.evaluate(f"[...document.querySelectorAll('{FIRST}')].map(canvas => canvas.dataset.frame)")
        assert shown == ["2"] * 3, "all stand at the same frame"
        assert page.locator(FIRST).first.evaluate(PAINTED)
        page.locator("#player").get_by_role("button", name="Play").click()
        page.locator(f"{FIRST}:not([data-frame='2'])").first.wait_for()

        page.locator("[data-filter=set]").select_option("others")
        assert not page.locator("article[data-set=dots]:visible").count()
        assert page.locator("article[data-set=others]:visible").count()
        page.locator("[data-filter=mode]").select_option("relative")
        labels = page.locator("#groups figure:visible b").all_inner_texts()
        assert labels and all(label in ("source", "driving") or label.endswith(", relative") for label in labels)
        page.locator("[data-filter=mode]").select_option("reconstruction")
        page.get_by_role("link", name="Failures").click()
        page.locator("#metric").select_option("AKD")
        assert page.locator("#cards .card:visible").count()


FIRST = "#groups article:first-child canvas"
PAINTED = """canvas => {
  const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  return new Set(pixels).size > 3;
}"""


@pytest.mark.parametrize(("width", "height", "last"), [(1280, 800, "nav"), (390, 844, "#brief")])
def test_the_first_screen_moves_and_has_the_answer(two_sets: Path, width: int, height: int, last: str) -> None:
    """Without a click and without scrolling in either direction."""
    with visit(two_sets, width=width, height=height) as seen:
        page = seen.page
        page.locator("#moving canvas[data-frame]").nth(2).wait_for()
        assert page.locator("#moving figcaption").all_inner_texts() == ["source", "driving clip", HOSTILE]
        assert all(canvas.evaluate(PAINTED) for canvas in page.locator("#moving canvas").all())
        assert page.evaluate(f"document.querySelector('{last}').getBoundingClientRect().bottom") <= height
        assert page.evaluate("document.scrollingElement.scrollWidth") <= width
        before = page.locator("#moving canvas").first.get_attribute("data-frame")
        page.locator(f"#moving canvas:not([data-frame='{before}'])").nth(2).wait_for()
        page.locator("#front").get_by_role("button", name="Pause").click()
        times = {canvas.get_attribute("data-frame") for canvas in page.locator("#moving canvas").all()}
        assert len(times) == 1, "all play in step"


def test_a_keyboard_opens_what_is_folded(two_sets: Path) -> None:
    with visit(two_sets) as seen:
        page = seen.page
        assert not page.locator("main > section > details[open]").count()
        page.get_by_role("link", name="Failures").focus()
        page.keyboard.press("Enter")
        page.locator("#failures > details[open]").wait_for()
        page.locator("#pairs > details > summary").focus()
        page.keyboard.press("Space")
        page.locator("#pairs > details[open] table.matrix").first.wait_for()


def test_a_link_from_elsewhere_opens_its_section(two_sets: Path) -> None:
    with visit(two_sets) as seen:
        seen.page.goto(f"{two_sets.resolve().as_uri()}#protocols")
        seen.page.locator("#protocols > details[open]").wait_for()


def test_a_screen_reader_finds_names_for_all(two_sets: Path) -> None:
    with visit(two_sets, reduced_motion="reduce") as seen:
        page = seen.page
        page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")
        assert page.get_by_role("heading", level=1).count() == 1
        titles = page.locator("main > section").evaluate_all("all => all.map(one => one.querySelector('h2').innerText)")
        assert titles == page.locator("nav a").all_inner_texts() and "Ablations" in titles
        assert page.get_by_role("button", name="Play").count() == 2, "nothing moves where motion is unwelcome"
        unnamed = """all => all.filter(one => !(one.labels && one.labels.length) && !one.innerText
          && !one.getAttribute("aria-label") && !one.alt).map(one => one.outerHTML.slice(0, 80))"""
        assert page.locator("button, select, input, canvas[role=img], img, summary, a").evaluate_all(unnamed) == []
        assert page.locator(".board caption").count() == 1 and not page.locator("thead th:not([scope])").count()


def test_no_sentence_takes_more_than_two_lines(two_sets: Path) -> None:
    """Words of the page and of the report; text in cells has columns of its own width."""
    with visit(two_sets) as seen:
        page = seen.page
        page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")
        long = page.locator("header p, #front p, main p, main li, figcaption").evaluate_all(
            """all => all.filter(one => {
              const lines = one.getBoundingClientRect().height / parseFloat(getComputedStyle(one).lineHeight);
              return Math.round(lines) > 2 * Math.max(1, one.innerText.split(/[.:;?!](?= |$)/).length - 1);
            }).map(one => one.innerText)"""
        )
        assert long == []


def luminance(colour: str) -> float:
    """Relative luminance by WCAG, of a colour such as #1b1f24 or #fff."""
    digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
    parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_words_stand_out_in_light_and_in_the_dark() -> None:
    css = render("eval.web", "page.css")
    palettes = [
        dict(re.findall(r"--(\w+): (#\w+)", line)) for line in css.splitlines() if "--ink" in line and ":root" in line
    ]
    assert len(palettes) == 2 and luminance(palettes[0]["paper"]) > 0.9 > 0.1 > luminance(palettes[1]["paper"])
    for palette in palettes:
        for ink, paper in (
            ("ink", "paper"),
            ("soft", "paper"),
            ("soft", "shade"),
            ("accent", "paper"),
            ("best", "won"),
        ):
            dark, light = sorted((luminance(palette[ink]), luminance(palette[paper])))
            assert (light + 0.05) / (dark + 0.05) >= 4.5, (ink, paper)


def test_a_phone_shows_all_of_it_without_scrolling_sideways(two_sets: Path) -> None:
    with visit(two_sets, width=390, height=844) as seen:
        seen.page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")
        assert seen.page.evaluate("document.scrollingElement.scrollWidth") <= 390
