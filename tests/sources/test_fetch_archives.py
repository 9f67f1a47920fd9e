"""Archives of every kind become clips and reasons; one that is not to be trusted is refused before it is unpacked."""

from __future__ import annotations

import csv
import errno
import hashlib
import io
import os
import stat
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from web import Web

from tpsm.core.errors import UserError
from tpsm.data.config import DataConfig
from tpsm.data.prepare import prepare
from tpsm.sources.fetch.archives import Limits, fetch_archives, groups
from tpsm.sources.fetch.downloaders import Access
from tpsm.sources.fetch.ledger import Outcome


def picture(level: int) -> Image.Image:
    return Image.fromarray(np.full((16, 16, 3), level, np.uint8))


def gif(count: int, level: int = 0) -> bytes:
    """Every frame is another, or GIF would hold one frame that lasts."""
    stream = io.BytesIO()
    noise = np.random.default_rng(level).integers(0, 256, (count, 16, 16, 3), dtype=np.uint8)
    first, *others = [Image.fromarray(frame) for frame in noise]
    first.save(stream, "GIF", save_all=True, append_images=others, duration=40)
    return stream.getvalue()


def png(level: int) -> bytes:
    stream = io.BytesIO()
    picture(level).save(stream, "PNG")
    return stream.getvalue()


GIFS = {
    "moving-gif/train/a.gif": gif(5),
    "moving-gif/train/b.gif": gif(6, 1),
    "moving-gif/test/a.gif": gif(7, 2),
    "moving-gif/readme.txt": b"words",
    "__MACOSX/moving-gif/train/._a.gif": b"junk",
}
FAULTY = GIFS | {
    "moving-gif/train/still.gif": gif(1),
    "moving-gif/train/torn.gif": gif(8, 3)[:900],
    "moving-gif/train/more/a.gif": gif(5, 4),
    "moving-gif/train/frames/0.png": png(1),
    "moving-gif/train/frames/1.png": png(9),
    "moving-gif/train/frames/clip.json": b'{"fps": 12}',
}


