"""Reads and writes files of tensors, and turns stored frames into images and back.

Equal content makes equal files, and no file that is read can run code.
"""

from __future__ import annotations

import pickle
import re
import struct
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from tpsm.core.errors import UserError
from tpsm.core.files import atomic

# What a torn or foreign file makes of PyTorch's reader, wherever in it the fault is.
_DAMAGED = (
    *(pickle.UnpicklingError, struct.error, EOFError, OSError, MemoryError),
    *(RuntimeError, ValueError, LookupError, TypeError, AttributeError, AssertionError, OverflowError),
)
# Training programs keep NumPy's numbers beside their weights (best_loss, rank1). These classes make numbers, no more.
_scalar = np.float64(0).__reduce__()[0]
_NUMBERS: list[Any] = [(_scalar, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")]
_NUMBERS += [np.dtype, *(type(np.dtype(code)) for code in "?bhilqBHILQefd")]
# How files begin that people take for checkpoints, and what to do about each.
_FOREIGN = {
    b"\x1f\x8b": "it is a gzip archive; unpack it first",
    b"7z\xbc\xaf": "it is a 7z archive; unpack it first",
    b"Rar!": "it is a RAR archive; unpack it first",
    b"\x89HDF": "it is an HDF5 file, of Keras perhaps; save the weights with PyTorch",
    b"version https://git-lfs": "it is a pointer of Git LFS; type `git lfs pull` in its repository",
}
_FLOATS = (torch.float64, torch.float32, torch.float16, torch.bfloat16)
_INTEGERS = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool)


def write_torch(path: Path, content: Any) -> None:
    """Writes `content` with `torch.save`, which is not told the file's name: equal content makes equal files."""
    with atomic(path) as draft, draft.open("wb") as file:
        try:
            torch.save(content, file)
        except RuntimeError as error:
            # PyTorch ends its archive even where the disk is full, and what it says then hides that.
            if isinstance(error.__context__, OSError):
                raise error.__context__ from error
            raise


def read_torch(path: Path, *, mmap: bool = False) -> Any:
    """Returns what `torch.save` wrote, or a safetensors file's tensors by name, on the CPU; nothing in it is run.

    It takes no more memory than the file is long. With `mmap` a file of today's format is mapped and not read;
    otherwise it is held against its checksums, which PyTorch does not look at.

    Raises:
        UserError: the file cannot be read; the message says what the file is instead, and what to do.
    """
    if not path.is_file():
        raise _refused(path, "it is no regular file")
    with path.open("rb") as file:
        start = file.read(512)
    if _is_safetensors(start):
        try:
            return load_file(path)
        except (SafetensorError, *_DAMAGED) as error:
            raise _refused(path, f"its safetensors are damaged ({_first_line(error)}); fetch it again") from error
    if fault := _foreign(path, start, summed=not mmap):
        raise _refused(path, fault)
    try:
        with torch.serialization.safe_globals(_NUMBERS):
            return torch.load(path, map_location="cpu", weights_only=True, mmap=mmap and zipfile.is_zipfile(path))
    except _DAMAGED as error:
        raise _refused(path, _why(error, path)) from error


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """Returns a network's tensors by name, from a file as `read_torch` takes it; what a training checkpoint has beside
    them is left out, and so is the `module.` that training on several GPUs puts before every name.

    Raises:
        UserError: as `read_torch`; or the file holds something else than tensors by name.
    """
    content = state_dict_in(read_torch(path))
    if not isinstance(content, Mapping) or not all(isinstance(value, Tensor) for value in content.values()):
        raise UserError(f"{path} holds no tensors by name; save the network's state dict alone.")
    return unwrapped({str(key): value for key, value in content.items()})


def state_dict_in(content: Any) -> Any:
    """Returns what stands below `state_dict`, where a training program put it there; else the content itself."""
    inner = content.get("state_dict") if isinstance(content, Mapping) else None
    return inner if isinstance(inner, Mapping) else content


def unwrapped(entries: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Returns the entries without the prefix `module.`, where all have it."""
    if all(key.startswith("module.") for key in entries):
        return {key.removeprefix("module."): value for key, value in entries.items()}
    return dict(entries)


def unlike_numbers(value: Tensor) -> str | None:
    """Says what is wrong with a tensor of a file; None if it is a plain array of real numbers that the file holds."""
    if value.is_meta:
        return "has a shape but no values"
    if value.layout != torch.strided or value.is_nested:
        return "is sparse or nested"
    if value.is_complex():
        return "is complex"
    if value.dtype not in (*_FLOATS, *_INTEGERS):
        return f"is of type {str(value.dtype).removeprefix('torch.')}"
    if value.numel() * value.element_size() > value.untyped_storage().nbytes():
        return "declares more values than the file holds"
    return None


def _is_safetensors(start: bytes) -> bool:
    """Whether a file begins with the length of a JSON header, in eight bytes, and the header's first brace."""
    return start[8:9] == b"{" and 2 <= int.from_bytes(start[:8], "little") <= 100_000_000


def _foreign(path: Path, start: bytes, *, summed: bool) -> str | None:
    """Says what the file is, where PyTorch did not write it or where it declares more than it holds; where it is to be
    `summed`, also whether its checksums fit."""
    for magic, what in _FOREIGN.items():
        if start.startswith(magic):
            return what
    if not start:
        return "it is empty; fetch it again"
    if re.match(rb"\s*<(!doctype|html|\?xml)", start, re.IGNORECASE):
        return "it is a web page; the download gave a page in the place of the file, so open its address in a browser"
    if start[257:262] == b"ustar":
        return "it is a tar archive; unpack it first"
    if start.startswith(b"\x80"):  # a pickle, as PyTorch wrote before 1.6
        return None
    if not start.startswith(b"PK"):
        return "no file that PyTorch or safetensors writes begins like it"
    if not zipfile.is_zipfile(path):
        return f"it ends early, after {path.stat().st_size / 1e6:,.1f} MB; fetch it again"
    try:
        with zipfile.ZipFile(path) as archive:
            if fault := _not_pytorchs(archive.infolist(), path.stat().st_size):
                return fault
            flipped = archive.testzip() if summed else None
    except (zipfile.BadZipFile, *_DAMAGED) as error:
        return f"it is damaged ({_first_line(error)}); fetch it again"
    return flipped and f"it is damaged (the checksum of {flipped:.80} is another); get or make it anew"


def _not_pytorchs(members: Sequence[zipfile.ZipInfo], size: int) -> str | None:
    """Says what speaks against a ZIP archive. PyTorch stores its members uncompressed, each in a place of its own."""
    if not any(member.filename.endswith("data.pkl") for member in members):
        return "it is a ZIP archive that PyTorch did not write; if the checkpoint is in it, unpack it first"
    if any(member.filename.endswith("constants.pkl") for member in members):
        return "it is a TorchScript program; save the state dict of the model instead"
    packed = any(member.compress_type != zipfile.ZIP_STORED for member in members)
    if packed or sum(member.file_size for member in members) > size:
        return "its members are larger than the file itself, as PyTorch writes none"
    return None


def _why(error: Exception, path: Path) -> str:
    """Says what PyTorch's reader stumbled over: something else than tensors, or a file that is not whole."""
    text = str(error)
    if foreign := re.search(r"(?:GLOBAL|Unsupported global: GLOBAL|class) ([\w.]+)", text):
        return f"it holds a {foreign[1]}, and to read that could run code; save the model's state dict alone"
    if re.search("magic number|legacy .tar", text):
        return "it is a pickle that PyTorch did not write; save the model's state dict with torch.save"
    if isinstance(error, pickle.UnpicklingError) and re.search("Unsupported|Can only|Trying to|not allowed", text):
        return "it holds more than tensors, numbers and texts; save the model's state dict alone"
    size = path.stat().st_size / 1e6
    return f"it is damaged, or ends early ({_first_line(error)}); it has {size:,.1f} MB: fetch it again"


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0].split(". ")[0][:120]


def _refused(path: Path, what: str) -> UserError:
    return UserError(f"{path} cannot be read as a checkpoint: {what}.")


def to_images(frames: UInt8[np.ndarray, "t h w 3"]) -> UInt8[Tensor, "t 3 h w"]:
    """Returns stored frames as 8-bit images on the CPU, channel first."""
    return torch.from_numpy(np.ascontiguousarray(frames)).permute(0, 3, 1, 2).contiguous()


def to_tensor(frames: UInt8[np.ndarray, "t h w 3"], device: torch.device) -> Float[Tensor, "t 3 h w"]:
    """Returns stored frames as float images in [0, 1] on `device`, channel first."""
    return torch.tensor(frames, device=device).permute(0, 3, 1, 2).float() / 255


def to_frames(images: Float[Tensor, "t 3 h w"]) -> UInt8[np.ndarray, "t h w 3"]:
    """Returns images in [0, 1] as 8-bit frames, rounded to the nearest level."""
    return _bytes((images.clamp(0, 1) * 255).round())


def to_truncated_frames(images: Float[Tensor, "t 3 h w"]) -> UInt8[np.ndarray, "t h w 3"]:
    """Returns frames as the released code stores them: truncated, and so half a level darker on average."""
    return _bytes(images.clamp(0, 1) * 255)


def _bytes(levels: Float[Tensor, "t 3 h w"]) -> UInt8[np.ndarray, "t h w 3"]:
    return levels.byte().permute(0, 2, 3, 1).cpu().numpy()


def to_float(images: UInt8[Tensor, "*b 3 h w"]) -> Float[Tensor, "*b 3 h w"]:
    """Returns 8-bit images as float images in [0, 1]."""
    return images.float() / 255
