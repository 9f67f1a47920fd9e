"""A study's key from elsewhere: it names no folder but its own, and what does not fit is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from eval.__main__ import main

ITEM = {"id": "i", "clip": "a--b", "videos": {"t1": "one", "t2": "two"}}
KEY = {
    "study": "s",
    "dataset": "dots",
    "mode": "relative",
    "runs": {"one": "One", "two": "Two"},
    "items": [ITEM],
    "sheets": [[{"item": "i", "left": "t1"}]],
    "format": 1,
}


def read(root: Path, content: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    path = root / "inside" / "key.json"
    path.parent.mkdir()
    path.write_text(content)
    return main(["study", "read", "--key", str(path), "--root", str(root / "inside")]), capsys.readouterr().err


@pytest.mark.parametrize(
    "change",
    [
        *({"dataset": name} for name in ("../..", "/tmp/x", "a/b", "", "x" * 300, 3, None, ["dots"])),
        *({"mode": mode} for mode in ("<b>", "../x", "", None)),
        *({"runs": runs} for runs in ({"../x": "X"}, {"one": 3}, ["one"], "one", {"one": "One"})),
        *({"items": items} for items in ([3], [ITEM | {"videos": {"t1": "one"}}], "x", [ITEM | {"more": 1}])),
        *({"sheets": sheets} for sheets in ([[{"item": "other", "left": "t1"}]], [3], [[{"item": "i"}]])),
        *({"format": other} for other in (2, "1", None)),
        {"further": 1},
    ],
    ids=lambda change: json.dumps(change)[:50],
)
def test_a_key_that_makes_no_sense_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], change: dict[str, Any]
) -> None:
    code, said = read(tmp_path, json.dumps(KEY | change), capsys)
    assert code == 2 and len(said.splitlines()) == 1, said
    assert [path.name for path in tmp_path.rglob("*")] == ["inside", "key.json"]


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "null", "[" * 9999, '{"study": 1, "study": 2}', "\udcff"])
def test_a_key_that_is_no_section_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str) -> None:
    code, said = read(tmp_path, text.replace("\udcff", "x"), capsys)
    assert code == 2 and "key.json" in said and len(said.splitlines()) == 1
