"""From any raw layout to square clips and a manifest: once, resumably, and with the ground truth still true."""

from __future__ import annotations

import dataclasses
import logging
import os
import shutil
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import tpsm.data.prepare as module
from tpsm.core.errors import UserError
from tpsm.core.schema import from_mapping
from tpsm.data.clip import pack_truth, read_clip
from tpsm.data.config import DataConfig
from tpsm.data.manifest import read_manifest
from tpsm.data.prepare import prepare
from tpsm.data.raw import find_clips
from tpsm.data.resize import fit_to_size
from tpsm.data.video import write_video
from tpsm.sources.puppets.generate import puppet_clip, synthesize


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("raw")
    synthesize(folder, size=32, train_identities=2, test_identities=1, clips_per_identity=2, frames=4, seed=0)
    return folder


def test_everything_arrives(raw: Path, tmp_path: Path) -> None:
    manifest = prepare("puppets", raw, DataConfig(size=32, fps=12.0), tmp_path)
    assert read_manifest(tmp_path) == manifest
    assert [entry.identity for entry in manifest.clips("train")] == ["puppet000"] * 2 + ["puppet001"] * 2
    assert {path.name for path in (tmp_path / "test").iterdir()} == {"puppet002#00.zip", "puppet002#01.zip"}
    entry = manifest.clips("test")[1]
    assert (entry.frames, entry.width, entry.height, entry.fps, entry.has_truth) == (4, 32, 32, 12.0, True)
    clip = puppet_clip(2, 1, size=32, frames=4, seed=0)
    back = read_clip(tmp_path / entry.file)
    np.testing.assert_array_equal(back.frames, clip.frames)
    assert back.truth is not None and clip.truth is not None
    np.testing.assert_array_equal(back.truth.labels, clip.truth.labels)
    np.testing.assert_array_equal(back.truth.joints, clip.truth.joints)


def test_two_runs_give_the_same_bytes(raw: Path, tmp_path: Path) -> None:
    config = DataConfig(size=24)
    assert prepare("p", raw, config, tmp_path / "a").sha256 == prepare("p", raw, config, tmp_path / "b").sha256


