"""Computes a batch in pieces that stay in a CPU's cache, side by side where there are several threads."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch
from torch import Tensor

Result = TypeVar("Result")

CACHED = 1 << 22
"""Numbers of a map that stay in a CPU's cache till the next layer reads them."""


def by_pieces(compute: Callable[[slice], Result], batch: int, like: Tensor, numbers: int) -> list[Result]:
    """Returns the results of `compute` for pieces of a batch: on a CPU, in inference, of as many images as stay in its
    cache with `numbers` each in their largest map; else for the whole batch.

    With several threads, each has a piece of its own: threads that share one image wait for each other after each of
    hundreds of small steps. The results are those of one thread.
    """
    alone = like.device.type != "cpu" or torch.is_grad_enabled()
    some = batch if alone else max(1, CACHED // numbers)
    pieces = [slice(start, start + some) for start in range(0, batch, some)]
    threads = torch.get_num_threads()
    if min(len(pieces), threads) == 1 or not torch.is_inference_mode_enabled() or torch.is_autocast_enabled("cpu"):
        return [compute(piece) for piece in pieces]
    try:
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            return list(pool.map(torch.inference_mode()(compute), pieces))
    finally:
        torch.set_num_threads(threads)  # Part of the setting is the whole process's.
