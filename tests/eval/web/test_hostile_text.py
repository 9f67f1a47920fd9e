"""Text from elsewhere stays text: in the page, in README.md, in tables and in figures."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser

import pandas as pd
import pytest
import small_pipeline
import yaml
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from matplotlib.figure import Figure
from small_pipeline import FRAMES, TESTS, configure, make_data, make_outputs

from eval.__main__ import main
from eval.figures.drawing import short
from eval.metrics import load
from eval.scoring.scores_file import write_scores
from eval.templates import escape_markdown
from tpsm.core.layout import Layout

CLIP = "d<xss>clip#0 $x"
MARKDOWN = MarkdownIt("commonmark").enable("table")


def hostile(word: str) -> str:
    """Ends every element and attribute, opens one of its own, links elsewhere, and is a broken formula."""
    tags, links = """</script></style>"'><xss onload='x'>&lt;xss>""", "[a](http://xss) ![b](http://xss)"
    return f"{word}{tags} {links} | $\\frac{{ 😀 ꧁\n# c"


CARD = {key: hostile(key) for key in ("title", "unit", "source", "legacy")}
ABOUT = {
    "run": {"method": hostile("method"), "precision": hostile("precision"), "keypoints": 10, "released": "x"}
    | {"steps": 3, "batch": 8, "seed": 0},
    "provenance": {
        "seconds": 1.0, "resumed": False, "seed": 0, "precision": hostile("precision"),
        "hardware": {"gpu": None, "cpu": hostile("cpu"), "cores": 1, "threads": 1, "instructions": hostile("avx"),
                     "gpus": 0},
        "code": {"commit": "<xss><xss>", "changed": True}, "weights": {hostile("file"): hostile("hash")},
        "parameters": {hostile("section"): hostile("hash")}, "evaluators": {hostile("network"): hostile("hash")},
        "versions": {hostile("package"): hostile("version")}, "data": {hostile("key"): [hostile("item")]},
    },
}  # fmt: skip


