"""A published split says each clip's place once, or is refused."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest

from tpsm.core.errors import UserError
from tpsm.data.splits import read_split

HEAD = "clip,split,sha256\n"


def published(root: Path, table: str) -> None:
    path = root / "splits/set/own-v1.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"# sha256 {sha256(table.encode()).hexdigest()}\n{table}")


def test_a_split_is_read_as_it_was_published(tmp_path: Path) -> None:
    published(tmp_path, f"{HEAD}a,train,\nb,test,\n")
    split = read_split("set", "own-v1", tmp_path)
    assert (split.clips("train"), split.clips("test")) == (("a",), ("b",))


@pytest.mark.parametrize(
    ("rows", "fault"),
    [("a,train,\nb,test,\na,test,\n", "clip a 2 times"), ("", "names no clip"), ("a,valid,\n", "neither in train")],
)
def test_a_split_with_nothing_or_a_clip_in_two_places_is_refused(tmp_path: Path, rows: str, fault: str) -> None:
    published(tmp_path, HEAD + rows)
    with pytest.raises(UserError, match=f"own-v1.csv .*{fault}.*tpsm split make"):
        read_split("set", "own-v1", tmp_path)
