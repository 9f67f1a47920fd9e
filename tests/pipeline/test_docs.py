"""README.md and docs: short enough, complete, and without a link or a command that leads nowhere."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest
import yaml
from typer.main import get_command

from eval import metrics
from tpsm import __version__
from tpsm.cli.main import app
from tpsm.methods import FRAMES, METHODS

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), ROOT / "weights/README.md"])


def test_the_readme_fits_two_screens() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 150


def test_the_readme_begins_with_what_moves_what_to_type_and_who_is_best() -> None:
    first = (ROOT / "README.md").read_text(encoding="utf-8").partition("\n## ")[0]
    assert "make repro" in first and "make test" in first and "<!-- End of the numbers. -->" in first
    (picture,) = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", first)
    assert picture.endswith(".webp") and (ROOT / picture).stat().st_size <= 1_000_000


def test_the_index_names_every_page() -> None:
    linked = set(re.findall(r"\]\(([\w-]+\.md)\)", (ROOT / "docs/README.md").read_text(encoding="utf-8")))
    assert linked == {page.name for page in ROOT.glob("docs/*.md")} - {"README.md"}


def test_the_site_names_every_page() -> None:
    found = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]
    listed = [page for part in found for page in ([part] if isinstance(part, str) else next(iter(part.values())))]
    assert sorted(listed) == sorted(page.name for page in ROOT.glob("docs/*.md"))


def test_the_site_has_no_link_out_of_its_folder() -> None:
    hook = runpy.run_path(str(ROOT / "docs/site.py"))["on_page_markdown"]
    for page in ROOT.glob("docs/*.md"):
        assert "](../" not in hook(page.read_text(encoding="utf-8"))
    assert hook("[a text](../a/b.py#c), [c.py](../c.py)") == "a text (`a/b.py`), c.py"


@pytest.mark.parametrize("name", metrics.names())
def test_every_metric_has_a_card_that_agrees_with_it(name: str) -> None:
    metric, _ = metrics.load(name)
    cards = (ROOT / "docs/metrics.md").read_text(encoding="utf-8").split("\n## ")
    (card,) = [" ".join(card.split()) for card in cards if card.startswith(f"{metric.title} (`{name}`)")]
    assert f"**Unit** {metric.unit}" in card
    assert f"{'lower' if metric.lower_is_better else 'higher'} is better" in card
    assert ("**Legacy** none" in card) == (metric.legacy is None)
    for part in ("Formula", "Weakness", "Example"):
        assert f"**{part}** " in card


def test_every_data_set_and_method_has_a_card() -> None:
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    sets, methods = ((ROOT / f"docs/{name}.md").read_text(encoding="utf-8") for name in ("data-sets", "methods"))
    headings = " ".join(line for line in sets.splitlines() if line.startswith("## "))
    assert all(name.split("-")[0] in headings for name in params["data"])
    assert all(f"(`{name}`)\n" in methods for name in (*METHODS, FRAMES))


def test_the_citation_has_the_version_of_the_code() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == __version__
    assert len(citation["references"]) == len(METHODS)
    for form in (ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml"):
        assert yaml.safe_load(form.read_text(encoding="utf-8"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        file, _, heading = target.partition("#")
        if "://" in file:
            continue
        linked = page.parent / file if file else page
        assert linked.exists(), f"{page.name} links to {target}"
        if heading:
            assert heading in anchors(linked), f"{page.name} links to {target}"


def anchors(page: Path) -> set[str]:
    """The names that GitHub gives to a page's headings."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", [page for page in PAGES if page.name != "CHANGELOG.md"], ids=lambda page: page.name)
def test_commands_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    code = "\n".join("".join(found) for found in re.findall(r"```\n(.*?)```|`([^`\n]+)`", text, re.DOTALL))
    verbs = get_command(app).commands  # type: ignore[attr-defined]
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    for verb in re.findall(r"^(?:.*-m )?tpsm ([a-z][\w-]*)", code, re.MULTILINE):
        assert verb in verbs, f"{page.name}: tpsm {verb}"
    for target in re.findall(r"^make ([a-z][\w-]*)", code, re.MULTILINE):
        assert target in targets, f"{page.name}: make {target}"
