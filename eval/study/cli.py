"""`python -m eval study make | read`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tpsm.core.animation import Mode
from tpsm.core.errors import UserError
from tpsm.core.layout import Layout

app = typer.Typer(
    help="Ask people which run animates better. `make` writes a blinded page and the key to it, `read` turns the votes "
    "into tables.",
    no_args_is_help=True,
)
Root = Annotated[
    Path, typer.Option(help="Folder of the pipeline's files.", exists=True, file_okay=False, show_default="here")
]


@app.command()
def make(
    dataset: Annotated[str, typer.Option(help="A name under `data` in params.yaml.")],
    mode: Annotated[Mode, typer.Option(help="What to show.")] = "relative",
    runs: Annotated[
        str, typer.Option(metavar="A,B", help="Which runs to compare.", show_default="all that animate in this mode")
    ] = "",
    questions: Annotated[
        int | None, typer.Option(help="Comparisons a rater gets.", show_default="24, or all there are")
    ] = None,
    checks: Annotated[int, typer.Option(help="Attention checks besides.")] = 4,
    frames: Annotated[int | None, typer.Option(help="Show only the first so many frames of each video.")] = None,
    quality: Annotated[int | None, typer.Option(help="WebP quality, 1 to 100.", show_default="lossless")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the page and its key.", show_default="study/D")] = None,
    root: Root = Path(),
) -> None:
    """Write a page that shows raters what runs have animated, two at a time and without their names, and its key.

    The key tells which is which. Reads outputs/D/RUN/animation/MODE. The page is one file that works offline.
    """
    from eval.study.make import Settings, make_study

    names = tuple(name.strip() for name in runs.split(",") if name.strip())
    try:
        settings = Settings(mode, names, questions=questions, checks=checks, frames=frames, quality=quality)
    except ValueError as error:
        raise UserError(f"--{error}.") from error
    page = make_study(Layout(dataset, root), settings, out or root / "study" / dataset)
    print(f"page for raters -> {page}\nkey, for you alone -> {page.with_name('key.json')}")


@app.command()
def read(
    key: Annotated[Path, typer.Option(help="The key.json that lies beside the page.")],
    votes: Annotated[list[Path] | None, typer.Argument(help="Files that the page saved.")] = None,
    slips: Annotated[
        int,
        typer.Option(
            min=0,
            max=1000,
            help="Wrong answers to attention checks, of two a check, after which a rater does not count.",
        ),
    ] = 1,
    out: Annotated[Path | None, typer.Option(help="Folder of the tables.", show_default="reports/D/study")] = None,
    root: Root = Path(),
) -> None:
    """Turn vote files into preference rates, a ranking and the raters' agreement. Without votes the tables say so."""
    from eval.study.read import read_study

    print(f"user study -> {read_study(votes or [], key, slips, root, out)}")
