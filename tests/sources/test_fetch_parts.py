"""Lists, the ledger, and what yt-dlp and other servers say: each by itself."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import pytest
from web import Web

from tpsm.core.errors import UserError
from tpsm.sources.fetch.archives import Limits, fetch_archives
from tpsm.sources.fetch.clip_list import ClipSpec, find_metadata, in_both_splits, read_metadata
from tpsm.sources.fetch.downloaders import Access, Failure, HttpDownloader, Stopped, YtDlp, download, yt_dlp_failure
from tpsm.sources.fetch.ledger import Key, Outcome, opened

HEAD = "video_id,start,end,bbox,fps,width,height,partition"
GOOD = "WMh3ye5tBsE,3657,3994,624-48-1018-553,25,1280,720,train"
CONTENT = bytes(range(256)) * 4_000


@pytest.fixture
def web() -> Iterator[Web]:
    with Web() as server:
        server.files = {"/a.mp4": CONTENT}
        yield server


def listed(tmp_path: Path, *rows: str, head: str = HEAD) -> Path:
    path = tmp_path / "list.csv"
    path.write_text("\n".join([head, *rows]) + "\n")
    return path


def test_rows_as_published(tmp_path: Path) -> None:
    vox = read_metadata(listed(tmp_path, GOOD + ",id10005", head=HEAD + ",person_id"), "vox")
    box = (624, 48, 1018, 553)
    assert vox == [ClipSpec("WMh3ye5tBsE", "", 3657, 3994, box, Fraction(25), 1280, 720, "train", "id10005")]
    assert vox[0].name == "id10005#WMh3ye5tBsE#003657#003994" and vox[0].identity == "id10005"
    taichi = read_metadata(listed(tmp_path, "u6rJiF-gPx8,80,300,118-82-508-472,29.97,640,480,test"), "taichi")
    assert taichi[0].name == "u6rJiF-gPx8#000080#000300" and taichi[0].identity == "u6rJiF-gPx8"
    assert taichi[0].fps == Fraction("29.97")


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("../../etc,0,9,0-0-5-5,25,9,9,train", "line 3: the video_id '../../etc' makes no sense"),
        ("a,0,9,0-0-5-5,25,9,9,valid", "the partition 'valid'"),
        ("a,9,9,0-0-5-5,25,9,9,train", "the frames 9 to 9"),
        ("a,0,9,5-0-5-5,25,9,9,train", "the bbox '5-0-5-5'"),
        ("a,0,9,0-0-5,25,9,9,train", "a value is missing or no number"),
        ("a,0,9,0-0-5-5,0,9,9,train", "the fps 0"),
        ("a,x,9,0-0-5-5,25,9,9,train", "'x'"),
        ("a,0,9,0-0-5-5", "4 cells"),
    ],
)
def test_a_row_that_makes_no_sense_is_named(tmp_path: Path, row: str, words: str) -> None:
    with pytest.raises(UserError, match="line 3") as caught:
        read_metadata(listed(tmp_path, GOOD, row), "vox")
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_lists_that_are_known_to_be_wrong(tmp_path: Path) -> None:
    first = "VM6HZqQKhok#016609#016737,0,0,104-10-665-570,10.0,944,944,train"
    with pytest.raises(UserError, match=r"no frame ranges and no test clips, .*: take ted384-metadata\.csv, attached"):
        read_metadata(listed(tmp_path, first), "ted")
    turned = "016737#016609#VM6HZqQKhok,16609,16737,104-10-665-570,10.0,944,944,test"
    with pytest.raises(UserError, match=r"ids that begin with a frame number.*ted384-metadata\.csv"):
        read_metadata(listed(tmp_path, turned), "ted")
    right = "VM6HZqQKhok#016609#016737,16609,16737,104-10-665-570,10.0,944,944,test"
    (row,) = read_metadata(listed(tmp_path, right), "ted")
    assert row.video == row.identity == "VM6HZqQKhok" and row.name.startswith("VM6HZqQKhok#016609#016737#")
    old = HEAD.removesuffix(",partition")
    with pytest.raises(UserError, match=r"has no column 'partition'; .*first-order-model.*taichi-metadata\.csv"):
        read_metadata(listed(tmp_path, "u6rJiF-gPx8,80,300,118-82-508-472,29.97,640,480", head=old), "taichi")
    with pytest.raises(UserError, match="has no rows"):
        read_metadata(listed(tmp_path), "vox")
    with pytest.raises(UserError, match="cannot be read"):
        read_metadata(tmp_path / "nowhere.csv", "vox")


def test_leaks_are_found(tmp_path: Path) -> None:
    lines = [f"hgB5ziAudzU,{i},9,0-0-5-5,25,9,9,{split},id{i}" for i, split in enumerate(("train", "test"))]
    rows = read_metadata(listed(tmp_path, *lines, head=HEAD + ",person_id"), "vox")
    assert in_both_splits(rows) == {"identities": [], "videos": ["hgB5ziAudzU"]}


def test_the_published_list_is_fetched_once(web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tpsm.sources.fetch import clip_list as metadata

    monkeypatch.setitem(metadata.SETS, "vox", metadata.Published(256, web.url + "/vox.csv"))
    with pytest.raises(UserError, match=r"vox\.csv cannot be had .*give the file with --metadata"):
        find_metadata("vox", None, tmp_path, Access())
    web.files["/vox.csv"] = f"{HEAD}\n{GOOD}\n".encode()
    for _ in range(2):
        assert len(read_metadata(find_metadata("vox", None, tmp_path, Access()), "vox")) == 1
    assert web.asked["/vox.csv"] == 2  # the one that was not there, and the one


def test_names_of_any_letters_come_back_from_the_ledger(tmp_path: Path) -> None:
    keys = [Key("train", name) for name in ("a\u2028b", "c\x85d", "\u00e9\u3000\u732b", "e\",'f")]
    with opened(tmp_path / "ledger.csv") as ledger:
        for key in keys:
            ledger.record(key, "v", Outcome.ok)
    with opened(tmp_path / "ledger.csv") as ledger:
        assert ledger.keys() == keys
    (tmp_path / "ledger.csv").write_bytes(b"\xff\xfe\n")
    with pytest.raises(UserError, match="is no ledger of outcomes"), opened(tmp_path / "ledger.csv"):
        pass


def test_the_ledger_keeps_what_was_recorded(tmp_path: Path) -> None:
    path, key, other = tmp_path / "new" / "ledger.csv", Key("train", "a#0"), Key("train", 'b,"#0', 2)
    with opened(path) as ledger:
        ledger.record(key, "a", Outcome.refused, "two\nlines")
        threads = [
            threading.Thread(target=ledger.record, args=(Key("test", str(i)), "v", Outcome.ok)) for i in range(20)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        ledger.record(other, "b", Outcome.duplicate)
        ledger.record(key, "a", Outcome.ok)
    whole = path.read_bytes()
    for torn in (b"", b"train,c", b'train,"c'):
        path.write_bytes(whole + torn)
        with opened(path) as ledger:
            assert ledger[key] is Outcome.ok and ledger[other] is Outcome.duplicate and len(ledger.keys()) == 22
        assert path.read_bytes() == whole
    path.write_bytes(b"split,cl")  # killed at the very first line
    with opened(path) as ledger:
        assert not ledger.keys()
    path.write_text("name,colour\na,red\n")
    with pytest.raises(UserError, match=r"ledger\.csv is no ledger of outcomes"), opened(path):
        pass
    assert path.read_text() == "name,colour\na,red\n"


def test_a_download_goes_on_where_it_broke_off(web: Web, tmp_path: Path) -> None:
    web.breaks["/a.mp4"] = 2
    download(web.url + "/a.mp4", tmp_path / "a.mp4", Access(patience=0.0))
    half = len(CONTENT) // 2
    assert web.ranges == [None, f"bytes={half}-", f"bytes={half + (len(CONTENT) - half) // 2}-"]
    assert (tmp_path / "a.mp4").read_bytes() == CONTENT and not list(tmp_path.glob("*.part"))
    (tmp_path / "b.mp4.part").write_bytes(CONTENT)  # killed before the last step
    web.files["/b.mp4"] = CONTENT
    download(web.url + "/b.mp4", tmp_path / "b.mp4", Access(patience=0.0))
    assert (tmp_path / "b.mp4").read_bytes() == CONTENT
    (tmp_path / "c.mp4.part").write_bytes(CONTENT * 2)  # of a file that has changed since
    web.files["/c.mp4"] = CONTENT
    download(web.url + "/c.mp4", tmp_path / "c.mp4", Access(patience=0.0))
    assert (tmp_path / "c.mp4").read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("status", "outcome", "tries"),
    [
        (404, Outcome.gone, 1),
        (410, Outcome.gone, 1),
        (401, Outcome.private, 1),
        (403, Outcome.private, 1),
        (429, Outcome.refused, 3),
        (500, Outcome.refused, 3),
    ],
)
def test_what_servers_say(web: Web, tmp_path: Path, status: int, outcome: Outcome, tries: int) -> None:
    web.status["/a.mp4"] = status
    with pytest.raises(Failure) as caught:
        download(web.url + "/a.mp4", tmp_path / "a.mp4", Access(tries=3, patience=0.0))
    assert caught.value.outcome is outcome and f"HTTP {status}" in caught.value.detail
    assert web.asked["/a.mp4"] == tries and not list(tmp_path.iterdir())


def test_cookies_rate_and_stop(web: Web, tmp_path: Path) -> None:
    jar = tmp_path / "cookies.txt"
    jar.write_text("# Netscape HTTP Cookie File\n127.0.0.1\tFALSE\t/\tFALSE\t0\tsession\tsecret\n")
    stop = threading.Event()
    told: list[tuple[int, int]] = []

    def progress(have: int, total: int) -> None:
        told.append((have, total))
        if have > 300_000:
            stop.set()

    access = Access(cookies=jar, rate=2e6, stop=stop)
    with pytest.raises(Stopped):
        download(web.url + "/a.mp4", tmp_path / "a.mp4", access, progress)
    assert web.cookies == ["session=secret"]
    assert told[0][1] == len(CONTENT) and told[-1][0] == (tmp_path / "a.mp4.part").stat().st_size < len(CONTENT)
    jar.write_text("not cookies")
    with pytest.raises(UserError, match=r"cookies\.txt cannot be read"):
        download(web.url + "/a.mp4", tmp_path / "b.mp4", Access(cookies=jar))


def test_an_address_needs_a_place_for_the_id() -> None:
    with pytest.raises(UserError, match="must be an address"):
        HttpDownloader("ftp://x/{video_id}")


@pytest.mark.parametrize(
    ("message", "outcome"),
    [
        ("ERROR: [youtube] x: Private video. Sign in if you've been granted access to this video", Outcome.private),
        ("[youtube] x: Video unavailable. This video is private", Outcome.private),
        ("[youtube] x: Join this channel to get access to members-only content", Outcome.private),
        ("[youtube] x: Video unavailable", Outcome.gone),
        ("[youtube] x: Video unavailable. This video has been removed by the uploader", Outcome.gone),
        (
            "[youtube] x: This video is no longer available because the YouTube account has been terminated",
            Outcome.gone,
        ),
        ("[youtube] x: This video isn\u2019t available anymore", Outcome.gone),
        ("unable to download video data: HTTP Error 404: Not Found", Outcome.gone),
        ("[youtube] x: Sign in to confirm you\u2019re not a bot. Use --cookies", Outcome.refused),
        ("[youtube] x: Sign in to confirm your age. This video may be inappropriate for some users.", Outcome.refused),
        ("[youtube] x: The uploader has not made this video available in your country", Outcome.refused),
        (
            "[youtube] x: Video unavailable. The uploader has not made this video available in your country",
            Outcome.refused,
        ),
        ("unable to download video data: HTTP Error 403: Forbidden", Outcome.refused),
        (
            "[youtube] x: Video unavailable. This content isn't available, try again later. rate-limited",
            Outcome.refused,
        ),
        ("[youtube] x: Requested format is not available. Use --list-formats", Outcome.refused),
        ("Unable to download API page: <urlopen error [Errno 111] Connection refused>", Outcome.refused),
        ("something that was never said before", Outcome.refused),
        ("[youtube] x: This video is not available due to geo restriction", Outcome.refused),
        ("[youtube] aGeoPrivate: Video unavailable", Outcome.gone),
        (
            "[youtube] x: Video unavailable. It is no longer available due to a copyright claim by National Geographic",
            Outcome.gone,
        ),
    ],
)
def test_what_yt_dlp_says(message: str, outcome: Outcome) -> None:
    failure = yt_dlp_failure(f"\x1b[0;31mERROR:\x1b[0m {message}")
    assert failure.outcome is outcome and "\x1b" not in failure.detail


def test_a_full_disk_is_no_reason_of_a_video() -> None:
    with pytest.raises(UserError, match="make room"):
        yt_dlp_failure("ERROR: unable to write data: [Errno 28] No space left on device")


def test_yt_dlp_itself(web: Web, tmp_path: Path) -> None:
    """Without YouTube: yt-dlp takes any address that gives a video, and reports its failures in the same way."""
    pytest.importorskip("yt_dlp")
    web.status["/lost.mp4"] = 404
    web.files["/100%.mp4"] = CONTENT
    client = YtDlp(Access(tries=1), web.url + "/{video_id}.mp4")
    target = tmp_path / "new" / "50%(id)s.mp4"
    client.download("a", target)
    assert target.read_bytes() == CONTENT and [path.name for path in target.parent.iterdir()] == [target.name]
    with pytest.raises(Failure) as caught:
        client.download("lost", tmp_path / "lost.mp4")
    assert caught.value.outcome is Outcome.gone
    web.shutdown()
    web.server_close()
    with pytest.raises(Failure) as caught:
        client.download("a", tmp_path / "again.mp4")
    assert caught.value.outcome is Outcome.refused
    assert [path.name for path in tmp_path.iterdir()] == ["new"]
    client.access.stop.set()
    with pytest.raises(Stopped):
        client.download("a", tmp_path / "b.mp4")


@pytest.mark.parametrize("fps", ["1e999999999", "1e-999999999", "nan", "inf", "9" * 5000, "1/0", "0/1", "1001"])
def test_a_rate_out_of_bounds_is_refused_at_once(tmp_path: Path, fps: str) -> None:
    with pytest.raises(UserError, match=r"list\.csv, line 2: "):
        read_metadata(listed(tmp_path, f"a,0,9,0-0-5-5,{fps},9,9,train"), "vox")


def test_a_pipe_as_a_list_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "list.csv")
    with pytest.raises(UserError, match="no regular file"):
        read_metadata(tmp_path / "list.csv", "vox")
    with pytest.raises(UserError, match="no regular file"):
        fetch_archives("mgif", [str(tmp_path / "list.csv")], (), tmp_path / "raw", tmp_path, Access(), Limits())