def zipped(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def tarred(path: Path, files: dict[str, bytes], mode: str = "w:gz") -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def foldered(path: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    return path


def split(path: Path, count: int) -> list[str]:
    """Parts as `split` makes them, in the wrong order."""
    content = path.read_bytes()
    size = len(content) // count + 1
    parts = [path.with_name(f"{path.name}.{i:02d}") for i in range(count)]
    for i, part in enumerate(parts):
        part.write_bytes(content[i * size : (i + 1) * size])
    return [str(part) for part in reversed(parts)]


def fetch(tmp_path: Path, *archives: str, sha256: tuple[str, ...] = (), **limits: object) -> str:
    return fetch_archives(
        *("mgif", archives, sha256, tmp_path / "raw", tmp_path / "cache", Access(patience=0.0)),
        Limits(**{"jobs": 2} | limits),  # type: ignore[arg-type]
    )


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


LEDGERS = {"ledger.csv", "archives.csv"}
CLIPS = {"train/a.gif", "train/b.gif", "test/a.gif"}


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz", "tar.xz", "parts of tar", "parts of zip", "folder"])
def test_archives_of_every_kind(tmp_path: Path, kind: str) -> None:
    makers = {
        "zip": lambda: [str(zipped(tmp_path / "gifs.zip", GIFS))],
        "tar": lambda: [str(tarred(tmp_path / "gifs.tar", GIFS, "w"))],
        "tar.gz": lambda: [str(tarred(tmp_path / "gifs.tar.gz", GIFS))],
        "tar.xz": lambda: [str(tarred(tmp_path / "gifs.txz", GIFS, "w:xz"))],
        "parts of tar": lambda: split(tarred(tmp_path / "gifs.tar.gz", GIFS), 12),
        "parts of zip": lambda: split(zipped(tmp_path / "gifs.zip", GIFS), 3),
        "folder": lambda: [str(foldered(tmp_path / "gifs", GIFS))],
    }
    archives = makers[kind]()
    said = fetch(tmp_path, *archives)
    assert files(tmp_path / "raw") == CLIPS | LEDGERS
    assert (tmp_path / "raw/train/b.gif").read_bytes() == GIFS["moving-gif/train/b.gif"]
    assert said.splitlines()[1].split() == ["ok", "2", "1"]
    assert {entry.frames for entry in prepare("mgif", tmp_path / "raw", DataConfig(size=16), tmp_path / "out").entries}
    assert all(Path(archive).exists() for archive in archives)  # the user's own


def test_clips_that_are_no_use_have_a_reason(tmp_path: Path) -> None:
    fetch(tmp_path, str(tarred(tmp_path / "gifs.tgz", FAULTY)))
    with (tmp_path / "raw/ledger.csv").open(newline="") as file:
        lines = {f"{line['split']}/{line['clip']}/{line['copy']}": line["outcome"] for line in csv.DictReader(file)}
    assert lines == {
        "train/a/1": "ok",
        "train/b/1": "ok",
        "test/a/1": "ok",
        "train/still/1": "short",
        "train/torn/1": "undecodable",
        "train/a/2": "duplicate",
        "train/frames/1": "ok",
    }
    frames = {f"train/frames/{name}" for name in ("0.png", "1.png", "clip.json")}
    assert files(tmp_path / "raw") == CLIPS | frames | LEDGERS
    assert (tmp_path / "raw/train/a.gif").read_bytes() == GIFS["moving-gif/train/a.gif"]
    mended = FAULTY | {"moving-gif/train/torn.gif": gif(8, 3), "moving-gif/train/a.gif": gif(2, 9)}
    tarred(tmp_path / "gifs.tgz", mended)
    fetch(tmp_path, str(tmp_path / "gifs.tgz"))
    assert not (tmp_path / "raw/train/torn.gif").exists()
    fetch(tmp_path, str(tmp_path / "gifs.tgz"), retry=frozenset({Outcome.undecodable}))
    assert (tmp_path / "raw/train/torn.gif").exists()
    assert (tmp_path / "raw/train/a.gif").read_bytes() == GIFS["moving-gif/train/a.gif"]


def test_without_splits_clips_lie_side_by_side(tmp_path: Path) -> None:
    content = {"set/one/0.png": png(0), "set/one/1.png": png(1), "set/x.gif": gif(3), "set/strip.png": png(3)}
    fetch(tmp_path, str(zipped(tmp_path / "a.zip", content)))
    assert files(tmp_path / "raw") == {"one/0.png", "one/1.png", "x.gif", "strip.png"} | LEDGERS


@pytest.mark.parametrize("name", ["/etc/x.gif", "../x.gif", "train/../../x.gif", "C:/x.gif", "train\\..\\x.gif"])
def test_a_path_that_leads_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    for archive in (
        tarred(tmp_path / "evil.tar.gz", GIFS | {name: gif(2)}),
        zipped(tmp_path / "evil.zip", GIFS | {name: gif(2)}),
    ):
        with pytest.raises(UserError, match="would be written elsewhere: it is not to be trusted"):
            fetch(tmp_path, str(archive))
    assert files(tmp_path / "raw") == LEDGERS


@pytest.mark.parametrize("name", ["train/caf\udce9.gif", "train/a\u2028b.gif", "train/a\x85b/0.png", "test/a\nb.gif"])
def test_a_name_that_is_no_plain_text_is_refused(tmp_path: Path, name: str) -> None:
    archive = tarred(tmp_path / "latin.tar", GIFS | {name: gif(2)}, "w")
    with pytest.raises(UserError) as caught:
        fetch(tmp_path, str(archive))
    assert f"latin.tar holds {name!r}, which is no plain text" in str(caught.value)
    assert str(caught.value).isprintable() and files(tmp_path / "raw") == LEDGERS


def test_names_in_any_script_are_taken(tmp_path: Path) -> None:
    content = {f"train/{name}.gif": gif(3, level) for level, name in enumerate(("caf\u00e9", "\u732b 2", "a,b"))}
    for _ in range(2):
        fetch(tmp_path, str(zipped(tmp_path / "a.zip", content | {"Icon\r": b"of a Mac's folder"})))
    assert files(tmp_path / "raw") == content.keys() | LEDGERS


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_are_refused(tmp_path: Path, kind: bytes) -> None:
    path = tmp_path / "evil.tar"
    with tarfile.open(path, "w") as archive:
        info = tarfile.TarInfo("train/x.gif")
        info.type, info.linkname = kind, "/etc/passwd"
        archive.addfile(info)
    with pytest.raises(UserError, match="a link or a device"):
        fetch(tmp_path, str(path))


def test_a_link_in_a_zip_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "evil.zip"
    with zipfile.ZipFile(path, "w") as archive:
        info = zipfile.ZipInfo("train/x.gif")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(info, "/etc/passwd")
    with pytest.raises(UserError, match="a link or a device"):
        fetch(tmp_path, str(path))


def test_a_bomb_is_refused(tmp_path: Path) -> None:
    path = zipped(tmp_path / "bomb.zip", {"train/x.gif": bytes(50_000_000)})
    assert path.stat().st_size < 100_000
    with pytest.raises(UserError, match=r"unpacks to 0\.1 GB in 1 files; raise --max-gb"):
        fetch(tmp_path, str(path), max_bytes=10_000_000)
    assert files(tmp_path / "raw") == LEDGERS


@pytest.mark.parametrize("name", ["gifs.tar.gz", "gifs.zip", "gifs.tar"])
def test_a_truncated_archive_is_named(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name.endswith("zip"):
        zipped(path, GIFS)
    else:
        tarred(path, GIFS, "w:gz" if name.endswith("gz") else "w")
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(UserError, match=f"{name} cannot be unpacked"):
        fetch(tmp_path, str(path))
    assert files(tmp_path / "raw") == LEDGERS


def test_other_archives_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no clips"):
        fetch(tmp_path, str(zipped(tmp_path / "a.zip", {"readme.txt": b"words"})))
    (tmp_path / "words.zip").write_bytes(b"words")
    with pytest.raises(UserError, match=r"words\.zip cannot be unpacked"):
        fetch(tmp_path, str(tmp_path / "words.zip"))
    with pytest.raises(UserError, match="There is no archive"):
        fetch(tmp_path, str(tmp_path / "nowhere.zip"))
    with pytest.raises(UserError, match="give one for each"):
        fetch(tmp_path, str(tmp_path / "words.zip"), sha256=("0", "1"))


def test_parts_are_told_from_archives() -> None:
    assert groups(["b.zip", "x.tar.gz.10", "a.zip", "x.tar.gz.9", "http://h/y.tar.ab?d=1", "http://h/y.tar.aa"]) == [
        ["b.zip"],
        ["x.tar.gz.9", "x.tar.gz.10"],
        ["a.zip"],
        ["http://h/y.tar.aa", "http://h/y.tar.ab?d=1"],
    ]


@pytest.fixture
def web() -> Iterator[Web]:
    with Web() as server:
        yield server


def test_an_archive_from_the_web_is_downloaded_once(web: Web, tmp_path: Path) -> None:
    parts = sorted(split(tarred(tmp_path / "gifs.tar.gz", GIFS), 2))
    hashes = []
    for name, part in zip(("/gifs.tar.gz.aa", "/gifs.tar.gz.ab"), parts, strict=True):
        web.files[name] = Path(part).read_bytes()
        hashes.append(hashlib.sha256(web.files[name]).hexdigest())
    web.breaks["/gifs.tar.gz.ab"] = 1
    urls = [web.url + name for name in web.files]
    with pytest.raises(UserError, match="is not the archive that --sha256 names"):
        fetch(tmp_path, *urls, sha256=(hashes[0], "0" * 64))
    assert [path.name[8:] for path in (tmp_path / "cache").iterdir()] == ["-gifs.tar.gz.aa"]
    for _ in range(2):
        fetch(tmp_path, *urls, sha256=tuple(hashes))
        assert files(tmp_path / "raw") == CLIPS | LEDGERS
        assert web.asked == {"/gifs.tar.gz.aa": 1, "/gifs.tar.gz.ab": 3}  # broken off and continued; after it was wrong
        assert not list((tmp_path / "cache").iterdir())
    web.status["/lost.zip"] = 404
    with pytest.raises(UserError, match=r"lost\.zip cannot be had \(gone: HTTP 404 Not Found\)"):
        fetch(tmp_path, web.url + "/lost.zip")


def test_archives_of_one_name_are_told_apart(web: Web, tmp_path: Path) -> None:
    names = ("/one/gifs.zip", "/two/gifs.zip", "/download?id=1", "/download?id=2")
    for i, name in enumerate(names):
        web.files[name] = zipped(tmp_path / "a.zip", {f"train/{i}.gif": gif(3, i)}).read_bytes()
    fetch(tmp_path, *(web.url + name for name in names), keep=True)
    assert files(tmp_path / "raw") == {f"train/{i}.gif" for i in range(4)} | LEDGERS
    kept = sorted(path.name[8:] for path in (tmp_path / "cache").iterdir())
    assert kept == ["-download", "-download", "-gifs.zip", "-gifs.zip"]


@pytest.mark.parametrize("name", ["gifs.tar.gz", "gifs.tar.bz2", "gifs.zip"])
def test_a_damaged_download_is_downloaded_anew(web: Web, tmp_path: Path, name: str) -> None:
    make = zipped(tmp_path / name, GIFS) if name.endswith("zip") else tarred(tmp_path / name, GIFS, f"w:{name[9:]}")
    whole = make.read_bytes()
    for wrong in (b"<html>try again later</html>", whole[:-3000]):
        web.files["/" + name] = wrong
        with pytest.raises(UserError, match="cannot be unpacked"):
            fetch(tmp_path, f"{web.url}/{name}")
        assert not list((tmp_path / "cache").iterdir())
    web.files["/" + name] = whole
    fetch(tmp_path, f"{web.url}/{name}")
    assert files(tmp_path / "raw") == CLIPS | LEDGERS


def test_a_full_disk_takes_no_download_away(web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tpsm.sources.fetch import archives

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    web.files["/gifs.zip"] = zipped(tmp_path / "gifs.zip", GIFS).read_bytes()
    with monkeypatch.context() as patch, pytest.raises(UserError, match="No space left on device"):
        patch.setattr(archives, "_extract", full)
        fetch(tmp_path, f"{web.url}/gifs.zip")
    fetch(tmp_path, f"{web.url}/gifs.zip")
    assert files(tmp_path / "raw") == CLIPS | LEDGERS and web.asked == {"/gifs.zip": 1}


def test_unpacking_goes_on_after_an_interruption(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tpsm.sources.fetch import archives

    archive = str(zipped(tmp_path / "gifs.zip", GIFS))
    move, moved = archives._move, []

    def interrupted(draft: Path, target: Path) -> None:
        if moved:
            raise KeyboardInterrupt
        moved.append(target)
        move(draft, target)

    monkeypatch.setattr(archives, "_move", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fetch(tmp_path, archive)
    monkeypatch.setattr(archives, "_move", move)
    written = moved[0].stat().st_mtime_ns
    (tmp_path / "raw/ledger.csv").write_text("split,clip,copy,video,outcome,detail\n")  # as if killed before the record
    fetch(tmp_path, archive)
    assert files(tmp_path / "raw") == CLIPS | LEDGERS and written
    assert len((tmp_path / "raw/ledger.csv").read_text().splitlines()) == 4
