"""Chooses the square of an image that a method sees, and says what is left out."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from itertools import islice
from typing import Any, Literal

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from tpsm.checkpoints.checkpoint import Fit
from tpsm.core.errors import UserError
from tpsm.data.resize import fit_to_size
from tpsm.data.still import Frame

FACE = 2.0
"""The side of the square around a face, in sides of the box from brows to chin, as VoxCeleb's clips show heads."""
LOOKED_AT, SEEN = 50, 512
"""A face is looked for in the first frames, on an image of so many pixels at most."""


@dataclass(frozen=True)
class Square:
    """A square of an image, in pixels. What lies outside the image repeats its edge."""

    left: int
    top: int
    side: int

    def cut(self, frame: Frame) -> UInt8[np.ndarray, "s s 3"]:
        """Returns the pixels of the square."""
        height, width = frame.shape[:2]
        rows = np.arange(self.top, self.top + self.side).clip(0, height - 1)
        columns = np.arange(self.left, self.left + self.side).clip(0, width - 1)
        return frame[rows[:, None], columns]

    def inside(self, height: int, width: int) -> Square:
        """Returns the square moved, and where it is too large shrunk, into an image."""
        side = min(self.side, height, width)
        left, top = self.left + (self.side - side) // 2, self.top + (self.side - side) // 2
        return Square(min(max(left, 0), width - side), min(max(top, 0), height - side), side)

    def reaches_beyond(self, height: int, width: int) -> bool:
        """Whether a part of the square lies outside an image."""
        return min(self.left, self.top) < 0 or self.left + self.side > width or self.top + self.side > height


Crop = Literal["face", "centre"] | Square


def parse_crop(text: str, option: str = "--crop") -> Crop:
    """Returns what an option says: `face`, `centre`, or X,Y,SIZE. Raises UserError where it says something else."""
    if text == "face":
        return "face"
    if text == "centre":
        return "centre"
    if (found := re.fullmatch(r"(-?\d{1,6}),(-?\d{1,6}),([1-9]\d{0,5})", text, re.ASCII)) is None:
        raise UserError(
            f"{option} is '{text:.40}'; give face, centre, or X,Y,SIZE: a square's left and upper edge and its side, "
            "in pixels."
        )
    return Square(*map(int, found.groups()))


@dataclass(frozen=True)
class Framing:
    """How frames become squares: cut by the same `square` each, or by what `crop` and `pad` make of each one's size.

    Without a `crop` frames are cut or stretched as in the run's training (`fit`), and padded frames show all.
    """

    crop: Crop | None = None
    pad: bool = False

    def settled(self, frames: Iterable[Frame], what: str) -> Framing:
        """Returns the framing that a clip, called `what`, keeps throughout: the face is looked for once.

        Raises:
            UserError: there is no face, or the square reaches beyond the frame.
        """
        if self.crop is None or self.crop == "centre":
            return self
        for frame in islice(frames, LOOKED_AT):
            height, width = frame.shape[:2]
            if isinstance(self.crop, Square):
                if not self.pad and self.crop.reaches_beyond(height, width):
                    raise UserError(
                        f"The square {self.crop.left},{self.crop.top},{self.crop.side} reaches beyond {what} of "
                        f"{width} x {height} pixels; choose another, or repeat the image's edge there with --pad."
                    )
                return self
            if (face := find_face(frame)) is not None:
                return Framing(face if self.pad else face.inside(height, width), self.pad)
        raise UserError(f"No face is found in {what}; give the square by numbers, as X,Y,SIZE.")

    def square(self, frame: Frame, fit: Fit) -> Square | None:
        """Returns the square of a frame; None where the whole frame is stretched to one."""
        if isinstance(self.crop, Square):
            return self.crop
        if self.crop is None and not self.pad and fit == "stretch":
            return None
        height, width = frame.shape[:2]
        side = max(height, width) if self.pad and self.crop is None else min(height, width)
        return Square((width - side) // 2, (height - side) // 2, side)

    def apply(self, frame: Frame, size: int, fit: Fit) -> UInt8[np.ndarray, "s s 3"]:
        """Returns the frame as a square of `size` pixels, which may be written to."""
        square = self.square(frame, fit)
        fitted = fit_to_size(frame if square is None else square.cut(frame), size, fit)
        return np.require(fitted, requirements="W")  # Pillow's pixels are read-only, and PyTorch warns of them

    def described(self, frame: Frame, fit: Fit, option: str = "--crop") -> str:
        """Says in one line how large a frame is, and what of it is taken, which `option` chooses."""
        height, width = frame.shape[:2]
        said, square = f"{width} x {height} pixels", self.square(frame, fit)
        if square is None:
            return f"{said}, stretched to a square" if width != height else f"{said}, all of it"

        # What the square leaves out on each side, and what it adds; left, top, right, bottom.
        gaps = (
            square.left,
            square.top,
            width - square.left - square.side,
            height - square.top - square.side,
        )
        named = list(zip(gaps, ("left", "top", "right", "bottom"), strict=True))
        cut = ", ".join(f"{gap} {side}" for gap, side in named if gap > 0)
        added = ", ".join(f"{-gap} {side}" for gap, side in named if gap < 0)
        if not cut and not added:
            return f"{said}, all of it"
        said += f", of which the square of {square.side} at {square.left},{square.top} is taken"
        hint = f" ({option} and --pad choose otherwise)" if self == AS_TRAINED else ""
        said += f"; cut off are {cut}{hint}" if cut else ""
        return said + (f"; the edge is repeated for {added}" if added else "")


AS_TRAINED = Framing()


def find_face(frame: Frame) -> Square | None:
    """Returns a square around the largest face that looks ahead, with its hair and shoulders, which may reach beyond
    the image; None where there is no face.

    The face is found by scikit-image's cascade of local binary patterns.
    """
    # A smaller image, in which a face takes an eighth of the shorter side at least.
    image = Image.fromarray(frame)
    image.thumbnail((SEEN, SEEN))
    shorter, scale = min(image.size), frame.shape[1] / image.size[0]
    if shorter < 24:  # the cascade's own side
        return None
    smallest, largest = max(24, shorter // 8), shorter
    boxes = _cascade().detect_multi_scale(
        np.asarray(image), scale_factor=1.1, step_ratio=1, min_size=(smallest,) * 2, max_size=(largest,) * 2
    )

    # The largest face, and the square with the same centre.
    if not boxes:
        return None
    box = max(boxes, key=lambda found: found["width"])
    side = round(FACE * box["width"] * scale)
    middle = ((box["c"] + box["width"] / 2) * scale, (box["r"] + box["height"] / 2) * scale)
    return Square(round(middle[0] - side / 2), round(middle[1] - side / 2), side)


@cache
def _cascade() -> Any:
    from skimage.data import lbp_frontal_face_cascade_filename  # Here: scikit-image takes long to load.
    from skimage.feature import Cascade

    return Cascade(lbp_frontal_face_cascade_filename())