def test_an_interrupted_run_goes_on(raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = DataConfig(size=32)
    whole = prepare("p", raw, config, tmp_path / "whole")
    written: list[str] = []
    original = module.clip_writer

    def counting(folder: Path, name: str, identity: str, fps: float, *, origin: str = "") -> object:
        if len(written) == 3:
            raise KeyboardInterrupt
        written.append(name)
        return original(folder, name, identity, fps, origin=origin)

    monkeypatch.setattr(module, "clip_writer", counting)
    with pytest.raises(KeyboardInterrupt):
        prepare("p", raw, config, tmp_path / "cut")
    assert not (tmp_path / "cut" / "manifest.json").exists()
    first = written.copy()
    written[:] = []
    assert prepare("p", raw, config, tmp_path / "cut").sha256 == whole.sha256
    assert not set(first) & set(written) and len(first) + len(written) == 6


def test_another_configuration_or_source_is_done_again(raw: Path, tmp_path: Path) -> None:
    small = prepare("p", raw, DataConfig(size=16, max_frames=3), tmp_path)
    assert {entry.width for entry in small.entries} == {16}
    assert {entry.frames for entry in small.entries} == {3}
    large = prepare("p", raw, DataConfig(size=32), tmp_path)
    assert {entry.width for entry in large.entries} == {32}
    assert small.sha256 != large.sha256


def test_clips_that_left_the_source_leave_the_result(raw: Path, tmp_path: Path) -> None:
    copy = tmp_path / "raw"
    for path in raw.glob("*/*"):
        (copy / path.parent.name).mkdir(parents=True, exist_ok=True)
        (copy / path.parent.name / path.name).write_bytes(path.read_bytes())
    prepare("p", copy, DataConfig(size=32), tmp_path / "out")
    for path in (copy / "train").glob("puppet000#00.*"):
        path.unlink()
    prepare("p", copy, DataConfig(size=32), tmp_path / "out")
    assert not (tmp_path / "out" / "train" / "puppet000#00.zip").exists()


def test_crop_takes_the_centre_and_stretch_takes_all() -> None:
    frame = np.zeros((20, 40, 3), np.uint8)
    frame[:, 10:30, 0] = 255
    assert (fit_to_size(frame, 20)[..., 0] == 255).all()
    stretched = fit_to_size(frame, 20, "stretch")
    assert stretched.shape == (20, 20, 3)
    assert stretched[:, 7:13, 0].min() > 240 and stretched[:, :3, 0].max() < 15
    checks = np.where((np.indices((64, 64)).sum(0) % 2)[..., None], 255, 0).astype(np.uint8).repeat(3, 2)
    assert np.ptp(fit_to_size(checks, 16).astype(int)[2:-2, 2:-2]) < 8  # anti-aliased: even gray


@pytest.mark.parametrize("size", [32, 48])
def test_truth_survives_a_resize(tmp_path: Path, size: int) -> None:
    """Joints drawn as dots in the raw pictures are found where the prepared ground truth says."""
    clip = puppet_clip(0, 0, size=96, frames=3, seed=0)
    assert clip.truth is not None
    axis = np.linspace(-1, 1, 96)
    for joint in (0, 5, 14):
        x, y = clip.truth.joints[1, joint]
        dot = np.exp(-((axis - x) ** 2 + (axis[:, None] - y) ** 2) / 0.08**2)
        frames = (np.repeat(dot[None, ..., None], 3, axis=0).repeat(3, axis=3) * 255).astype(np.uint8)
        folder = tmp_path / f"{joint}" / "train"
        folder.mkdir(parents=True)
        for split in ("train", "test"):
            write_video(folder.parent / split / "a#0.png", frames)
            (folder.parent / split / "a#0.npz").write_bytes(pack_truth(clip.truth))
        prepare("p", folder.parent, DataConfig(size=size), tmp_path / f"out{joint}")
        back = read_clip(tmp_path / f"out{joint}" / "test" / "a#0.zip")
        assert back.truth is not None
        weight = back.frames[1, ..., 0].astype(float)
        small = np.linspace(-1, 1, size)
        found = np.array([(weight * small).sum(), (weight * small[:, None]).sum()]) / weight.sum()
        if (np.abs(clip.truth.joints[1, joint]) < 0.75).all():  # the dot is not cut by the border
            np.testing.assert_allclose(found, back.truth.joints[1, joint], atol=0.1 / size)
        assert back.truth.labels.shape == (3, size, size)
        own = np.concatenate([back.truth.joints[2, 0], [1]]) @ back.truth.to_first[2, 2].T
        np.testing.assert_allclose(own, back.truth.joints[0, 0], atol=1e-4)  # the head's joint moves with the head


def test_truth_is_dropped_where_a_crop_bends_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    clip = puppet_clip(0, 0, size=32, frames=3, seed=0)
    assert clip.truth is not None
    cut = dataclasses.replace(clip.truth, labels=clip.truth.labels[:, :, :24])
    for split in ("train", "test"):
        write_video(tmp_path / split / "a#0.png", clip.frames[:, :, :24])
        (tmp_path / split / "a#0.npz").write_bytes(pack_truth(cut))
    with caplog.at_level(logging.WARNING):
        manifest = prepare("p", tmp_path, DataConfig(size=16), tmp_path / "out")
    assert not any(entry.has_truth for entry in manifest.entries)
    assert "cropped" in caplog.text
    stretched = prepare("p", tmp_path, DataConfig(size=16, fit="stretch"), tmp_path / "out")
    assert all(entry.has_truth for entry in stretched.entries)


def strip(path: Path, seed: int, frames: int = 3) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (8, 8 * frames, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def test_without_train_a_fifth_of_the_identities_is_held_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for identity in range(10):
        for number in range(3):
            strip(tmp_path / f"id{identity}#{number}.png", 10 * identity + number)
    with caplog.at_level(logging.INFO):
        clips = find_clips(tmp_path)
    names = {split: {path.name.split("#")[0] for path in found} for split, found in clips.items()}
    assert len(names["test"]) == 2 and len(names["train"]) == 8 and not names["test"] & names["train"]
    assert len(clips["test"]) == 6
    assert "2 of 10 identities" in caplog.text
    assert find_clips(tmp_path) == clips


def test_an_identity_in_both_splits_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    strip(tmp_path / "raw" / "train" / "ann#0.png", 0)
    strip(tmp_path / "raw" / "test" / "ann#1.png", 1)
    with caplog.at_level(logging.WARNING):
        prepare("p", tmp_path / "raw", DataConfig(size=8), tmp_path / "out")
    assert "ann" in caplog.text and "both train and test" in caplog.text


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"size": 4}, "data.size"),
        ({"fit": "squeeze"}, "data.fit"),
        ({"max_frames": 1}, "data.max_frames"),
        ({"fps": 0}, "data.fps"),
        ({"fps": 1e308}, "data.fps"),
        ({"fps": float("nan")}, "data.fps"),
        ({"frame_width": 0}, "data.frame_width"),
        ({"augment": {"hue": 0.7}}, "data.augment.hue"),
        ({"augment": {"resize": 1.0}}, "data.augment.resize"),
        ({"colour": 1}, "data.colour"),
    ],
)
def test_bad_configurations_are_named(values: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        from_mapping(DataConfig, values, "data")


def test_clips_in_folders_are_taken_and_the_folders_name_them(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    raw = tmp_path / "raw"
    for name in ("train/id1/xyz/00001.gif", "train/id1/abc/00001.mp4", "train/id2#0.png"):
        write_video(raw / name, np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3), dtype=np.uint8))
    write_video(raw / "test" / "id3" / "xyz" / "frames", np.zeros((3, 8, 8, 3), np.uint8))
    for name in ("train/notes.txt", "train/..hidden.png", "train/id1/list.csv", "valid/a.png", "stray.png"):
        strip(raw / "x.png", 0)
        (raw / name).parent.mkdir(exist_ok=True)
        (raw / "x.png").rename(raw / name)
    (raw / "train" / "id1" / "round").symlink_to(raw / "train")
    (raw / "train" / "id1" / "loop").symlink_to("loop")
    (raw / "train" / "empty").mkdir()
    os.mkfifo(raw / "train" / "pipe.mp4")

    manifest = prepare("p", raw, DataConfig(size=8), tmp_path / "out")
    assert {entry.name: entry.identity for entry in manifest.entries} == {
        "id1#xyz#00001": "id1",
        "id1#abc#00001": "id1",
        "id2#0": "id2",
        "id3#xyz#frames": "id3",
    }
    told = {record.message.split("not taken, ")[1] for record in caplog.records if "not taken" in record.message}
    assert told == {
        "no video or image of a known kind: list.csv, notes.txt, pipe.mp4",
        "hidden, for its name begins with a dot: ..hidden.png",
        "a link to nothing, to itself or to a folder above: loop, round",
        "a folder without clips: empty",
        "beside train/ and test/: stray.png, valid",
    }


@pytest.mark.parametrize("name", ["a.ts", "a.3gp", "a.MTS", "a.ogv"])
def test_videos_of_more_kinds_are_taken(tmp_path: Path, name: str) -> None:
    write_video(tmp_path / "a.mp4", np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3), dtype=np.uint8))
    for split in ("train", "test"):
        (tmp_path / split).mkdir()
        shutil.copy(tmp_path / "a.mp4", tmp_path / split / name)  # FFmpeg goes by what is in a file
    manifest = prepare("p", tmp_path, DataConfig(size=8), tmp_path / "out")
    assert [entry.frames for entry in manifest.entries] == [3, 3]


def test_memory_does_not_grow_with_a_clip(tmp_path: Path) -> None:
    def peak(count: int) -> int:
        """Of the arrays of a clip whose frames take 200 kB each, once prepared."""
        raw = tmp_path / str(count)
        frame = Image.fromarray(np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8))
        for split in ("train", "test"):
            (raw / split / "a").mkdir(parents=True)
            for number in range(count if split == "train" else 2):
                frame.save(raw / split / "a" / f"{number}.png")
        tracemalloc.start()
        prepare("p", raw, DataConfig(size=256), raw / "out")
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    assert peak(60) < peak(6) + 2_000_000
