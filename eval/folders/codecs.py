"""By which codecs the two sides' files came, for a lossy one costs something before any method is at work."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from tpsm.core.layout import SUFFIX
from tpsm.data import container
from tpsm.data.still import image_codec
from tpsm.data.video import is_picture, kind_of

log = logging.getLogger(__name__)


def codecs_of(clips: Iterable[Path]) -> dict[str, int]:
    """The clips of one side by their codec, as "h264 (lossy)" or "png": how many there are of each.

    A lossy one gives back other pixels than it was given: by its compression, its halved colours, or its palette.

    Raises:
        UserError: a file cannot be read.
    """
    return dict(Counter(_codec(path) for path in clips).most_common())


def codec_lines(codecs: dict[str, dict[str, int]]) -> list[str]:
    """A line for each side, and a warning where one is lossy."""
    lines = [f"{side}: {', '.join(f'{count} {name}' for name, count in of.items())}" for side, of in codecs.items()]
    if lossy := [side for side, of in codecs.items() if any(name.endswith("(lossy)") for name in of)]:
        log.warning(
            "Frames of the %s clips were compressed with loss, which is part of every score: H.264 alone costs an L1 "
            "of .019 and leaves a PSNR of 28.6 dB at 64 px. Write PNG strips, folders of PNGs or FFV1 where you can.",
            " and the ".join(lossy),
        )
    return lines


def _codec(path: Path) -> str:
    if path.suffix.lower() == SUFFIX and path.is_file():
        return "png"
    if path.is_dir():
        found = {image_codec(child) for child in path.iterdir() if is_picture(child)}
    else:
        found = {container.codec(path) if kind_of(path) == "video" else image_codec(path)}
    return "+".join(sorted(name for name, _ in found)) + " (lossy)" * any(lossy for _, lossy in found)
