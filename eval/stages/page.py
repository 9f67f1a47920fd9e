"""`reports/index.html`, from what the reports of the data sets left in `pages/`."""

from __future__ import annotations

import base64
import json
import logging
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from eval.templates import render
from eval.web import FORMAT, views
from eval.web.shown import Content
from tpsm.core.errors import UserError
from tpsm.core.files import write_text
from tpsm.core.reading import read_json, require_file
from tpsm.core.schema import from_mapping

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

    # The page, with all images in it.
    pictures = {
        f"{folder.name}/{name}": _encoded(folder, name)
        for folder, content in zip(folders, contents, strict=True)
        for name in content.images()
    }
    page = render(
        "eval.web",
        "page.html",
        contents=contents,
        first=views.first(contents),
        views=views,
        sections=views.sections(contents),
        menus=_menus(contents),
        metrics=list({metric.title: metric for content in contents for metric in content.metrics}.values()),
        reading=_all(contents, "reading"),
        pictures=pictures,
        data=_played(contents, pictures),
        in_full=partial(json.dumps, indent=1),
    )
    path = root / "reports" / "index.html"
    write_text(path, page)
    if path.stat().st_size > LARGE:
        log.warning("reports/index.html has %d MB; evaluation.*.videos bounds it.", path.stat().st_size // 1_000_000)
    return path


def _all(contents: list[Content], key: str) -> list[str]:
    return list(dict.fromkeys(value for content in contents for value in getattr(content, key)))


def _menus(contents: list[Content]) -> list[dict[str, Any]]:
    """The filters; one with a single value is not shown."""
    return [
        {"key": "set", "title": "Data set", "values": [content.dataset for content in contents], "chosen": ""},
        {"key": "method", "title": "Method", "values": _all(contents, "methods"), "chosen": ""},
        {"key": "mode", "title": "Mode", "values": _all(contents, "modes"), "chosen": ""},
        {"key": "protocol", "title": "Protocol", "values": _all(contents, "protocols"), "chosen": ""},
    ]


def _played(contents: list[Content], pictures: dict[str, str]) -> dict[str, Any]:
    """What the script shows: videos and failures, and their images."""
    groups = [{"dataset": content.dataset} | asdict(group) for content in contents for group in content.groups]
    cards = [{"dataset": content.dataset} | asdict(card) for content in contents for card in content.failures]
    used = {f"{group['dataset']}/{video['strip']}" for group in groups for video in group["videos"]}
    used |= {f"{card['dataset']}/{card['strip']}" for card in cards}
    return {
        "first": _first(contents),
        "groups": groups,
        "cards": cards,
        "pictures": {name: pictures[name] for name in sorted(used)},
    }


def _first(contents: list[Content]) -> dict[str, Any] | None:
    """The first screen's videos, as the script takes them; None where there are none."""
    found = views.first(contents)
    if found is None:
        return None
    content, first = found
    about = {key: getattr(first.group, key) for key in ("frames", "fps", "width", "height")}
    return about | {"strips": [f"{content.dataset}/{strip}" for _, strip in first.videos], "still": first.still}


def _read(folder: Path) -> Content:
    where = f"pages/{folder.name}/content.json"
    again = f"run `python -m eval report --dataset {folder.name}` again"
    values = read_json(folder / "content.json", "part of a page")
    if not isinstance(values, dict) or values.get("format") != FORMAT:
        raise UserError(f"{where} was written by another version of this program; {again}.")
    try:
        content = from_mapping(Content, values, where)
    except UserError as error:
        raise UserError(f"{where} is damaged; {again}. {error}") from error
    if content.dataset != folder.name:
        raise UserError(f"{where} is of the data set {content.dataset!r:.80}; {again}.")
    there = {path.name for path in folder.iterdir()}
    if lost := [name for name in content.images() if name not in there]:
        raise UserError(f"{where} names the image {lost[0]!r:.80}, which is not beside it; {again}.")
    return content


def _encoded(folder: Path, name: str) -> str:
    require_file(folder / name, "image")
    return base64.b64encode((folder / name).read_bytes()).decode("ascii")
