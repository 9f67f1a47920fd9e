"""Identity of a face by dlib: the face found and set upright by its 68 points, then a ResNet to 128 numbers.

The same person's lie within 0.6 of each other (Euclidean), as its author trained it; they are no unit vectors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import numpy as np
from annotated_types import Ge, Le
from jaxtyping import Float32, UInt8

from eval.evaluators.dlib68 import FaceFinder
from eval.evaluators.pretrained import Pretrained, as_recorded
from tpsm.core.schema import LARGEST, Count, checked

NUMBERS, SIDE = 128, 150
NEEDS = ("dlib-landmarks", "dlib-identity")


@checked
@dataclass(frozen=True)
class Config:
    """Frames whose shorter side is below `size` px are enlarged to it; `batch` faces go through the network at once."""

    kind: Literal["dlib-face"] = "dlib-face"
    size: Annotated[int, Ge(80), Le(LARGEST)] = 256  # 80 is the smallest face that is found
    batch: Count = 32
    weights: str = ".work/weights"


class DlibFace(Pretrained):
    """Frames of any size to embeddings. A frame without a face is NaN: AED leaves it out."""

    needs: ClassVar = NEEDS
    packages: ClassVar = ("dlib-bin",)

    def __init__(self, config: Config) -> None:
        self.finder = FaceFinder(config.kind, config.size)
        super().__init__(config)
        self.batch = config.batch
        self.predictor = self.finder.dlib.shape_predictor(str(self.files["dlib-landmarks"]))
        self.network = self.finder.dlib.face_recognition_model_v1(str(self.files["dlib-identity"]))

    def __call__(self, frames: UInt8[np.ndarray, "t h w 3"]) -> Float32[np.ndarray, "t d"]:
        faces, upright = [], []
        for index, picture in enumerate(self.finder.enlarged(frames)):
            box = self.finder(picture)
            if box is not None:
                faces.append(index)
                upright.append(self.finder.dlib.get_face_chip(picture, self.predictor(picture, box), size=SIDE))
        embedding = np.full((len(frames), NUMBERS), np.nan, np.float32)
        for first in range(0, len(faces), self.batch):
            chosen = slice(first, first + self.batch)
            embedding[faces[chosen]] = np.array(self.network.compute_face_descriptor(upright[chosen]))
        return embedding


def train(config: Config, clips: Sequence[Path], key: str) -> DlibFace:
    """Nothing is trained: the evaluator, from verified weights.

    Raises:
        UserError: dlib is not installed, or weights are not there.
    """
    return DlibFace(config)


def load(config: Config, path: Path) -> DlibFace:
    """As `train`, and refused where `path` records another."""
    return as_recorded(DlibFace(config), path)
