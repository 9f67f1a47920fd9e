"""Draws training pairs. Their frames and their order are a function of (seed, epoch, index) alone."""

from __future__ import annotations

import os
from collections import OrderedDict, defaultdict
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from tpsm.core.device import device, local_processes
from tpsm.core.errors import UserError
from tpsm.core.rng import BatchSlice
from tpsm.core.tensors import to_float
from tpsm.core.types import FramePair
from tpsm.data.augment import augment
from tpsm.data.clip import ClipFile
from tpsm.data.config import DataConfig
from tpsm.data.manifest import Manifest, read_manifest

_OPEN_FILES = 128


class PairDataset(Dataset[UInt8[Tensor, "2 3 h w"]]):
    """One epoch of training pairs from the clips of `train/`.

    With `identity_sampling` an item is an identity, of which a random clip is taken; otherwise it is a clip. Two frame
    indices are drawn with replacement; the earlier frame is the source. Every item appears `repeats` times per epoch,
    in a random order.
    """

    def __init__(self, folder: Path, config: DataConfig, *, repeats: int = 1, seed: int = 0, epoch: int = 0) -> None:
        self.folder, self.augmentation = Path(folder), config.augment
        self.seed, self.epoch = seed, epoch
        groups = _groups(read_manifest(self.folder), config.identity_sampling)
        if not groups:
            raise UserError(f"There are no training clips in {self.folder}; prepare a data set that has some.")
        self._groups = groups
        order = np.random.default_rng([seed, epoch])
        self._order = order.permutation(np.tile(np.arange(len(groups)), repeats))
        self._files = _OpenClips()

    def __len__(self) -> int:
        return len(self._order)

    def __getitem__(self, index: int) -> UInt8[Tensor, "2 3 h w"]:
        rng = np.random.default_rng([self.seed, self.epoch, index])
        group = self._groups[self._order[index]]
        clip = self._files.get(self.folder / group[int(rng.integers(len(group)))])
        first, second = sorted(rng.integers(len(clip), size=2))
        return augment(np.stack([clip.frame(int(first)), clip.frame(int(second))]), self.augmentation, rng)


class PairBatches:
    """Loads the training batches of a prepared folder, epoch after epoch; an incomplete last batch is dropped.

    `workers` processes load them on each machine, divided among its training processes.
    """

    def __init__(
        self, folder: Path, config: DataConfig, batch_size: int, *, repeats: int = 1, seed: int = 0, workers: int = 0
    ) -> None:
        self._dataset = partial(PairDataset, folder, config, repeats=repeats, seed=seed)
        self._batch_size, self._workers = batch_size, -(-workers // local_processes())
        if workers and config.augment.jitters:
            import torchvision.transforms.v2  # noqa: F401  Here, or else every worker of every epoch imports it anew.
        pairs = len(self._dataset())
        self._count = pairs // batch_size
        if not self._count:
            raise UserError(
                f"{folder} gives {pairs} pairs an epoch, fewer than a batch of {batch_size}; raise repeats."
            )

    def __len__(self) -> int:
        return self._count

    def epoch(self, epoch: int, first: int = 0, parts: Sequence[BatchSlice] = ()) -> Iterator[FramePair]:
        """Yields the given parts (or else all) of every batch of `epoch`, from batch `first` on, on `device()`."""
        size = self._batch_size
        parts = parts or BatchSlice.split(size, 1)
        loader: DataLoader[Any] = DataLoader(
            self._dataset(epoch=epoch),
            batch_sampler=[
                list(range(b * size + part.start, b * size + part.stop))
                for b in range(first, self._count)
                for part in parts
            ],
            num_workers=self._workers,
            pin_memory=torch.cuda.is_available(),
            generator=torch.Generator(),  # its own: the loader would otherwise draw from the global one
        )
        for images in loader:
            there = images.to(device(), non_blocking=True)
            yield FramePair(to_float(there[:, 0]), to_float(there[:, 1]))


def _groups(manifest: Manifest, by_identity: bool) -> list[list[str]]:
    """Returns the training clips' files, in groups that are drawn equally often."""
    groups: dict[str, list[str]] = defaultdict(list)
    for entry in manifest.clips("train"):
        groups[entry.identity if by_identity else entry.name].append(str(entry.file))
    return [sorted(groups[key]) for key in sorted(groups)]


class _OpenClips:
    """Keeps the most recently used clips open. A process has its own: a file's position must not be shared."""

    def __init__(self) -> None:
        self._open: OrderedDict[Path, ClipFile] = OrderedDict()
        self._process = os.getpid()

    def get(self, path: Path) -> ClipFile:
        if self._process != os.getpid():
            self._open, self._process = OrderedDict(), os.getpid()
        if path not in self._open:
            if len(self._open) >= _OPEN_FILES:
                self._open.popitem(last=False)[1].close()
            self._open[path] = ClipFile(path)
        self._open.move_to_end(path)
        return self._open[path]

    def __getstate__(self) -> dict[str, Any]:
        return {"_open": OrderedDict(), "_process": 0}
