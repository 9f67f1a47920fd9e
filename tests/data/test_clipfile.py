"""Clips on disk: nothing lost, nothing left half-written, damage told in one sentence."""

from __future__ import annotations

import dataclasses
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tpsm.core.clips import Clip, GroundTruth
from tpsm.core.errors import UserError
from tpsm.core.layout import file_name, identity_of
from tpsm.data.clip import ClipFile, read_clip, spread, spread_index, write_clip
from tpsm.data.manifest import Entry, Manifest, read_manifest


def make_clip(name: str = "ann#1", count: int = 3, height: int = 5, width: int = 7, truth: bool = True) -> Clip:
    rng = np.random.default_rng(0)
    known = GroundTruth(
        joints=rng.uniform(-1, 1, (count, 4, 2)).astype(np.float32),
        visible=rng.random((count, 4)) > 0.5,
        labels=rng.integers(0, 3, (count, height, width), dtype=np.uint8),
        to_first=rng.normal(size=(count, 3, 2, 3)).astype(np.float32),
    )
    frames = rng.integers(0, 256, (count, height, width, 3), dtype=np.uint8)
    return Clip(name, identity_of(name), frames, 12.5, known if truth else None)


@pytest.mark.parametrize("truth", [True, False])
def test_nothing_is_lost(tmp_path: Path, truth: bool) -> None:
    clip = make_clip(truth=truth)
    back = read_clip(write_clip(tmp_path, clip))
    assert (back.name, back.identity, back.fps) == ("ann#1", "ann", 12.5)
    np.testing.assert_array_equal(back.frames, clip.frames)
    assert (back.truth is not None) is truth
    if clip.truth is not None and back.truth is not None:
        for field in ("joints", "visible", "labels", "to_first"):
            wanted, got = getattr(clip.truth, field), getattr(back.truth, field)
            np.testing.assert_array_equal(got, wanted)
            assert got.dtype == wanted.dtype


def test_the_truth_of_some_frames_is_that_of_the_whole() -> None:
    whole = make_clip(count=6).truth
    assert whole is not None
    part = whole.part(slice(2, 6)).part(slice(1, 3))  # frames 3 and 4
    for frame in (0, 1):
        motion = part.motion(frame)
        np.testing.assert_array_equal(motion, whole.motion(3 + frame))
        np.testing.assert_array_equal(part.is_visible(frame, motion), whole.is_visible(3 + frame, motion))
        np.testing.assert_array_equal(part.joints[frame], whole.joints[3 + frame])


def test_any_frame_is_read_alone(tmp_path: Path) -> None:
    clip = make_clip(count=5)
    path = write_clip(tmp_path, clip)
    with ClipFile(path) as file:
        assert (len(file), file.height, file.width) == (5, 5, 7)
        np.testing.assert_array_equal(file.frame(4), clip.frames[4])
        np.testing.assert_array_equal(file.frames(1, 3), clip.frames[1:3])
        for index in (-1, 5):
            with pytest.raises(IndexError):
                file.frame(index)
    with zipfile.ZipFile(path) as archive:
        assert {item.compress_type for item in archive.infolist()} == {zipfile.ZIP_STORED}


def test_equal_clips_have_equal_bytes_and_leave_nothing_behind(tmp_path: Path) -> None:
    first, second = write_clip(tmp_path / "a", make_clip()), write_clip(tmp_path / "b", make_clip())
    assert first.read_bytes() == second.read_bytes()
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["ann#1.zip"]


def test_a_failed_write_leaves_the_old_clip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_clip(tmp_path, make_clip())
    before = path.read_bytes()

    def full(truth: GroundTruth) -> bytes:
        raise OSError("no space left on the device")

    monkeypatch.setattr("tpsm.data.clip.pack_truth", full)  # the last thing written
    with pytest.raises(OSError, match="no space"):
        write_clip(tmp_path, make_clip(count=5))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@given(st.text(min_size=1), st.text(min_size=1))
def test_file_names_are_safe_and_distinct(one: str, other: str) -> None:
    first, second = file_name(one), file_name(other)
    assert "/" not in first and "\\" not in first and "\0" not in first and not first.startswith(".")
    assert (first == second) == (one == other)


def test_identities() -> None:
    assert [identity_of(name) for name in ("ann#1#2", "ann", "#3")] == ["ann", "ann", "#3"]
    assert [file_name(name) for name in ("ann#1.mp4", ".a/b")] == ["ann#1.mp4.zip", "%2Ea%2Fb.zip"]


def damage_truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:200])


def damage_frame(path: Path) -> None:
    data = path.read_bytes()
    at = data.index(b"IDAT") + 8
    path.write_bytes(data[:at] + bytes(16) + data[at + 16 :])


