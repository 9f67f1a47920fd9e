"""Configures how a data set's raw clips become squares, and how training draws from them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from tpsm.data.limits import FPS_RANGE

SPLITS = ("train", "test")


@dataclass(frozen=True)
class AugmentConfig:
    """The strengths of random changes; 0 or false turns a change off. The defaults are the released code's for the 256
    x 256 sets.

    `flip_time` swaps source and driving with probability 1/2; `flip_horizontal` mirrors with probability 1/2 those
    pairs that were not swapped in time. `brightness`, `contrast`, `saturation` scale by 1 +- value, `hue` turns by
    +- value of the circle. `resize` scales the image by 1 +- value (nearest pixel, as the released code does) before
    a random window of the original size is cut.
    """

    flip_time: bool = True
    flip_horizontal: bool = True
    brightness: float = 0.1
    contrast: float = 0.1
    saturation: float = 0.1
    hue: float = 0.1
    resize: float = 0.0

    def __post_init__(self) -> None:
        for name in ("brightness", "contrast", "saturation", "resize"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name}: must be at least 0 and less than 1, not {getattr(self, name)}")
        if not 0 <= self.hue <= 0.5:
            raise ValueError(f"hue: must be from 0 to 0.5, not {self.hue}")

    @property
    def jitters(self) -> bool:
        """Whether colours change at all."""
        return any((self.brightness, self.contrast, self.saturation, self.hue))


@dataclass(frozen=True)
class DataConfig:
    """A data set: how its raw clips become squares of `size` pixels, and how training draws from them.

    `fit` is "crop" (largest centred square) or "stretch". `max_frames` keeps the first frames of each clip.
    `frame_width` is the width of one frame in a strip, in pixels (default: the strip's height), and `fps` the rate, in
    frames per second, of strips and folders that do not say theirs (default: 25). With `identity_sampling` every
    identity is drawn equally often, however many clips it has.
    """

    size: int = 256
    fit: Literal["crop", "stretch"] = "crop"
    max_frames: int | None = None
    frame_width: int | None = None
    fps: float | None = None
    identity_sampling: bool = True
    augment: AugmentConfig = field(default_factory=AugmentConfig)

    def __post_init__(self) -> None:
        if self.size < 8:
            raise ValueError(f"size: must be at least 8 pixels, not {self.size}")
        if self.fit not in ("crop", "stretch"):
            raise ValueError(f"fit: must be crop or stretch, not {self.fit!r}")
        if self.max_frames is not None and self.max_frames < 2:
            raise ValueError(f"max_frames: must be at least 2, not {self.max_frames}")
        if self.frame_width is not None and self.frame_width < 1:
            raise ValueError(f"frame_width: must be at least 1, not {self.frame_width}")
        if self.fps is not None and not FPS_RANGE[0] <= self.fps <= FPS_RANGE[1]:
            raise ValueError(f"fps: must be between {FPS_RANGE[0]:g} and {FPS_RANGE[1]:g}, not {self.fps:g}")