class Tags(HTMLParser):
    """The elements and attributes of a page, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: dict[str, str] = {}
        self.links: list[str] = []
        self.texts: list[str] = []
        self.feed(html)
        self.close()
        self.text = "".join(self.texts)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name: str(value) for name, value in attributes}
        self.links += [str(value) for name, value in attributes if name in ("src", "href")]

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def scores(layout: Layout, run: str, mode: str) -> None:
    """Of every test clip, and of two pairs in `mode`; in columns of text that decide nothing, text from elsewhere."""
    rows = []
    for number, clip in enumerate(small_pipeline.TESTS):
        for metric, protocol in (("l1", "strict"), ("l1", "legacy"), ("epe", "strict")):
            rows += [
                {"task": "reconstruction", "mode": "", "clip": clip, "metric": metric, "protocol": protocol}
                | {"frame": frame, "value": 0.1 * (1 + number) + (run == "exact")}
                for frame in range(FRAMES)
            ]
    for pair in ("d#0--e#0", "e#1--d#1"):
        of = {"task": "animation", "mode": mode, "clip": pair, "metric": "aed", "protocol": "strict"}
        rows += [of | {"frame": frame, "value": 0.1 + (run == "exact")} for frame in range(FRAMES)]
    table = pd.DataFrame(rows).assign(dataset=hostile("set"), run=hostile("run"), version=1)
    table["identity"] = "<xss>" + table["clip"].str[:1]
    table["version"] = [load(metric)[0].version for metric in table["metric"]]
    layout.scores(run).parent.mkdir(parents=True, exist_ok=True)
    write_scores(layout.scores(run), table, ABOUT)


@pytest.fixture(scope="module")
def patched() -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as patch:
        yield patch


@pytest.fixture(scope="module")
def layout(tmp_path_factory: pytest.TempPathFactory, patched: pytest.MonkeyPatch) -> Layout:
    patched.setattr(small_pipeline, "TESTS", (*TESTS, CLIP))
    patched.setattr("eval.metrics.l1.METRIC", replace(load("l1")[0], **CARD))
    layout = make_data(tmp_path_factory.mktemp("hostile"), train=("a#0",))
    make_outputs(layout)
    for run in ("still", "exact"):
        (layout.model(run) / "summary.json").unlink()  # the scores alone speak of the run
    layout.labels.write_text(yaml.safe_dump({"still": hostile("Still"), "exact": "_$ 😀 ꧁ ملف"}))
    tables = {key: ["still", "exact"] for key in ("reconstruction", "k_ablation", "components", "animation")}
    section = {"evaluators": {}, "metrics": ["l1", "epe", "aed"], "bootstrap": {"samples": 200}, "tables": tables}
    configure(layout, section | {"figures": {"clips": 5, "frames": 2, "enlarge_to": 32}, "videos": {"clips": 5}})
    for run in ("still", "exact"):
        scores(layout, run, "standard")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", "constrained_layout not applied")  # words that are longer than a panel
        assert main(["report", "--dataset", "dots", "--root", str(layout.root)]) == 0
    assert main(["page", "--root", str(layout.root)]) == 0
    return layout


def index(layout: Layout) -> Tags:
    return Tags((layout.root / "reports" / "index.html").read_text(encoding="utf-8"))


def test_every_text_is_escaped_in_the_page(layout: Layout) -> None:
    page = index(layout)
    assert not any("xss" in name for name in page.tags | page.attributes.keys()) and "onload" not in page.attributes
    assert all(link.startswith(("data:", "#")) for link in page.links)
    words = (*CARD, "Still", "method", "precision", "cpu", "avx", "file", "hash", "key", "item")
    for word in set(words) - {"legacy"}:  # how the papers compute it stands in README.md alone
        assert hostile(word) in page.text or hostile(word) in page.attributes.values(), word
    data = json.loads(page.text[page.text.index('{"cards"') :].partition("\n")[0])
    assert CLIP in {card["clip"] for card in data["cards"]} and CLIP in {group["title"] for group in data["groups"]}
    assert hostile("Still") in {card["run"] for card in data["cards"]}


def test_markdown_shows_text_and_no_markup_of_its_own(layout: Layout) -> None:
    files = [layout.report / "README.md", *(layout.report / "tables").glob("*.md")]
    assert len(files) > 5
    for file in files:
        text = file.read_text(encoding="utf-8")
        page = Tags(MARKDOWN.render(text))
        assert "xss" not in page.tags and "script" not in page.tags, file.name
        assert not any("xss" in link for link in page.links), file.name
        assert not any(line.startswith("# c") for line in text.splitlines()), file.name
        tables = [line for line in text.splitlines() if line.startswith("|")]
        assert tables and "<table>" in MARKDOWN.render(text), file.name
    words = (*CARD, "Still", "cpu", "precision")
    text = Tags(MARKDOWN.render(files[0].read_text(encoding="utf-8"))).text
    assert all(f"{word}</script>" in text for word in words)


def test_a_mode_that_nobody_scores_is_refused(layout: Layout, capsys: pytest.CaptureFixture[str]) -> None:
    kept = layout.scores("still").read_bytes()
    scores(layout, "still", "<xss>")
    assert main(["report", "--dataset", "dots", "--root", str(layout.root)]) == 2
    message = capsys.readouterr().err
    assert "still.parquet" in message and "mode '<xss>'" in message and "python -m eval score" in message
    layout.scores("still").write_bytes(kept)


def test_figures_take_names_as_text(layout: Layout) -> None:
    """Those with labels, metrics' titles and clips' names in them are drawn."""
    names = {path.stem for path in (layout.report / "figures").glob("*.png")}
    assert {"reconstruction", "failures_l1", "scatter_still_exact", "k_ablation", "loss_curves"} <= names


def test_a_legend_leaves_no_label_out() -> None:
    axis = Figure().subplots()
    for label in ("_x", "__", "$\\frac{", "a\nb", 90 * "w"):
        axis.plot([0, 1], label=short(label))
    shown = [text.get_text() for text in axis.legend().get_texts()]
    assert shown == [" _x", " __", "$\\frac{", "a b", 39 * "w" + "…"]


@given(st.text(alphabet="ab<>/!?[]()\\`*_&;|\n\r #-", max_size=30))
def test_escaped_markdown_makes_neither_tag_nor_link(text: str) -> None:
    for shown in (MARKDOWN.render(f"- x: {escape_markdown(text)}"), MARKDOWN.render(f"**{escape_markdown(text)}** y")):
        assert not Tags(shown).tags - {"ul", "li", "p", "em", "strong", "code"}, shown
    assert escape_markdown(escape_markdown(text)) == escape_markdown(text)
