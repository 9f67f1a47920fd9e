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
from eval.report.findings import answer
from eval.report.worst import worst_frames
from eval.stats.config import BootstrapConfig
from eval.stats.intervals import Estimate
from eval.stats.pairwise import Comparison
from eval.tables.results import Results, Series
from eval.tables.table import Missing, Table, Value
from eval.templates import render
from eval.web.content import table_content
from eval.web.strips import chosen_frames
from eval.web.videos import hardest
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
    questions = answer(Results(layout, config))
    (strict,) = (q for q in questions if q.title == "Reconstruction" and q.protocol == "strict")
    found = {finding.metric: finding for finding in strict.findings}
    assert found["AKD"].best == ("Exact",)
    assert found["AKD"].sentence.startswith("Exact is best: .00 [.00, .00], lower than St<i>ill</i>")
    assert found["AKD"].sentence.endswith("p = .125."), "of the 16 ways to swap, two are as far apart"
    assert len(found["AKD"].beside) == 1, "no run has several seeds"
    assert found["AKD"].beside[0].startswith("Only Exact beats the repeated source (")
    assert set(found["EPE"].best) == {"Exact", HOSTILE}, "both predict the same motion"
    assert "do not differ significantly" in found["EPE"].sentence
    assert strict.headline == "Exact is best in L1 and AKD. In MKR and EPE no run is clearly best."


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
        table = page.locator("#tables article[data-set=dots] table").first
        order = lambda: table.locator("tbody th").all_inner_texts()  # noqa: E731
        page.get_by_role("button", name="AKD ↓").first.click()
        assert order()[-1] == "absent" and order().index("Exact") < order().index(HOSTILE)
        page.get_by_role("button", name="AKD ↓").first.click()
        assert order()[-1] == "absent" and order().index("Exact") > order().index(HOSTILE)

        page.locator("#groups article").first.scroll_into_view_if_needed()
        page.locator(f"{FIRST}[data-frame]").nth(2).wait_for()
        page.get_by_role("button", name="Pause").click()
        page.locator("#time").evaluate("bar => { bar.value = 2; bar.dispatchEvent(new Event('input')); }")
        page.locator(f"{FIRST}[data-frame='2']").first.wait_for()
        shown = page.evaluate(f"[...document.querySelectorAll('{FIRST}')].map(canvas => canvas.dataset.frame)")
        assert shown == ["2"] * 3, "all stand at the same frame"
        assert page.locator(FIRST).first.evaluate(PAINTED)
        page.get_by_role("button", name="Play").click()
        page.locator(f"{FIRST}:not([data-frame='2'])").first.wait_for()

        page.locator("[data-filter=set]").select_option("others")
        assert not page.locator("article[data-set=dots]:visible").count()
        assert page.locator("article[data-set=others]:visible").count()
        page.locator("[data-filter=mode]").select_option("relative")
        labels = page.locator("#groups figure:visible b").all_inner_texts()
        assert labels and all(label in ("source", "driving") or label.endswith(", relative") for label in labels)
        page.locator("[data-filter=mode]").select_option("reconstruction")
        page.locator("#metric").select_option("AKD")
        assert page.locator("#cards .card:visible").count()


FIRST = "#groups article:first-child canvas"
PAINTED = """canvas => {
  const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  return new Set(pixels).size > 3;
}"""


def test_a_phone_shows_it_without_scrolling_sideways(two_sets: Path) -> None:
    with visit(two_sets, width=390, height=844) as seen:
        assert seen.page.evaluate("document.scrollingElement.scrollWidth") <= 390
