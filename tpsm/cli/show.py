"""Defines the commands that show something at once: a demo, an image of one's own in motion, and what is here."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from tpsm.cli.names import finite_option, name_option
from tpsm.core.errors import UserError
from tpsm.core.layout import check_name

CROP = (
    "face, centre, or X,Y,SIZE: left and upper edge (below 0 with --pad) and side of a square, in pixels. As in "
    "training without it."
)


class Mode(StrEnum):
    """The modes of animation; typer takes no list of literals."""

    standard = "standard"
    relative = "relative"
    avd = "avd"


def demo(
    out: Annotated[Path, typer.Option(help="What to write: .mp4, .gif, .webp, or as `tpsm animate`.")] = Path(
        "demo.mp4"
    ),
) -> None:
    """Animate an embedded image by an embedded clip with all three methods, side by side, in less than a minute.

    It takes the weights that are there, the published ones at first; nothing need be trained or prepared.
    """
    from tpsm.show.demo import demo

    print(f"{demo(out)} frames, source | driving | FOMM | MRAA | TPSMM -> {out.absolute()}")


def animate(
    source: Annotated[Path, typer.Option(help="An image (or a video, whose first frame is taken).")],
    driving: Annotated[Path, typer.Option(help="A video, GIF, image strip or folder of frames.")],
    run: Annotated[
        list[str],
        typer.Option(help="A run that was trained or imported here, or has published weights; several: side by side."),
    ],
    out: Annotated[Path, typer.Option(help="What to write: .mp4, .gif, .webp, .png (a strip), or a folder of frames.")],
    mode: Annotated[
        Mode,
        typer.Option(
            help="standard: the driving pose as it is; relative: its change since the reference frame; avd: the "
            "driving pose in the source's shape (runs that `animate.avd` in params.yaml names)."
        ),
    ] = Mode.relative,
    dataset: Annotated[
        str | None, typer.Option(callback=name_option, help="Where the run was trained, if on several data sets.")
    ] = None,
    source_frame: Annotated[
        int | None,
        typer.Option(
            min=0, max=1_000_000, help="Which frame of SOURCE is taken, from 0; with it, an image is a strip of frames."
        ),
    ] = None,
    crop: Annotated[str | None, typer.Option(help=f"What is taken of SOURCE: {CROP}")] = None,
    driving_crop: Annotated[str | None, typer.Option(help="The same of DRIVING.")] = None,
    pad: Annotated[
        bool, typer.Option("--pad", help="Cut nothing off: where a square reaches beyond an image, repeat its edge.")
    ] = False,
    reference_frame: Annotated[
        int | None,
        typer.Option(min=0, max=1_000_000, help="The driving frame, from 0, from which relative motion starts."),
    ] = None,
    find_best_frame: Annotated[
        bool, typer.Option("--find-best-frame", help="Start from the driving frame whose pose is nearest to SOURCE's.")
    ] = False,
    compare: Annotated[
        bool, typer.Option("--compare", help="Show source, driving clip and result side by side.")
    ] = False,
    no_audio: Annotated[bool, typer.Option("--no-audio", help="Leave the driving clip's sound out.")] = False,
    fps: Annotated[
        float | None,
        typer.Option(min=0.01, max=1000, callback=finite_option, help="Frames per second, if not DRIVING's."),
    ] = None,
) -> None:
    """Put the image SOURCE in motion as in the video DRIVING, with a trained or published RUN."""
    from tpsm.cli.landmarks import landmark_detector
    from tpsm.show.animate_file import Animation, animate_file
    from tpsm.show.panels import TITLES
    from tpsm.show.square import Framing, parse_crop

    if find_best_frame and reference_frame is not None:
        raise UserError("--find-best-frame and --reference-frame both name a frame; leave one out.")
    wanted = Animation(
        source,
        driving,
        {check_name(name, "--run"): name if TITLES.get(name) in run else TITLES.get(name, name) for name in run},
        out,
        mode.value,
        dataset,
        source_frame,
        Framing(None if crop is None else parse_crop(crop, "--crop"), pad),
        Framing(None if driving_crop is None else parse_crop(driving_crop, "--driving-crop"), pad),
        "best" if find_best_frame else reference_frame,
        landmark_detector,
        compare,
        not no_audio,
        fps,
    )
    print(f"{animate_file(wanted)} frames -> {out}")


def doctor() -> None:
    """Say what this machine has and what is missing, what each thing is good for, and what to type for it."""
    from tpsm.cli.doctor import report

    print(report())
