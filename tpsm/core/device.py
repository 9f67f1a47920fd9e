"""This process's device, and its place among the processes of a job."""

from __future__ import annotations

import os

import torch


def device() -> torch.device:
    """Returns this process's GPU, or the CPU where PyTorch sees no GPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def rank() -> int:
    """Returns this process's number among those that torchrun started; 0 where it started none."""
    return int(os.environ.get("RANK", "0"))


def world_size() -> int:
    """Returns how many processes torchrun started on all machines; 1 where it started none."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def local_processes() -> int:
    """Returns how many processes torchrun started on this machine; 1 where it started none."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
