"""How a data set's raw clips become squares, and how training draws from them."""

from __future__ import annotations

from dataclasses import dataclass, field

from tpsm.core.types import Fit
from tpsm.data.augment import AugmentConfig
from tpsm.data.limits import FPS_RANGE

SPLITS = ("train", "test")


@dataclass(frozen=True)
class DataConfig:
    """A data set: how its raw clips become squares of `size` pixels, and how training draws from them.

    `fit` is "crop" (largest centred square) or "stretch". `max_frames` keeps the first frames of each clip.
    `frame_width` is the width of one frame in a strip (default: the strip's height), and
    `fps` the frame rate of strips and folders that do not say theirs (default 25). With `identity_sampling` every
    identity is drawn equally often, however many clips it has.
    """

    size: int = 256
    fit: Fit = "crop"
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
