"""Shows what the methods do, with the published weights and two embedded clips: nothing is trained or prepared."""

from __future__ import annotations

from pathlib import Path

from tpsm.core.errors import UserError
from tpsm.show.animate_file import Animation, animate_file
from tpsm.show.panels import TITLES

CLIPS = Path("samples/puppets/test")
SOURCE, DRIVING = CLIPS / "puppet044#00.webp", CLIPS / "puppet052#01.webp"


def demo(out: Path) -> int:
    """Writes source, driving clip and the three methods' results side by side, and returns the number of frames.

    Raises:
        UserError: this is not the folder of the repository, or weights are missing.
    """
    for clip in (SOURCE, DRIVING):
        if not clip.is_file():
            raise UserError(
                f"There is no {clip}: the demo needs the repository's samples and weights; type `tpsm demo` in "
                "its folder, or `tpsm --root FOLDER demo` elsewhere."
            )
    times = 3 if out.suffix.lower() == ".mp4" else 1  # others are shown again and again
    return animate_file(Animation(SOURCE, DRIVING, TITLES, out, dataset="puppets", times=times))
