"""Measures how fast training pairs are loaded."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import torch

from tpsm.core.tensors import to_float
from tpsm.data.config import AugmentConfig, DataConfig
from tpsm.data.pairs import PairDataset


def benchmark(folder: Path, *, seconds: float = 2.0) -> dict[str, float]:
    """Returns how many pairs per second one thread loads, by kind of augmentation, on each of which `seconds` are
    spent."""
    still = AugmentConfig(False, False, 0.0, 0.0, 0.0, 0.0, 0.0)
    kinds = {
        "plain": still,
        "flips": replace(still, flip_time=True, flip_horizontal=True),
        "flips, jitter": AugmentConfig(),
        "flips, resize, jitter": AugmentConfig(resize=0.1),
    }

    # Loaded by one thread, as by a worker of training.
    config, speeds = DataConfig(), {}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for name, kind in kinds.items():
            dataset = PairDataset(folder, replace(config, augment=kind), repeats=100)
            dataset[0]  # so that the first call's set-up is not timed
            start, count = time.perf_counter(), 0
            while (spent := time.perf_counter() - start) < seconds:
                to_float(dataset[count % len(dataset)])
                count += 1
            speeds[name] = count / spent
    finally:
        torch.set_num_threads(threads)
    return speeds
