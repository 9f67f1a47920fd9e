"""A download ends in the file that the server has, or in a reason: never in pieces of two files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from web import Web

from tpsm.downloads.http import Access, DownloadError, complete

CONTENT = bytes(range(256)) * 400


@pytest.fixture
def web() -> Iterator[Web]:
    with Web() as server:
        server.files = {"/a": CONTENT}
        yield server


def ask(web: Web, part: Path, tries: int = 3) -> bytes:
    complete(web.url + "/a", part, Access(tries=tries, patience=0.0))
    return part.read_bytes()


def test_says_who_asks(web: Web, tmp_path: Path) -> None:
    assert ask(web, tmp_path / "new" / "a") == CONTENT
    assert web.agents == ["tpsm"]


@pytest.mark.parametrize("said", ["bytes 0-9/102400", "bytes 11-20/102400", "bytes 1000-", "", "pieces"])
def test_another_piece_is_not_taken(web: Web, tmp_path: Path, said: str) -> None:
    (tmp_path / "a").write_bytes(CONTENT[:10])
    web.said["/a"] = said
    assert ask(web, tmp_path / "a") == CONTENT
    assert web.ranges == ["bytes=10-", None]


def test_a_file_may_come_in_pieces(web: Web, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(CONTENT[:10])
    web.most["/a"] = len(CONTENT) // 2
    assert ask(web, tmp_path / "a") == CONTENT
    assert web.asked["/a"] == 2


def test_more_than_the_server_has_is_another_file(web: Web, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(CONTENT)
    assert ask(web, tmp_path / "a", tries=1) == CONTENT  # whole: nothing comes
    (tmp_path / "a").write_bytes(bytes(2 * len(CONTENT)))
    assert ask(web, tmp_path / "a") == CONTENT
    (tmp_path / "a").write_bytes(bytes(2 * len(CONTENT)))
    with pytest.raises(DownloadError, match="the file has changed on the server, 1 times"):
        ask(web, tmp_path / "a", tries=1)
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize(("status", "tries"), [(400, 1), (404, 1), (451, 1), (408, 3), (429, 3), (500, 3)])
def test_what_will_not_change_is_asked_once(web: Web, tmp_path: Path, status: int, tries: int) -> None:
    web.status["/a"] = status
    with pytest.raises(DownloadError, match=f"HTTP {status}") as caught:
        ask(web, tmp_path / "a")
    assert caught.value.status == status and web.asked["/a"] == tries
