"""Runs a trained method over clips: reconstruction, and animation of one identity by another's motion."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
from jaxtyping import Bool, Float32, UInt8

from tpsm.core.animation import Mode
from tpsm.core.errors import UserError
from tpsm.core.tensors import to_frames, to_tensor, to_truncated_frames
from tpsm.data.clip import ClipFile
from tpsm.inference.config import PLAIN, InferenceConfig
from tpsm.inference.drawer import BATCH, drawer
from tpsm.inference.relative import relative_keypoints
from tpsm.methods.avd import AVD
from tpsm.methods.base import Method, full_motion


@dataclass(frozen=True)
class Reconstruction:
    """Some successive frames of a clip, reconstructed.

    `l1` is the mean absolute error of each frame on floats in [0, 1], before quantisation. `motion` maps each frame to
    the first, at the frames' resolution, in [-1, 1]. `rounded_up` says where a frame's value lies above the prediction:
    there the released code, which truncates, stores one less.
    """

    frames: UInt8[np.ndarray, "t h w 3"]
    rounded_up: Bool[np.ndarray, "t h w 3"]
    l1: Float32[np.ndarray, " t"]
    motion: Float32[np.ndarray, "t h w 2"]


@torch.inference_mode()
def reconstruct(method: Method, clip: ClipFile, config: InferenceConfig = PLAIN) -> Iterator[Reconstruction]:
    """Yields the first frame, driven by every frame of the same clip (the first included), with the background's
    motion.

    It comes in pieces of `BATCH` frames. One piece is in memory at a time, however long the clip is.
    """
    draws = drawer(method, config)
    code = draws.encode(to_tensor(clip.frames(0, 1), draws.device))
    for start in range(0, len(clip), BATCH):
        driving = to_tensor(clip.frames(start, start + BATCH), draws.device)
        prediction = draws.reconstruct(code, driving)
        frames = to_frames(prediction.image)
        yield Reconstruction(
            frames,
            frames > to_truncated_frames(prediction.image),
            (prediction.image - driving).abs().mean(dim=(1, 2, 3)).cpu().numpy(),
            full_motion(method, prediction.motion.grid, driving.shape[-2:]).float().cpu().numpy(),
        )


@torch.inference_mode()
def animate(
    method: Method,
    source: UInt8[np.ndarray, "h w 3"],
    driving: Iterable[UInt8[np.ndarray, "h w 3"]],
    mode: Mode,
    avd: AVD | None = None,
    reference: UInt8[np.ndarray, "h w 3"] | None = None,
    config: InferenceConfig = PLAIN,
) -> Iterator[UInt8[np.ndarray, "h w 3"]]:
    """Yields the source in the pose of each driving frame, before a still background (as the papers animate).

    In the mode `relative` the source's pose changes as the driving pose has changed since `reference`, the first
    driving frame without it: where the driving clip shows the reference, the source keeps its own pose.

    Raises:
        UserError: `mode` is `avd`, and there is no AVD network.
    """
    if mode == "avd" and avd is None:
        raise UserError("The mode 'avd' needs an AVD network trained for this run (`tpsm train-avd`).")
    draws = drawer(method, config)
    code = draws.encode(to_tensor(source[None], draws.device))
    initial = None if reference is None else draws.keypoints(to_tensor(reference[None], draws.device))
    frames = iter(driving)
    while chunk := list(islice(frames, BATCH)):
        pose = draws.keypoints(to_tensor(np.stack(chunk), draws.device))
        initial = pose[:1] if initial is None else initial
        if mode == "relative":
            pose = relative_keypoints(code.keypoints, pose, initial, adapt_scale=method.scale_relative_motion)
        elif avd is not None and mode == "avd":
            pose = avd(code.expand(len(chunk)).keypoints, pose)
        yield from to_frames(draws.render(code, pose).image)
