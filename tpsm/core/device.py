"""This process's device, and its place among the processes of a job."""

from __future__ import annotations

import ctypes
import os
from functools import cache

import torch

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Of glibc's mallopt."""
MOST, MOST_OF_OLD = (1 << 31) - 1, 1 << 25
"""Bytes: its versions before 2.35 refuse more than 32 MB."""


def device() -> torch.device:
    """Returns this process's GPU, or the CPU where PyTorch sees no GPU; on a CPU the process keeps freed memory."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    keep_freed_memory()
    return torch.device("cpu")


@cache
def keep_freed_memory() -> None:
    """Has this process keep the memory that it frees, where the system's library is glibc.

    By default glibc gives large pieces back to the system, which clears each page before the next layer of a network
    may have it; that took a sixth of the time of full-size reconstruction.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, MOST) or mallopt(M_MMAP_THRESHOLD, MOST_OF_OLD)
        mallopt(M_TRIM_THRESHOLD, MOST)


def rank() -> int:
    """Returns this process's number among those that torchrun started; 0 where it started none."""
    return int(os.environ.get("RANK", "0"))


def world_size() -> int:
    """Returns how many processes torchrun started on all machines; 1 where it started none."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def local_processes() -> int:
    """Returns how many processes torchrun started on this machine; 1 where it started none."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
