"""Finds the driving frame whose pose is nearest to the source's, where relative motion best begins."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice
from typing import Protocol

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8

from tpsm.core.tensors import to_tensor
from tpsm.inference.drawer import BATCH
from tpsm.methods.base import Method


class Pose(Protocol):
    """Points of `t` frames in [-1, 1], and which of them were found."""

    @property
    def xy(self) -> Float[np.ndarray, "t k 2"]: ...

    @property
    def found(self) -> Bool[np.ndarray, "t k"]: ...


Detector = Callable[[UInt8[np.ndarray, "t h w 3"]], Pose]


class MethodPose:
    """The pose as a method itself sees it: its keypoints, all of which are always found."""

    def __init__(self, method: Method, frames: UInt8[np.ndarray, "t h w 3"]) -> None:
        with torch.inference_mode():
            keypoints = method.keypoints(to_tensor(frames, next(method.parameters()).device))
        self.xy: Float[np.ndarray, "t k 2"] = keypoints.xy.float().cpu().numpy()
        self.found: Bool[np.ndarray, "t k"] = np.ones(self.xy.shape[:2], bool)


def nearest_frame(
    source: UInt8[np.ndarray, "s s 3"], driving: Iterable[UInt8[np.ndarray, "s s 3"]], detector: Detector
) -> int | None:
    """Returns the number of the driving frame in the pose nearest to the source's; the first of equal ones.

    None where the detector finds nothing in the source, or nothing in any driving frame.
    """
    still = detector(source[None])
    if not still.found.any():
        return None
    distances: list[float] = []
    frames = iter(driving)
    while chunk := list(islice(frames, BATCH)):
        moving = detector(np.stack(chunk))
        distances += [
            pose_distance(still.xy[0], still.found[0], xy, found) if found.any() else np.inf
            for xy, found in zip(moving.xy, moving.found, strict=True)
        ]
    return int(np.argmin(distances)) if np.isfinite(distances).any() else None


def pose_distance(
    a: Float[np.ndarray, "k 2"],
    a_found: Bool[np.ndarray, " k"],
    b: Float[np.ndarray, "k 2"],
    b_found: Bool[np.ndarray, " k"],
) -> float:
    """Returns how far two poses lie apart, wherever they stand and however large they are: the mean squared distance
    of points in units of a pose's spread. A point that only one pose has counts as one spread; none in common is
    infinitely far.

    The released programs compare poses likewise, scaled by the area of their hull, which points on a line lack.
    """
    both, either = a_found & b_found, a_found | b_found
    if not both.any():
        return np.inf
    squares = ((_normalised(a[both]) - _normalised(b[both])) ** 2).sum(axis=1)
    return float((squares.sum() + (either & ~both).sum()) / either.sum())


def _normalised(points: Float[np.ndarray, "k 2"]) -> Float[np.ndarray, "k 2"]:
    """The points with their mean at 0 and a root mean square distance of 1 from it, or of 0 where they are one."""
    centred = points - points.mean(axis=0)
    spread = np.sqrt((centred**2).sum(axis=1).mean())
    return centred / spread if spread > 0 else centred
