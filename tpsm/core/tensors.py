"""Files of tensors: equal content makes an equal file, and what is read can run no code."""

from __future__ import annotations

import pickle
import struct
from pathlib import Path
from typing import Any

import torch

from tpsm.core.errors import UserError
from tpsm.core.files import atomic

# What a torn or foreign file makes of PyTorch's reader, wherever in it the fault is.
_DAMAGED = (
    *(pickle.UnpicklingError, struct.error, EOFError, OSError),
    *(RuntimeError, ValueError, LookupError, TypeError, AttributeError, AssertionError, OverflowError),
)


def write_torch(path: Path, content: Any) -> None:
    """The same file whenever the content is the same: given a path, `torch.save` would write its name into the file."""
    with atomic(path) as draft, draft.open("wb") as file:
        torch.save(content, file)


def read_torch(path: Path, *, mmap: bool = False) -> Any:
    """What `torch.save` wrote, on the CPU; nothing in it is run. Raises UserError where it cannot be read."""
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=mmap)
    except _DAMAGED as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0].split(". ")[0][:120]
        size = path.stat().st_size / 1e6
        raise UserError(
            f"{path} cannot be read as a checkpoint ({reason}); it has {size:,.1f} MB: "
            "if that is too few, fetch it again."
        ) from error
