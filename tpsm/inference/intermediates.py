"""Keeps what a method computes on the way to a frame, for a few frames of a few clips: points, motion, masks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from tpsm.core.files import atomic
from tpsm.core.layout import array_file
from tpsm.core.tensors import to_tensor
from tpsm.data.clip import ClipFile, spread, spread_index
from tpsm.data.manifest import read_manifest
from tpsm.methods.base import Method, full_motion

CLIPS, FRAMES = 3, 4
"""How many test clips, and how many frames of each. Both are spread evenly, without the first frame, which shows no
motion."""


@torch.inference_mode()
def write_insides(method: Method, clips: Path, out: Path) -> None:
    """Writes `out/<clip>.npz` of some test clips of the prepared set in `clips`, reconstructed from their first frame.

    A file has these arrays:

    - `frames` (n), which frames; `source_xy` (k, 2) and `driving_xy` (n, k, 2), in [-1, 1];
    - `motion` (n, h, w, 2), where in the first frame each pixel comes from; `weights` (n, m, rows, columns), how much
      of each of the m motions, background or none first; `occlusion_0` to the last, coarsest first (n, rows, columns),
      1 where the warped source is trusted; all in half precision.
    """
    for old in out.glob("*.npz"):
        old.unlink()
    for entry in spread(read_manifest(clips).clips("test"), CLIPS):
        with ClipFile(clips / entry.file) as clip, atomic(out / array_file(entry.name)) as draft:
            frames = spread_index(len(clip), FRAMES + 1)[1:]
            np.savez_compressed(draft, **insides(method, clip, frames))  # type: ignore[arg-type]


def insides(method: Method, clip: ClipFile, frames: list[int]) -> dict[str, np.ndarray]:
    """Returns the arrays that `write_insides` writes, by name."""
    device = next(method.parameters()).device
    code = method.encode(to_tensor(clip.frames(0, 1), device)).expand(len(frames))
    driving = to_tensor(np.stack([clip.frame(index) for index in frames]), device)
    pose = method.keypoints(driving)
    motion = method.render(code, pose, method.background(code.image, driving)).motion
    arrays = {
        "source_xy": code.keypoints.xy[0],
        "driving_xy": pose.xy,
        "motion": full_motion(method, motion.grid, driving.shape[-2:]).half(),
        "weights": motion.weights.half(),
        **{f"occlusion_{i}": mask[:, 0].half() for i, mask in enumerate(motion.occlusion)},
    }
    return {"frames": np.array(frames)} | {name: array.cpu().numpy() for name, array in arrays.items()}
