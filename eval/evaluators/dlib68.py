"""68 points of a face by dlib: its frontal face detector, then a shape predictor (Kazemi and Sullivan, CVPR 2014).

Runs on a CPU, frame by frame. Of several faces the one found with most confidence counts; points are whole pixels of
the image that the detector sees.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import torch
from annotated_types import Ge, Le
from jaxtyping import Float64, UInt8
from torch.nn import functional

from eval.evaluators.pretrained import Pretrained, as_recorded
from eval.types import Landmarks
from tpsm.core.errors import package
from tpsm.core.schema import LARGEST, checked
from tpsm.core.tensors import to_images

POINTS = 68
NEEDS = ("dlib-landmarks",)


@checked
@dataclass(frozen=True)
class Config:
    """Frames whose shorter side is below `size` px are enlarged to it: no face under 80 px is found."""

    kind: Literal["dlib68"] = "dlib68"
    size: Annotated[int, Ge(80), Le(LARGEST)] = 256  # 80 is the smallest face that is found
    weights: str = ".work/weights"


class Dlib68(Pretrained):
    """Frames of any size to 68 points; all are found, or none where no face is."""

    needs: ClassVar = NEEDS
    packages: ClassVar = ("dlib-bin",)

    def __init__(self, config: Config) -> None:
        self.finder = FaceFinder(config.kind, config.size)
        super().__init__(config)
        self.predictor = self.finder.dlib.shape_predictor(str(self.files["dlib-landmarks"]))

    def __call__(self, frames: UInt8[np.ndarray, "t h w 3"]) -> Landmarks:
        height, width = frames.shape[1:3]
        xy = np.zeros((len(frames), POINTS, 2), np.float32)
        found = np.zeros((len(frames), POINTS), bool)
        for index, picture in enumerate(self.finder.enlarged(frames)):
            box = self.finder(picture)
            if box is not None:
                points = corners(self.predictor(picture, box))
                scale = np.array([width / picture.shape[1], height / picture.shape[0]])
                pixels = (points + 0.5) * scale - 0.5
                xy[index] = 2 * pixels / (width - 1, height - 1) - 1
                found[index] = True
        return Landmarks(xy, found)


class FaceFinder:
    """dlib's frontal face detector. `kind` is named where dlib is not installed."""

    def __init__(self, kind: str, size: int) -> None:
        self.dlib: Any = package("dlib", "dlib-bin", kind)
        self.size = size
        self.detector = self.dlib.get_frontal_face_detector()

    def __call__(self, picture: UInt8[np.ndarray, "h w 3"]) -> Any:
        """The box of the face found with most confidence, as dlib has it; None where there is none."""
        boxes = self.detector(picture)
        return boxes[0] if len(boxes) else None

    def enlarged(self, frames: UInt8[np.ndarray, "t h w 3"]) -> Iterator[UInt8[np.ndarray, "H W 3"]]:
        """Frames with a shorter side of at least `size`, each in one piece of memory, as dlib needs them."""
        height, width = frames.shape[1:3]
        factor = self.size / min(height, width)
        shape = (round(height * factor), round(width * factor))
        for frame in frames:
            if factor <= 1:
                yield np.ascontiguousarray(frame)
            else:
                large = functional.interpolate(to_images(frame[None]).float(), shape, mode="bilinear")
                yield large[0].round().to(torch.uint8).permute(1, 2, 0).contiguous().numpy()


def corners(shape: Any) -> Float64[np.ndarray, "j 2"]:
    """The points of one of dlib's shapes, in pixels of the image."""
    return np.array([(point.x, point.y) for point in shape.parts()], np.float64)


def train(config: Config, clips: Sequence[Path], key: str) -> Dlib68:
    """Nothing is trained: the evaluator, from verified weights.

    Raises:
        UserError: dlib is not installed, or weights are not there.
    """
    return Dlib68(config)


def load(config: Config, path: Path) -> Dlib68:
    """As `train`, and refused where `path` records another."""
    return as_recorded(Dlib68(config), path)
