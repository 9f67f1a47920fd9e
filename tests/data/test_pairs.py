"""Training pairs: a function of (seed, epoch, index), whoever asks and whenever."""

from __future__ import annotations

import pickle
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

import tpsm.data.pairs as module
from tpsm.core.clips import Clip
from tpsm.core.errors import UserError
from tpsm.core.types import FramePair
from tpsm.data.clip import write_clip
from tpsm.data.config import AugmentConfig, DataConfig
from tpsm.data.manifest import Entry, Manifest
from tpsm.data.pairs import PairBatches, PairDataset

OFF = AugmentConfig(False, False, 0.0, 0.0, 0.0, 0.0, 0.0)
FRAMES = 5
CLIPS = ("ann#0", "ann#1", "ann#2", "bob#0")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clips whose pixels say which clip (red) and frame (green) they are."""
    out = tmp_path_factory.mktemp("clips")
    entries = []
    for number, name in enumerate((*CLIPS, "eve#0")):
        frames = np.zeros((FRAMES, 8, 8, 3), np.uint8)
        frames[..., 0] = number
        frames[..., 1] = np.arange(FRAMES)[:, None, None]
        split = "test" if name == "eve#0" else "train"
        write_clip(out / split, Clip(name, name.split("#")[0], frames, 10.0))
        entries.append(Entry(name, name.split("#")[0], split, FRAMES, 8, 8, 10.0, "0" * 64, False))
    Manifest("p", 8, tuple(entries)).write(out)
    return out


def config(by_identity: bool = True, augment: AugmentConfig = OFF) -> DataConfig:
    return DataConfig(size=8, identity_sampling=by_identity, augment=augment)


def seen(dataset: PairDataset) -> list[tuple[int, int, int]]:
    """(clip, source frame, driving frame) of every item."""
    items = [dataset[i] for i in range(len(dataset))]
    return [(int(x[0, 0, 0, 0]), int(x[0, 1, 0, 0]), int(x[1, 1, 0, 0])) for x in items]


def equal(one: list[FramePair], other: list[FramePair]) -> bool:
    return len(one) == len(other) and all(
        torch.equal(a.source, b.source) and torch.equal(a.driving, b.driving) for a, b in zip(one, other, strict=True)
    )


def test_the_source_is_earlier_and_every_pair_of_frames_occurs(folder: Path) -> None:
    pairs = seen(PairDataset(folder, config(), repeats=400))
    assert all(source <= driving for _, source, driving in pairs)
    counts = Counter((source, driving) for _, source, driving in pairs)
    assert set(counts) == {(a, b) for a in range(FRAMES) for b in range(a, FRAMES)}
    same = sum(count for (a, b), count in counts.items() if a == b) / len(pairs)
    assert same == pytest.approx(1 / FRAMES, abs=0.05)  # drawn with replacement


def test_identities_or_clips_are_drawn_equally_often(folder: Path) -> None:
    by_identity = Counter(clip for clip, _, _ in seen(PairDataset(folder, config(True), repeats=300)))
    assert by_identity[3] == 300 and sum(by_identity.values()) == 600
    assert all(by_identity[clip] == pytest.approx(100, abs=30) for clip in range(3))
    by_clip = Counter(clip for clip, _, _ in seen(PairDataset(folder, config(False), repeats=7)))
    assert by_clip == {clip: 7 for clip in range(4)}  # and never the test clip


def test_seed_and_epoch_make_the_pairs(folder: Path) -> None:
    def items(**change: int) -> list[tuple[int, int, int]]:
        return seen(PairDataset(folder, config(False), repeats=5, **change))

    assert items(seed=1, epoch=2) == items(seed=1, epoch=2)
    assert items(seed=1, epoch=2) != items(seed=1, epoch=3)
    assert items(seed=1, epoch=2) != items(seed=2, epoch=2)


def test_batches_have_their_shapes_and_range(folder: Path) -> None:
    batches = PairBatches(folder, config(False), 3, repeats=2)
    assert len(batches) == 2  # 8 pairs: the last two are dropped
    pairs = list(batches.epoch(0))
    assert len(pairs) == 2
    for pair in pairs:
        for image in (pair.source, pair.driving):
            assert image.shape == (3, 3, 8, 8) and image.dtype == torch.float32
            assert image.min() >= 0 and image.max() <= 1


@pytest.mark.parametrize("workers", [0, 2])
def test_an_epoch_resumed_in_its_middle_is_the_same_epoch(folder: Path, workers: int) -> None:
    full = AugmentConfig(resize=0.1)
    whole = list(PairBatches(folder, config(False, full), 2, repeats=3, seed=4).epoch(1))
    rest = list(PairBatches(folder, config(False, full), 2, repeats=3, seed=4, workers=workers).epoch(1, 2))
    assert len(whole) == 6
    assert equal(whole[2:], rest)


def test_loading_leaves_the_global_random_state_alone(folder: Path) -> None:
    torch.manual_seed(0)
    np.random.seed(0)
    before = torch.get_rng_state(), np.random.get_state()[1].copy()
    list(PairBatches(folder, config(True, AugmentConfig(resize=0.1)), 2, repeats=3).epoch(0))
    assert torch.equal(torch.get_rng_state(), before[0])
    np.testing.assert_array_equal(np.random.get_state()[1], before[1])


def test_a_dataset_travels_to_another_process_without_its_files(folder: Path) -> None:
    dataset = PairDataset(folder, config())
    wanted = seen(dataset)
    assert seen(pickle.loads(pickle.dumps(dataset))) == wanted


def test_few_files_are_open_at_a_time(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = seen(PairDataset(folder, config(False), repeats=4))
    monkeypatch.setattr(module, "_OPEN_FILES", 2)
    dataset = PairDataset(folder, config(False), repeats=4)
    assert seen(dataset) == wanted
    assert len(dataset._files._open) == 2


def test_too_little_data_is_told(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="raise repeats"):
        PairBatches(folder, config(), 3)
    Manifest("p", 8, ()).write(tmp_path)
    with pytest.raises(UserError, match="no training clips"):
        PairBatches(tmp_path, config(), 1)
    with pytest.raises(UserError, match="prepare"):
        PairBatches(tmp_path / "none", config(), 1)
