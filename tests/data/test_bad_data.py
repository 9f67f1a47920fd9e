"""Bad data ends in one sentence that names the file: no traceback, no half-prepared set that looks whole."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from tpsm.core.errors import UserError
from tpsm.data.config import DataConfig
from tpsm.data.prepare import prepare
from tpsm.data.raw import find_clips
from tpsm.data.still import read_image
from tpsm.data.video import check_writable, iter_video, read_video, write_video

RNG = np.random.default_rng(0)


def noise(count: int, size: int = 32) -> np.ndarray:
    return RNG.integers(0, 256, (count, size, size, 3), dtype=np.uint8)


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    for split, name in (("train", "ann#0.png"), ("test", "bob#0.png")):
        write_video(tmp_path / "raw" / split / name, noise(3))
    return tmp_path / "raw"


def refuses(raw: Path, *words: str) -> None:
    out = raw.parent / "out"
    with pytest.raises(UserError) as caught:
        prepare("p", raw, DataConfig(size=16), out)
    message = str(caught.value)
    for word in words:
        assert word in message
    assert "\n" not in message
    assert not (out / "manifest.json").exists()


def test_no_folder(tmp_path: Path) -> None:
    refuses(tmp_path / "nowhere", "nowhere", "no folder")


def test_empty_folders(tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    refuses(tmp_path / "raw", "no train clips")
    (tmp_path / "raw" / "train").mkdir()
    refuses(tmp_path / "raw", "no train clips", "train")


def test_no_test_clips(raw: Path) -> None:
    (raw / "test" / "bob#0.png").unlink()
    refuses(raw, "no test clips", "test")


def test_a_truncated_video(raw: Path) -> None:
    write_video(raw / "train" / "eve#0.mp4", noise(30))
    path = raw / "train" / "eve#0.mp4"
    path.write_bytes(path.read_bytes()[:1500])
    refuses(raw, "eve#0.mp4")


def test_a_video_that_ends_early_though_its_index_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "cut.mp4"
    with av.open(str(path), "w", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.height, stream.width, stream.pix_fmt = 32, 32, "yuv420p"
        for frame in noise(30):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))
    data = path.read_bytes()
    path.write_bytes(data[: data.index(b"mdat") + (len(data) - data.index(b"mdat")) // 2])
    with pytest.raises(UserError, match=r"cut\.mp4"):
        read_video(path)
    assert len(read_video(path, max_frames=3)[0]) == 3


def test_a_video_with_a_hole(tmp_path: Path) -> None:
    write_video(tmp_path / "hole.mp4", noise(30))
    data = bytearray((tmp_path / "hole.mp4").read_bytes())
    at = data.index(b"mdat") + 4
    data[at : at + 6000] = bytes(6000)
    (tmp_path / "hole.mp4").write_bytes(bytes(data))
    with pytest.raises(UserError, match=r"hole\.mp4"):
        read_video(tmp_path / "hole.mp4")


@pytest.mark.parametrize("name", ["eve#0.mp4", "eve#0.gif", "eve#0.png", "eve#0.webp", "eve#0.avi"])
@pytest.mark.parametrize("content", [b"", b"this is no video at all" * 20])
def test_a_file_that_is_not_what_its_name_says(raw: Path, name: str, content: bytes) -> None:
    (raw / "train" / name).write_bytes(content)
    refuses(raw, name)


def test_a_truncated_strip(raw: Path) -> None:
    path = raw / "train" / "ann#0.png"
    path.write_bytes(path.read_bytes()[:400])
    refuses(raw, "ann#0.png")


def test_a_clip_of_one_frame(raw: Path) -> None:
    write_video(raw / "train" / "eve#0.png", noise(1))
    refuses(raw, "eve#0.png", "single frame")


def test_a_strip_that_does_not_divide(raw: Path) -> None:
    Image.fromarray(noise(1, 50)[0, :20]).save(raw / "train" / "eve#0.png")
    refuses(raw, "eve#0.png", "frame_width")


def test_two_clips_of_one_name(raw: Path) -> None:
    write_video(raw / "train" / "ann#0.gif", noise(3))
    refuses(raw, "ann#0.gif", "ann#0.png", "same name")


def test_frames_of_two_sizes(raw: Path) -> None:
    folder = raw / "train" / "eve#0"
    write_video(folder, noise(2))
    Image.fromarray(noise(1, 40)[0]).save(folder / "000009.png")
    refuses(raw, "eve#0", "one size")
    with pytest.raises(UserError, match="one size"):
        read_video(folder)


def test_a_folder_whose_rate_is_nonsense(raw: Path) -> None:
    folder = raw / "train" / "eve#0"
    write_video(folder, noise(2))
    (folder / "clip.json").write_text('{"speed": 3}')
    refuses(raw, "clip.json", "fps")


@pytest.mark.parametrize("content", [b"", b"nonsense", b"PK\x03\x04 broken"])
def test_ground_truth_that_cannot_be_read(raw: Path, content: bytes) -> None:
    (raw / "train" / "ann#0.npz").write_bytes(content)
    refuses(raw, "ann#0.npz", "ground truth")


def test_ground_truth_of_something_else(raw: Path) -> None:
    np.savez(raw / "train" / "ann#0.npz", joints=np.zeros(3))
    refuses(raw, "ann#0.npz")


def test_hidden_and_foreign_files_are_passed_over(raw: Path) -> None:
    for name in (".DS_Store", "._ann#0.png", "notes.txt", "Thumbs.db"):
        (raw / "train" / name).write_bytes(b"x")
    (raw / "train" / "empty").mkdir()
    assert [path.name for path in find_clips(raw)["train"]] == ["ann#0.png"]


def test_one_file_at_a_time(tmp_path: Path) -> None:
    for missing in (lambda: iter_video(tmp_path / "a.mp4"), lambda: read_image(tmp_path / "a.png")):
        with pytest.raises(UserError, match=r"There is no .*a\."):
            missing()
    (tmp_path / "a.xyz").write_bytes(b"x")
    with pytest.raises(UserError, match="no known kind"):
        read_video(tmp_path / "a.xyz")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="no frames"):
        read_video(tmp_path / "empty")
    with pytest.raises(UserError, match="choose"):
        write_video(tmp_path / "a.xyz", noise(2))
    with pytest.raises(UserError, match="no frames"):
        write_video(tmp_path / "a.mp4", [])
    assert not (tmp_path / "a.mp4").exists()


@pytest.mark.parametrize("name", [".", "..", "a.xyz", "clips", "notes", "file/out", "file", "folder.mp4", "link"])
def test_what_is_not_ours_is_not_replaced(tmp_path: Path, name: str) -> None:
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips" / "000000.png").write_bytes(b"an image of somebody else's")
    (tmp_path / "notes").mkdir()
    write_video(tmp_path / "notes" / "ours", noise(2))
    (tmp_path / "notes" / "ours").rename(tmp_path / "ours")
    (tmp_path / "notes" / "notes.txt").write_text("dear diary")
    (tmp_path / "file").write_text("a file")
    (tmp_path / "folder.mp4").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "ours")
    before = sorted(tmp_path.rglob("*"))
    path = Path(name) if name in (".", "..") else tmp_path / name
    with pytest.raises(UserError, match="Cannot write"):
        check_writable(path)
    with pytest.raises(UserError, match="Cannot write"):
        write_video(path, (pytest.fail("computed") for _ in range(1)))
    assert sorted(tmp_path.rglob("*")) == before


def test_our_own_folder_is_replaced_until_something_is_put_there(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    write_video(folder, noise(3))
    write_video(folder, noise(2))
    assert sorted(path.name for path in folder.iterdir()) == ["000000.png", "000001.png", "clip.json"]

    def meddling() -> Iterator[np.ndarray]:
        yield noise(1)[0]
        (folder / "notes.txt").write_text("dear diary")

    with pytest.raises(UserError, match="remove it"):
        write_video(folder, meddling())
    assert len(list(folder.iterdir())) == 4 and len(list(tmp_path.iterdir())) == 1
