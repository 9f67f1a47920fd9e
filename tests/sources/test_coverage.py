"""The certificate of a set with known faults: what is missing, twice, or in both splits is found and counted."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image
from small_pipeline import dots, make_data

from eval.__main__ import main
from tpsm.core.errors import UserError
from tpsm.core.files import sha256_of
from tpsm.core.layout import Layout
from tpsm.data.clip import read_clip, write_clip
from tpsm.data.config import DataConfig
from tpsm.data.manifest import Entry, Manifest, read_manifest
from tpsm.data.prepare import prepare
from tpsm.data.splits import SplitConfig, frames_sha256, make_split, read_split
from tpsm.sources.coverage import published_video
from tpsm.sources.fetch.ledger import Key, Outcome, opened, read_ledger


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """Nine prepared clips: a, b and c in train, d and e in test."""
    layout = make_data(tmp_path)
    take_split(layout, None)
    return layout


def take_split(layout: Layout, name: str | None, sha256: str | None = None) -> None:
    layout.config.with_name("split.yaml").write_text(yaml.safe_dump({"name": name, "sha256": sha256}))


def add(layout: Layout, name: str, split: str, like: str | None = None) -> None:
    """A clip more in the prepared set, with the frames of `like` or its own."""
    clip = replace(dots(like or name, seed=99, has_truth=False), name=name, identity=name.split("#")[0])
    if like is not None:
        source = next(entry for entry in read_manifest(layout.clips).entries if entry.name == like)
        clip = replace(clip, frames=read_clip(layout.clips / source.file).frames)
    path = write_clip(layout.clips / split, clip)
    height, width = clip.frames.shape[1:3]
    entry = Entry(name, clip.identity, split, len(clip.frames), width, height, 25.0, sha256_of(path), False)
    manifest = read_manifest(layout.clips)
    Manifest(manifest.dataset, manifest.size, (*manifest.entries, entry)).write(layout.clips)


def certify(layout: Layout) -> tuple[dict, str]:
    assert main(["coverage", "--dataset", "dots", "--root", str(layout.root)]) == 0
    assert layout.coverage.with_suffix(".png").stat().st_size > 1000
    return json.loads(layout.coverage.read_text()), layout.coverage.with_suffix(".md").read_text()


def test_a_set_that_is_not_configured_is_answered_with_the_key(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["coverage", "--dataset", "vox", "--root", str(tmp_path)]) == 2
    told = capsys.readouterr().err
    assert "'vox' to `datasets` in params.yaml" in told and "`tpsm configure`" in told and told.count("\n") == 1


def test_a_whole_set_without_a_list(layout: Layout) -> None:
    found, page = certify(layout)
    assert found["expected"] is found["listed_by"] is None and found["present"] == {"train": 5, "test": 4}
    assert not any(found[key] for key in ("missing", "duplicates", "identities_in_both", "videos_in_both", "unlisted"))
    assert found["sha256"] == read_manifest(layout.clips).sha256 and found["content"].keys() == {
        "d#0",
        "d#1",
        "e#0",
        "e#1",
    }
    assert "Nothing lists what should be there" in page


def test_what_is_missing_has_the_ledgers_reason(layout: Layout) -> None:
    with opened(layout.root / "data/raw/dots/ledger.csv") as ledger:
        for entry in read_manifest(layout.clips).entries[:-1]:  # e#1 is there, and not listed
            ledger.record(Key(entry.split, entry.name), f"video{entry.name[0]}", Outcome.ok)
        ledger.record(Key("train", "f#0"), "videof", Outcome.refused, "a bad day")
        ledger.record(Key("train", "f#0"), "videof", Outcome.gone)  # the later one counts
        ledger.record(Key("test", "g#0"), "videog", Outcome.private)
        ledger.record(Key("test", "h#0"), "videoa", Outcome.ok)  # fetched, then lost
        ledger.record(Key("train", "a#0", 2), "videoa", Outcome.duplicate)
    found, page = certify(layout)
    assert found["listed_by"] == "ledger" and found["expected"] == {"train": 6, "test": 5}
    assert found["missing"] == {"gone": ["train/f#0"], "private": ["test/g#0"], "absent": ["test/h#0"]}
    assert found["unlisted"] == ["test/e#1"] and found["repeated_rows"] == 1 and found["videos_known"] == 8
    assert "| missing: gone | 1 | 0 |" in page and "| expected | 6 | 5 |" in page
    assert "clips that nothing lists: 1 (test/e#1)" in page


def test_clips_of_an_archive_without_splits_count_wherever_they_are(layout: Layout) -> None:
    with opened(layout.root / "data/raw/dots/ledger.csv") as ledger:
        for name, outcome in (("a#0", Outcome.ok), ("d#0", Outcome.ok), ("x#0", Outcome.undecodable)):
            ledger.record(Key("", name), "", outcome)
    found, page = certify(layout)
    assert found["expected"] == {"": 3} and found["missing"] == {"undecodable": ["/x#0"]}
    assert len(found["unlisted"]) == 7 and "| | train | test | no split |" in page


def test_the_same_frames_under_other_names_are_found(layout: Layout) -> None:
    add(layout, "c#copy", "train", like="c#0")
    add(layout, "new#0", "test", like="a#1")
    found, page = certify(layout)
    assert found["duplicates"] == [["train/a#1", "test/new#0"], ["train/c#0", "train/c#copy"]]
    assert "several names: 2 (" in page and "in train and in test: 1 (train/a#1 = test/new#0)" in page
    assert not found["identities_in_both"]


def test_leaks_are_found(layout: Layout) -> None:
    add(layout, "a#2", "test")
    add(layout, "i#hgB5ziAudzU#000001#000090", "train")
    add(layout, "j#hgB5ziAudzU#000100#000190", "test")
    found, page = certify(layout)
    assert found["identities_in_both"] == ["a"] and found["videos_in_both"] == ["hgB5ziAudzU"]
    assert "(known of 2 clips): 1 (hgB5ziAudzU)" in page
    with opened(layout.root / "data/raw/dots/ledger.csv") as ledger:
        ledger.record(Key("train", "b#0"), "film", Outcome.ok)
        ledger.record(Key("test", "e#0"), "film", Outcome.ok)
    assert certify(layout)[0]["videos_in_both"] == ["film", "hgB5ziAudzU"]


@pytest.mark.parametrize(
    ("name", "video"),
    [
        ("id10283#hgB5ziAudzU#001234#001400", "hgB5ziAudzU"),
        ("hgB5ziAudzU#001234#001400", "hgB5ziAudzU"),
        ("-gB5ziAu_zU#3#001234#001400", "-gB5ziAu_zU"),
        ("puppet044#00", None),
        ("hgB5ziAudzU#00", None),
    ],
)
def test_the_papers_names_say_the_video(name: str, video: str | None) -> None:
    assert published_video(name) == video


def test_the_hash_of_frames_speaks_of_pixels_alone(tmp_path: Path) -> None:
    clip = dots("a#0", 0)
    one = frames_sha256(write_clip(tmp_path / "1", clip))
    assert (
        frames_sha256(write_clip(tmp_path / "2", replace(clip, name="z#9", identity="z", fps=3.0, truth=None))) == one
    )
    other = clip.frames.copy()
    other[-1, -1, -1, -1] ^= 1
    assert frames_sha256(write_clip(tmp_path / "3", replace(clip, frames=other))) != one
    assert frames_sha256(write_clip(tmp_path / "4", replace(clip, frames=clip.frames[:-1]))) != one


def test_a_named_split_lists_the_clips_and_their_frames(layout: Layout, capsys: pytest.CaptureFixture[str]) -> None:
    path = make_split(read_manifest(layout.clips), layout.clips, "all-v1", layout.root)
    take_split(layout, "all-v1", read_split("dots", "all-v1", layout.root).sha256)
    found, page = certify(layout)
    assert found["listed_by"] == "split" and found["expected"] == found["present"] and not found["missing"]
    assert found["split_sha256"] in page and not found["other_content"]
    gone, *rest = read_manifest(layout.clips).entries
    Manifest("dots", 32, tuple(rest)).write(layout.clips)
    write_clip(layout.clips / rest[0].split, replace(dots(rest[0].name, 77), identity="a"))
    found, page = certify(layout)
    assert found["missing"] == {"absent": [f"train/{gone.name}"]} and found["other_content"] == [
        f"train/{rest[0].name}"
    ]
    with opened(layout.root / "data/raw/dots/ledger.csv") as ledger:
        ledger.record(Key("test", gone.name), "", Outcome.short)  # in the raw folder's other split
    assert certify(layout)[0]["missing"] == {"short": [f"train/{gone.name}"]}
    path.write_text(path.read_text().replace("d#0,test", "d#0,train"))
    assert main(["coverage", "--dataset", "dots", "--root", str(layout.root)]) == 2
    assert "all-v1.csv is not what was published" in capsys.readouterr().err


def test_a_ledger_is_read_while_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "ledger.csv"
    assert read_ledger(path) == []
    with opened(path) as ledger:
        ledger.record(Key("train", "a"), "v", Outcome.ok)
        path.open("ab").write(b"train,b,1,v,o")
        assert [(line.key.clip, line.video) for line in read_ledger(path)] == [("a", "v")]
    path.write_text("split,clip\ntrain,a\n")
    with pytest.raises(UserError, match="is no ledger of outcomes"):
        read_ledger(path)


def raw_set(folder: Path, names: dict[str, str]) -> Path:
    """Strips of three frames, each of its own grey."""
    for level, (name, split) in enumerate(names.items()):
        (folder / split).mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((16, 48, 3), 10 * level, np.uint8)).save(folder / split / f"{name}.png")
    return folder


def test_prepare_takes_the_split_and_tells_what_it_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    config = DataConfig(size=16)
    clips = {"a#0": "train", "b#0": "train", "c#0": "test", "d#0": "test"}
    first = prepare("s", raw_set(tmp_path / "one", clips), config, Path("out1"))
    make_split(first, Path("out1"), "all-v1")
    split = read_split("s", "all-v1")
    # Another laboratory: no d, one clip more, c in the wrong folder and a in none.
    there = raw_set(tmp_path / "two", {"b#0": "train", "x#0": "train", "c#0": "train"})
    Image.fromarray(np.zeros((16, 48, 3), np.uint8)).save(there / "a#0.png")
    got = prepare("s", there, config, Path("out2"), split)
    assert [(e.split, e.name) for e in got.entries] == [("train", "a#0"), ("train", "b#0"), ("test", "c#0")]
    assert "1 of the 4 clips of the split all-v1 are not in" in caplog.text and "d#0" in caplog.text
    assert read_manifest(Path("out2")) == got
    (there / "train" / "c#0.png").unlink()
    with pytest.raises(UserError, match="None of the test clips of the split all-v1 is in"):
        prepare("s", there, config, Path("out2"), split)


def test_a_published_split_does_not_change(layout: Layout) -> None:
    root, manifest = layout.root, read_manifest(layout.clips)
    path = make_split(manifest, layout.clips, "all-v1", root)
    with pytest.raises(UserError, match="a published one does not change; raise the version"):
        make_split(manifest, layout.clips, "all-v1", root)
    with pytest.raises(UserError, match="with a version at its end"):
        make_split(manifest, layout.clips, "all", root)
    with pytest.raises(UserError, match=r"with a version at its end"):
        read_split("dots", "../../all-v1", root)
    with pytest.raises(UserError, match=r"There is no split .*all-v2\.csv; choose one that is there \(all-v1\)"):
        read_split("dots", "all-v2", root)
    good = path.read_text()
    seen = read_split("dots", "all-v1", root)
    assert SplitConfig("all-v1", seen.sha256).read("dots", root) == seen and SplitConfig().read("dots", root) is None
    with pytest.raises(UserError, match="has changed since `tpsm configure`"):
        SplitConfig("all-v1", "0" * 64).read("dots", root)
    for bad, message in (
        (good + "z#0,test,\n", "is not what was published"),
        (good.split("\n", 1)[1], "does not begin with '# sha256"),
        (good.replace("clip,split", "clip,part"), "has no column 'split'; it needs clip, split, sha256"),
        (good.replace("e#0,test", "e#0,dev"), "has e#0 neither in train nor in test"),
    ):
        path.write_text(bad)
        with pytest.raises(UserError, match=message):
            read_split("dots", "all-v1", root)
