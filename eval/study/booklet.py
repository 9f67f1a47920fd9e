"""What a page shows: videos and comparisons under random tokens, of which the key alone knows the meaning."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from eval.study.key import BROKEN, REAL, Item
from eval.study.videos import broken, strip
from tpsm.core.errors import UserError
from tpsm.core.layout import Layout
from tpsm.data.clip import ClipFile


@dataclass(frozen=True)
class Pair:
    """An animation that every run has made: the clip `driving` moves the first frame of `source`."""

    name: str
    source: str
    driving: str


@dataclass
class Booklet:
    """`videos` and `screens` go to the page, `items` to the key. `frames` and `quality` are those of `Settings`."""

    layout: Layout
    mode: str
    frames: int | None
    quality: int | None
    rng: np.random.Generator
    videos: dict[str, dict[str, Any]] = field(default_factory=dict)
    screens: dict[str, dict[str, Any]] = field(default_factory=dict)
    items: dict[str, Item] = field(default_factory=dict)

    def add(self, pair: Pair, runs: Sequence[str], check: bool) -> tuple[list[Item], list[Item]]:
        """An item for every two runs, in the order of `combinations`, and with `check` one that checks attention.

        The check is that of a perfect run against a hopeless one, on the driving clip: its own frames, and the same
        torn and out of order. Whoever looks answers both questions alike.

        Raises:
            UserError: a clip is missing, or is not of the driving clip's length and size.
        """
        source, _ = self._read(self.layout.test_clip(pair.source), 1)
        driving, fps = self._read(self.layout.test_clip(pair.driving), self.frames)
        still, moving = self._video(source, pair.source), self._video(driving, pair.driving)

        # Every run's video, which must fit the driving clip.
        made = {}
        for run in runs:
            path = self.layout.generated(run, pair.name, self.mode)
            frames, _ = self._read(path, self.frames)
            if frames.shape != driving.shape:
                raise UserError(
                    f"{self.layout.relative(path)} is not of the driving clip's length and size; run animate again."
                )
            made[run] = self._video(frames, self.layout.relative(path))

        # An item for every two of them, and the check.
        compared = [
            self._item(pair.name, {made[first]: first, made[second]: second}, still, moving, fps)
            for first, second in combinations(runs, 2)
        ]
        if not check:
            return compared, []
        torn = self._video(broken(driving, self.rng), pair.driving)
        first_frame = self._video(driving[:1], pair.driving)
        return compared, [self._item(pair.driving, {moving: REAL, torn: BROKEN}, first_frame, moving, fps)]

    def _read(self, path: Path, count: int | None) -> tuple[UInt8[np.ndarray, "t h w 3"], float]:
        with ClipFile(path) as clip:
            return clip.frames(stop=count), clip.fps

    def _video(self, frames: UInt8[np.ndarray, "t h w 3"], origin: str) -> str:
        token = secrets.token_hex(6)
        try:
            self.videos[token] = asdict(strip(frames, self.quality))
        except ValueError as error:
            raise UserError(f"{origin}: {error}; show fewer with --frames.") from error
        return token

    def _item(self, clip: str, videos: dict[str, str], source: str, driving: str, fps: float) -> Item:
        item = Item(secrets.token_hex(6), clip, videos)
        self.items[item.id] = item
        # Sorted by token, so that their order tells nothing.
        self.screens[item.id] = {"source": source, "driving": driving, "videos": sorted(videos), "fps": fps}
        return item