def damage_missing_frame(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        kept = {name: archive.read(name) for name in archive.namelist() if name != "000000.png"}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in kept.items():
            archive.writestr(name, data)


@pytest.mark.parametrize("damage", [damage_truncate, damage_frame, damage_missing_frame])
def test_damage_names_the_file(tmp_path: Path, damage: object) -> None:
    path = write_clip(tmp_path, make_clip())
    damage(path)  # type: ignore[operator]
    with pytest.raises(UserError, match=r"ann#1\.zip is corrupt"):
        read_clip(path)


def test_a_missing_clip_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no clip"):
        ClipFile(tmp_path / "none.zip")


def test_truth_of_another_clip_is_refused(tmp_path: Path) -> None:
    clip = dataclasses.replace(make_clip(), truth=make_clip(count=4).truth)
    with pytest.raises(UserError, match="corrupt"):
        read_clip(write_clip(tmp_path, clip))


def test_manifest_round_trip_and_tampering(tmp_path: Path) -> None:
    entries = tuple(
        Entry(f"p{i}#1", f"p{i}", split, 4, 8, 8, 10.0, str(i) * 64, True) for i, split in enumerate(("train", "test"))
    )
    manifest = Manifest("puppets", 8, entries)
    path = manifest.write(tmp_path)
    assert read_manifest(tmp_path) == manifest
    assert [entry.name for entry in manifest.clips("test")] == ["p1#1"]
    assert entries[1].file == Path("test/p1#1.zip")
    assert dataclasses.replace(manifest, entries=entries[::-1]).sha256 == manifest.sha256
    values = json.loads(path.read_text())
    values["clips"][0]["sha256"] = "f" * 64
    path.write_text(json.dumps(values))
    with pytest.raises(UserError, match="hash"):
        read_manifest(tmp_path)
    for text, says in (("{", r"manifest\.json is not valid JSON"), ('{"clips": []}', "prepare the data set again")):
        path.write_text(text)
        with pytest.raises(UserError, match=says):
            read_manifest(tmp_path)
    path.unlink()
    with pytest.raises(UserError, match="prepare"):
        read_manifest(tmp_path)


@pytest.mark.parametrize(
    ("key", "value"),
    [("has_truth", "perhaps"), ("width", 10**9), ("height", 9), ("frames", 1.5), ("split", "../test"), ("name", 7)],
)
def test_a_manifest_whose_clips_make_no_sense_is_refused(tmp_path: Path, key: str, value: object) -> None:
    entry = Entry("p#1", "p", "test", 4, 8, 8, 10.0, "0" * 64, True)
    path = Manifest("puppets", 8, (entry,)).write(tmp_path)
    values = json.loads(path.read_text())
    values["clips"][0][key] = value
    path.write_text(json.dumps(values))
    with pytest.raises(UserError, match=r"(?s)manifest\.json .*prepare the data set again"):
        read_manifest(tmp_path)


@pytest.mark.parametrize("fps", ["NaN", "Infinity", "-25", "0", "1e308", "1e999999999", '"25"x', "[25]", "null"])
def test_a_rate_that_makes_no_sense_is_refused(tmp_path: Path, fps: str) -> None:
    path = write_clip(tmp_path, make_clip())
    rewrite(path, "clip.json", lambda data: data.replace(b'"fps": 12.5', f'"fps": {fps}'.encode()))
    with pytest.raises(UserError, match=r"ann#1\.zip"):
        read_clip(path)


@pytest.mark.parametrize(
    "change",
    [('"frames": 3', '"frames": 4'), ('"frames": 3', '"frames": true'), ('"width": 7', '"width": 99999999')],
)
def test_a_record_that_its_frames_deny_is_refused(tmp_path: Path, change: tuple[str, str]) -> None:
    path = write_clip(tmp_path, make_clip())
    rewrite(path, "clip.json", lambda data: data.replace(*(text.encode() for text in change)))
    with pytest.raises(UserError, match=r"ann#1\.zip"):
        read_clip(path)


@pytest.mark.parametrize("field", ["joints", "to_first"])
def test_truth_that_is_not_finite_is_refused(tmp_path: Path, field: str) -> None:
    clip = make_clip()
    assert clip.truth is not None
    values = getattr(clip.truth, field).copy()
    values.flat[3] = np.nan
    path = write_clip(tmp_path, dataclasses.replace(clip, truth=dataclasses.replace(clip.truth, **{field: values})))
    with pytest.raises(UserError, match=r"ann#1\.zip .*not finite"):
        read_clip(path)


def test_a_frame_that_unpacks_to_much_more_is_refused(tmp_path: Path) -> None:
    path = write_clip(tmp_path, make_clip())
    rewrite(path, "000001.png", lambda data: data + bytes(50_000_000))
    assert path.stat().st_size < 100_000
    with pytest.raises(UserError, match=r"ann#1\.zip is corrupt .*bytes"):
        read_clip(path)


def rewrite(path: Path, member: str, change: Callable[[bytes], bytes]) -> None:
    with zipfile.ZipFile(path) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in content.items():
            archive.writestr(name, change(data) if name == member else data)


@given(st.integers(1, 60), st.integers(2, 60))
def test_what_is_spread_evenly_has_both_ends_and_equal_gaps(size: int, count: int) -> None:
    chosen = spread_index(size, count)
    assert len(chosen) == min(size, count) and chosen[0] == 0 and chosen[-1] == size - 1
    gaps = np.diff(chosen)
    assert not len(gaps) or (gaps.min() >= 1 and gaps.max() - gaps.min() <= 1)
    assert spread("abcd", 3) == ["a", "c", "d"] and spread("", 3) == []
