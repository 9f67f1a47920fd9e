"""`reports/index.html`, from what the reports of the data sets left in `pages/`."""

from __future__ import annotations

import base64
import json
import logging
from html import escape
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any

from eval.web import FORMAT, render
from tpsm.core.errors import UserError
from tpsm.core.files import write_text
from tpsm.core.reading import read_json

log = logging.getLogger(__name__)
LARGE = 40_000_000
"""Bytes that a telephone's browser still opens."""


def write_index(root: Path) -> Path:
    """One file that needs no other and no network.

    Raises:
        UserError: no data set has been reported, or its part of the page is unreadable.
    """
    folders = sorted(path.parent for path in (root / "pages").glob("*/content.json"))
    if not folders:
        raise UserError("There is nothing to make a page of in pages/; run `python -m eval report --dataset D` first.")
    contents = [_read(folder) for folder in folders]
    pictures = {f"{folder.name}/{path.name}": _encoded(path) for folder in folders for path in folder.glob("*.webp")}
    page = Template(_asset("page.html")).substitute(
        title=escape(", ".join(content["dataset"] for content in contents)),
        style=_asset("page.css"),
        script=_asset("page.js"),
        filters=render.filters(contents),
        answer="".join(map(render.answer, contents)),
        metrics=render.metrics(contents),
        tables="".join(map(render.tables, contents)),
        figures="".join(render.figures(content, pictures) for content in contents),
        missing="".join(map(render.missing, contents)),
        provenance="".join(map(render.provenance, contents)),
        data=_script(_played(contents, pictures)),
    )
    path = root / "reports" / "index.html"
    write_text(path, page)
    if path.stat().st_size > LARGE:
        log.warning("reports/index.html has %d MB; evaluation.*.videos bounds it.", path.stat().st_size // 1_000_000)
    return path


def _played(contents: list[dict[str, Any]], pictures: dict[str, str]) -> dict[str, Any]:
    """What the script shows: videos and failures, and their pictures."""
    groups = [{"dataset": c["dataset"]} | group for c in contents for group in c["groups"]]
    cards = [{"dataset": c["dataset"]} | card for c in contents for card in c["failures"]]
    used = {f"{group['dataset']}/{video['strip']}" for group in groups for video in group["videos"]}
    used |= {f"{card['dataset']}/{card['strip']}" for card in cards}
    return {"groups": groups, "cards": cards, "pictures": {name: pictures[name] for name in sorted(used)}}


def _read(folder: Path) -> dict[str, Any]:
    path = folder / "content.json"
    again = f"run `python -m eval report --dataset {folder.name}` again."
    content = read_json(path, "part of a page")
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise UserError(f"pages/{folder.name}/content.json was written by another version of this program; {again}")
    return content


def _encoded(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode("ascii")


def _asset(name: str) -> str:
    return resources.files("eval.web").joinpath(name).read_text(encoding="utf-8")


def _script(data: dict[str, Any]) -> str:
    """JSON that cannot end the script element that it stands in."""
    return json.dumps(data, sort_keys=True, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
