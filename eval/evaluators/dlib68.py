"""68 points of a face by dlib: its frontal face detector, then a shape predictor (Kazemi and Sullivan, CVPR 2014).

Runs on a CPU, frame by frame. Of several faces the one found with most confidence counts; points are whole pixels of
the image that the detector sees.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import torch
from annotated_types import Ge, Le
from jaxtyping import UInt8
from torch.nn import functional

from eval.evaluators.pretrained import Pretrained, train_and_load
from eval.types import Landmarks
from tpsm.core.errors import package
from tpsm.core.schema import LARGEST, checked
from tpsm.core.tensors import to_images

POINTS = 68
NEEDS = ("dlib-landmarks",)
SMALLEST = 80  # pixels of the smallest face that is found
Side = Annotated[int, Ge(SMALLEST), Le(LARGEST)]


@checked
@dataclass(frozen=True)
class Config:
    """Frames whose shorter side is below `size` px are enlarged to it."""

    kind: Literal["dlib68"] = "dlib68"
    size: Side = 256
    weights: str = ".work/weights"


class DlibFaces(Pretrained):
    """dlib's frontal face detector, and the 68 points of what it finds."""

    packages: ClassVar = ("dlib-bin",)

    def __init__(self, config: Any) -> None:
        self.dlib: Any = package("dlib", "dlib-bin", config.kind)
        super().__init__(config)
        self.size = config.size
        self.detector = self.dlib.get_frontal_face_detector()
        self.predictor = self.dlib.shape_predictor(str(self.files["dlib-landmarks"]))

    def faces(self, frames: UInt8[np.ndarray, "t h w 3"]) -> Iterator[tuple[int, UInt8[np.ndarray, "H W 3"], Any]]:
        """Of every frame that shows a face its number, its image as the detector sees it, and the points of the face
        found with most confidence, in pixels of that image, as dlib has them."""
        for index, picture in enumerate(self._enlarged(frames)):
            if len(boxes := self.detector(picture)):
                yield index, picture, self.predictor(picture, boxes[0])

    def _enlarged(self, frames: UInt8[np.ndarray, "t h w 3"]) -> Iterator[UInt8[np.ndarray, "H W 3"]]:
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


class Dlib68(DlibFaces):
    """Frames of any size to 68 points; all are found, or none where no face is."""

    needs: ClassVar = NEEDS

    def __call__(self, frames: UInt8[np.ndarray, "t h w 3"]) -> Landmarks:
        height, width = frames.shape[1:3]
        xy = np.zeros((len(frames), POINTS, 2), np.float32)
        found = np.zeros((len(frames), POINTS), bool)
        for index, picture, shape in self.faces(frames):
            points = np.array([(point.x, point.y) for point in shape.parts()], np.float64)
            scale = np.array([width / picture.shape[1], height / picture.shape[0]])
            xy[index] = 2 * ((points + 0.5) * scale - 0.5) / (width - 1, height - 1) - 1
            found[index] = True
        return Landmarks(xy, found)


train, load = train_and_load(Dlib68)
