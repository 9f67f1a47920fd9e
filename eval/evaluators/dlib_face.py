"""Identity of a face by dlib: the face found and set upright by its 68 points, then a ResNet to 128 numbers.

The same person's lie within 0.6 of each other (Euclidean), as its author trained it; they are no unit vectors.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from jaxtyping import Float32, UInt8

from eval.evaluators.dlib68 import DlibFaces, Side
from eval.evaluators.pretrained import train_and_load
from tpsm.core.schema import Count, checked

NUMBERS, SIDE = 128, 150
NEEDS = ("dlib-landmarks", "dlib-identity")


@checked
@dataclass(frozen=True)
class Config:
    """Frames whose shorter side is below `size` px are enlarged to it; `batch` faces go through the network at once."""

    kind: Literal["dlib-face"] = "dlib-face"
    size: Side = 256
    batch: Count = 32
    weights: str = ".work/weights"


class DlibFace(DlibFaces):
    """Frames of any size to embeddings. A frame without a face is NaN: AED leaves it out."""

    needs: ClassVar = NEEDS

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.batch = config.batch
        self.network = self.dlib.face_recognition_model_v1(str(self.files["dlib-identity"]))

    def __call__(self, frames: UInt8[np.ndarray, "t h w 3"]) -> Float32[np.ndarray, "t d"]:
        faces, upright = [], []
        for index, picture, shape in self.faces(frames):
            faces.append(index)
            upright.append(self.dlib.get_face_chip(picture, shape, size=SIDE))
        embedding = np.full((len(frames), NUMBERS), np.nan, np.float32)
        for first in range(0, len(faces), self.batch):
            chosen = slice(first, first + self.batch)
            embedding[faces[chosen]] = np.array(self.network.compute_face_descriptor(upright[chosen]))
        return embedding


train, load = train_and_load(DlibFace)
