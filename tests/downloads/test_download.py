"""A download ends in the file that the server has, or in a reason: never in pieces of two files."""

from __future__ import annotations

import socket
import threading
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


class Says:
    """A server that gives the same bytes to everyone, whatever is asked for."""

    def __init__(self, answer: bytes) -> None:
        self.answer, self.socket = answer, socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}/a"
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self) -> None:
        while True:
            try:
                asker, _ = self.socket.accept()
            except OSError:
                return
            with asker:
                asker.recv(65536)
                asker.sendall(self.answer)


HEAD = b"HTTP/1.1 200 OK\r\nConnection: close\r\n"
ODD_ANSWERS = {
    "nothing": b"",
    "no HTTP": b"hello\r\n\r\n",
    "random": bytes(range(256)) * 9,
    "a length of words": HEAD + b"Content-Length: abc\r\n\r\nx",
    "a length of 5,000 digits": HEAD + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\nx",
    "a negative length": HEAD + b"Content-Length: -5\r\n\r\nx",
    "a length with a fraction": HEAD + b"Content-Length: 1.5\r\n\r\nx",
    "a length that never comes": HEAD + b"Content-Length: 999999999999\r\n\r\nx",
    "lengths of other digits": HEAD + "Content-Length: \u0661\r\n\r\nx".encode(),
    "chunks of words": HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nx",
    "a chunk of 5,000 digits": HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"f" * 5000 + b"\r\nx",
    "a status of words": b"HTTP/1.1 abc OK\r\n\r\n",
    "a status of 5,000 digits": b"HTTP/1.1 " + b"2" * 5000 + b" OK\r\n\r\n",
    "a million headers": HEAD + b"X: y\r\n" * 10_000,
    "an endless header": HEAD + b"X: " + b"y" * 200_000,
    "sent on to a file": b"HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\n\r\n",
    "sent on to nowhere": b"HTTP/1.1 302 Found\r\nLocation: http://[::1\r\n\r\n",
    "sent on to a bad port": b"HTTP/1.1 302 Found\r\nLocation: http://a:b/\r\n\r\n",
    "sent on in a circle": b"HTTP/1.1 302 Found\r\nLocation: /a\r\n\r\n",
    "a reason of a page": b"HTTP/1.1 404 " + b"no " * 9000 + b"\r\n\r\n",
}


@pytest.mark.parametrize("kind", ODD_ANSWERS)
def test_odd_answers_end_in_a_reason(kind: str, tmp_path: Path) -> None:
    server = Says(ODD_ANSWERS[kind])
    with pytest.raises(DownloadError) as refused:
        complete(server.url, tmp_path / "a", Access(tries=2, patience=0.0))
    server.socket.close()
    assert len(str(refused.value)) < 400
    assert not (tmp_path / "a").exists() or (tmp_path / "a").read_bytes() in (b"", b"x")


@pytest.mark.parametrize("said", ["bytes 3-5/" + "9" * 5000, "bytes " + "3" * 5000 + "-5/9", "bytes 3-5/abc"])
def test_odd_ranges_end_in_a_reason(said: str, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    answer = f"HTTP/1.1 206 Partial\r\nContent-Range: {said}\r\nContent-Length: 3\r\n\r\ndef"
    server = Says(answer.encode())
    with pytest.raises(DownloadError, match="another piece"):
        complete(server.url, tmp_path / "a", Access(tries=1, patience=0.0))
    server.socket.close()


@pytest.mark.parametrize(
    "url",
    [
        *("http://", "http://[::1", "http://a:b/", "http://a:99999999/", "http://x y/", "http://a/\nb", "http:///x"),
        *("http://" + "a" * 300 + "/", "http://\u2603.invalid/", "http://.../", "nothing", "", "http://a\0b/"),
        *("http://\udcff/", "http://0.0.0.0:0/"),
    ],
    ids=repr,
)
def test_bad_addresses_end_in_a_reason(url: str, tmp_path: Path) -> None:
    with pytest.raises(DownloadError):
        complete(url, tmp_path / "a", Access(tries=1, patience=0.0))
