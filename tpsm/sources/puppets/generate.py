"""Generates the embedded data set: jointed paper puppets that dance, with exact joints, labels and dense motion.

Everything follows from the seed: no image, model or recording is used.
"""

from __future__ import annotations

import io
from itertools import product
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float
from PIL import Image
from tqdm import tqdm

from tpsm.core.clips import Clip, GroundTruth
from tpsm.core.errors import UserError
from tpsm.core.files import write_bytes, write_json
from tpsm.data.clip import pack_truth
from tpsm.sources.puppets.body import JOINTS, carriers, pose, random_act, random_camera
from tpsm.sources.puppets.drawing import random_backdrop, random_look, render

FPS = 12.0
VERSION = 2  # 1 had a background so flat that nobody could see it move
_WEBP_LIMIT = 16383


def puppet_clip(identity: int, number: int, *, size: int, frames: int, seed: int) -> Clip:
    """Draws a clip, `size` pixels wide. The look depends on `identity` alone, act and backdrop on `number` too."""
    look = random_look(np.random.default_rng([seed, identity]))
    rng = np.random.default_rng([seed, identity, number + 1])
    matrices, joints = pose(look.body, random_act(rng, frames))
    matrices[:, 0] = random_camera(rng, frames)
    pictures, labels = render(look, random_backdrop(rng), matrices, size)
    name = f"puppet{identity:03d}"
    truth = GroundTruth(
        joints=joints.astype(np.float32),
        visible=_visible(joints, labels),
        labels=labels,
        to_first=_to_first(matrices).astype(np.float32),
    )
    return Clip(f"{name}#{number:02d}", name, pictures, FPS, truth)


def _to_first(matrices: Float[np.ndarray, "t p 2 3"]) -> Float[np.ndarray, "t p 2 3"]:
    square = np.concatenate([matrices, np.broadcast_to([0.0, 0, 1], (*matrices.shape[:2], 1, 3))], axis=2)
    return (square[:1] @ np.linalg.inv(square))[:, :, :2]


def _visible(joints: Float[np.ndarray, "t j 2"], labels: np.ndarray) -> Bool[np.ndarray, "t j"]:
    size = labels.shape[-1]
    column, row = np.moveaxis(np.rint((joints + 1) / 2 * (size - 1)).astype(int), -1, 0)
    inside = (column >= 0) & (column < size) & (row >= 0) & (row < size)
    frame = np.arange(len(labels))[:, None]
    topmost = labels[frame, row.clip(0, size - 1), column.clip(0, size - 1)]
    carried = np.stack([np.isin(topmost[:, j], carriers(joint)) for j, joint in enumerate(JOINTS)], axis=-1)
    return inside & carried


def synthesize(
    folder: Path,
    *,
    size: int = 64,
    train_identities: int = 44,
    test_identities: int = 14,
    clips_per_identity: int = 2,
    frames: int = 20,
    seed: int = 0,
) -> None:
    """Writes `train/` and `test/` with strips of frames, each with its ground truth beside it. No puppet is in both.

    `card.json` says which version of the generator drew them, and with which numbers.

    Raises:
        UserError: `folder` holds something already: its clips would be mixed with these.
    """
    if folder.exists() and not (folder.is_dir() and next(folder.iterdir(), None) is None):
        raise UserError(f"{folder} exists and is no empty folder; name a new one, or remove it first.")
    card = {"generator": "puppets", "version": VERSION, "size": size, "train": train_identities}
    card |= {"test": test_identities, "clips": clips_per_identity, "frames": frames, "seed": seed}
    write_json(folder / "card.json", card)
    wanted = list(product(range(train_identities + test_identities), range(clips_per_identity)))
    for identity, number in tqdm(wanted, "synthesize", unit="clip", disable=None):
        clip = puppet_clip(identity, number, size=size, frames=frames, seed=seed)
        _write_strip(folder / ("train" if identity < train_identities else "test"), clip)


def _write_strip(folder: Path, clip: Clip) -> None:
    """Writes frames side by side, lossless, as WebP or PNG, whichever is smaller."""
    strip = Image.fromarray(np.concatenate(list(clip.frames), axis=1))
    packed = {".png": io.BytesIO()}
    strip.save(packed[".png"], "PNG", optimize=True)
    if strip.width <= _WEBP_LIMIT:
        packed[".webp"] = io.BytesIO()
        strip.save(packed[".webp"], "WEBP", lossless=True, quality=100, method=6)
    suffix = min(packed, key=lambda key: packed[key].getbuffer().nbytes)
    write_bytes(folder / f"{clip.name}{suffix}", packed[suffix].getvalue())
    if clip.truth is not None:
        write_bytes(folder / f"{clip.name}.npz", pack_truth(clip.truth))
