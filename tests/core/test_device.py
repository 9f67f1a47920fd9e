"""What a process does with the memory of its CPU."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource, sys, torch
from tpsm.core.device import device

if sys.argv[1] == "kept":
    assert device().type == "cpu"
for _ in range(30):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.zeros(50_000_000)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver() < ("glibc", "2.35"), reason="other libraries keep memory as they like")
def test_freed_memory_is_not_given_back() -> None:
    def faults(how: str) -> int:
        """Pages that the system had to give for 200 MB which had just been freed."""
        done = subprocess.run(
            [sys.executable, "-c", FAULTS, how],
            capture_output=True,
            text=True,
            check=True,
            env=os.environ | {"CUDA_VISIBLE_DEVICES": ""},
        )
        return int(done.stdout)

    assert faults("kept") < 100 < faults("given back")
