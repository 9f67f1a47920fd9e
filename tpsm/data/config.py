"""Configures how a data set's raw clips become squares, and how training draws from them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal, get_args

from annotated_types import Ge, Le

from tpsm.core.schema import LARGEST, MOST, Share, Width, checked
from tpsm.data.limits import Fps

SplitName = Literal["train", "test"]
SPLITS: tuple[SplitName, ...] = get_args(SplitName)


@checked
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
    brightness: Share = 0.1
    contrast: Share = 0.1
    saturation: Share = 0.1
    hue: Annotated[float, Ge(0), Le(0.5)] = 0.1
    resize: Share = 0.0

    @property
    def jitters(self) -> bool:
        """Whether colours change at all."""
        return any((self.brightness, self.contrast, self.saturation, self.hue))


@checked
@dataclass(frozen=True)
class DataConfig:
    """A data set: how its raw clips become squares of `size` pixels, and how training draws from them.

    `fit` is "crop" (largest centred square) or "stretch". `max_frames` keeps the first frames of each clip.
    `frame_width` is the width of one frame in a strip, in pixels (default: the strip's height), and `fps` the rate, in
    frames per second, of strips and folders that do not say theirs (default: 25). With `identity_sampling` every
    identity is drawn equally often, however many clips it has.
    """

    size: Annotated[int, Ge(8), Le(LARGEST)] = 256
    fit: Literal["crop", "stretch"] = "crop"
    max_frames: Annotated[int, Ge(2), Le(MOST)] | None = None
    frame_width: Width | None = None
    fps: Fps | None = None
    identity_sampling: bool = True
    augment: AugmentConfig = field(default_factory=AugmentConfig)
