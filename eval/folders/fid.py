"""FID and KID: how far generated frames lie from real ones as sets. No frame needs a partner, and none has a value."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn.functional import grid_sample
from tqdm import tqdm

from eval.folders.score import clips_in, read, refuse_pictures
from eval.stats.set_distances import ByIdentity, Features, frechet, kernel_distance
from eval.tables.table import Missing, Value, aligned, number
from eval.weights import locate
from tpsm.core.device import device
from tpsm.core.errors import UserError
from tpsm.core.layout import identity_of
from tpsm.core.tensors import to_images

SIZE, BATCH = 299, 32


@dataclass(frozen=True)
class Request:
    """Of each clip every `every`-th frame counts, from the first on."""

    real: Path
    generated: tuple[Path, ...]
    every: int = 1


def compare_sets(request: Request) -> str:
    """A line for each generated folder, and one for half of the real identities against the other half.

    Raises:
        UserError: the weights are not there, or a folder or a clip will not do.
    """
    network = load_network()

    # Each folder's features once, under one bar.
    folders = {folder: _clips(folder) for folder in (request.real, *request.generated)}
    with tqdm(total=sum(map(len, folders.values())), desc="features", unit="clip") as progress:

        def features(folder: Path) -> ByIdentity:
            found: dict[str, list[Features]] = {}
            for name, path in folders[folder].items():
                found.setdefault(identity_of(name), []).append(embed(network, read(path)[:: request.every]))
                progress.update()
            pooled = {identity: np.concatenate(clips) for identity, clips in found.items()}
            if sum(map(len, pooled.values())) < 2:
                raise UserError(f"{folder} has a single frame, which is no set; name a folder with two and more.")
            return pooled

        real = features(request.real)
        lines = [HEADS, *(_line(str(folder), real, features(folder)) for folder in request.generated)]

    # What two halves of the real identities differ by, where both have frames enough.
    notes = NOTES
    halves = [dict(list(real.items())[start::2]) for start in (0, 1)]
    if all(sum(map(len, half.values())) > 1 for half in halves):
        lines.append(_line("half of the real identities, against the rest", halves[0], halves[1]))
        notes += HALVES
    return "\n".join([*aligned(lines), "", notes])


HEADS = ("", "FID ↓", "KID ↓", "frames")
NOTES = (
    "FID has no interval, and is biased upwards where frames are few: compare sets of equal size only.\n"
    "KID leaves out pairs of frames of one identity, and so is unbiased; its 95 % interval is over identities.\n"
    "All frames count, also a first one that repeats its source."
)
HALVES = "\nThe last line is what half as many frames of one source read."


def _clips(folder: Path) -> dict[str, Path]:
    clips = clips_in(folder)
    refuse_pictures(folder, list(clips.values()))
    return clips


def _line(title: str, real: ByIdentity, made: ByIdentity) -> tuple[str, str, str, str]:
    one, other = (np.concatenate(list(side.values())) for side in (real, made))
    kid = kernel_distance(real, made)
    shown = Missing("fewer than two identities") if kid is None else Value(kid, 4)
    return title, number(frechet(one, other), 2), shown.text(), str(len(other))


def embed(network: nn.Module, frames: UInt8[np.ndarray, "t h w 3"]) -> Features:
    """The 2048 features that FID compares, per frame."""
    place = next(network.parameters()).device
    found = []
    with torch.inference_mode():
        for start in range(0, len(frames), BATCH):
            pictures = to_images(frames[start : start + BATCH]).to(place).float()
            found.append(network((stretched(pictures) - 128) / 128).cpu().numpy())
    return np.concatenate(found).astype(np.float64)


def stretched(images: Float[Tensor, "t 3 h w"]) -> Float[Tensor, "t 3 299 299"]:
    """As TensorFlow 1 did it, in whose program FID was defined: bilinear, and output pixel i is at i times the ratio of
    the sizes, not half a pixel beside it."""
    height, width = images.shape[-2:]
    along = torch.arange(SIZE, device=images.device, dtype=images.dtype)
    y, x = ((2 * along * side / SIZE + 1) / side - 1 for side in (height, width))
    grid = torch.stack([x.expand(SIZE, SIZE), y[:, None].expand(SIZE, SIZE)], dim=-1)
    return grid_sample(images, grid.expand(len(images), -1, -1, -1), padding_mode="border", align_corners=False)


@cache
def load_network() -> nn.Module:
    """Inception-v3 with FID's weights, which takes images in [-1, 1).

    The file is TorchScript, a program: it is opened only if it is the pinned one.

    Raises:
        UserError: the file is not there, or is another.
    """
    path = locate("inception").path
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of torch.jit, which the file was made with
        network: nn.Module = torch.jit.load(str(path), map_location=device())  # type: ignore[no-untyped-call]
    return network.eval()
