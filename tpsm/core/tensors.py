"""Files of tensors: equal content makes an equal file, and what is read can run no code."""

from __future__ import annotations

import pickle
import struct
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

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


def to_images(frames: UInt8[np.ndarray, "t h w 3"]) -> UInt8[Tensor, "t 3 h w"]:
    return torch.from_numpy(np.ascontiguousarray(frames)).permute(0, 3, 1, 2).contiguous()


def to_tensor(frames: UInt8[np.ndarray, "t h w 3"], device: torch.device) -> Float[Tensor, "t 3 h w"]:
    return torch.tensor(frames, device=device).permute(0, 3, 1, 2).float() / 255


def to_frames(images: Float[Tensor, "t 3 h w"]) -> UInt8[np.ndarray, "t h w 3"]:
    """Rounded to the nearest level."""
    return _bytes((images.clamp(0, 1) * 255).round())


def to_truncated_frames(images: Float[Tensor, "t 3 h w"]) -> UInt8[np.ndarray, "t h w 3"]:
    """As the released code stores them, half a level darker on average."""
    return _bytes(images.clamp(0, 1) * 255)


def _bytes(levels: Float[Tensor, "t 3 h w"]) -> UInt8[np.ndarray, "t h w 3"]:
    return levels.byte().permute(0, 2, 3, 1).cpu().numpy()


def to_float(images: UInt8[Tensor, "*b 3 h w"]) -> Float[Tensor, "*b 3 h w"]:
    """8-bit pictures as numbers from 0 to 1."""
    return images.float() / 255
