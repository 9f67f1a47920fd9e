"""`python -m eval study make | read`."""

from __future__ import annotations

import argparse
from pathlib import Path

from tpsm.core.errors import UserError
from tpsm.core.layout import Layout

TEXT = (
    "Ask people which run animates better. `make` writes a blinded page and the key to it, `read` turns the votes "
    "into tables."
)
MAKE = (
    "Write a page that shows raters what runs have animated, two at a time and without their names, and the key that "
    "tells which is which. Reads outputs/D/RUN/animation/MODE. The page is one file that works offline."
)
READ = "Turn vote files into preference rates, a ranking and the raters' agreement. Without votes the tables say so."


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    actions = verbs.add_parser("study", help=TEXT.split(". ")[0], description=TEXT).add_subparsers(
        dest="action", required=True, metavar="make|read"
    )
    make = actions.add_parser("make", help=MAKE.split(". ")[0], description=MAKE)
    make.add_argument("--dataset", required=True, help="a name under `data` in params.yaml")
    make.add_argument("--mode", default="relative", choices=("standard", "relative", "avd"), help="default: relative")
    make.add_argument("--runs", type=_names, default=(), metavar="A,B", help="default: all that animate in this mode")
    make.add_argument("--questions", type=int, help="comparisons a rater gets (default: 24, or all there are)")
    make.add_argument("--checks", type=int, default=4, help="attention checks besides (default: 4)")
    make.add_argument("--frames", type=int, help="show only the first so many frames of each video")
    make.add_argument("--quality", type=int, help="WebP quality, 1 to 100 (default: lossless)")
    make.add_argument("--out", type=Path, help="folder of the page and its key (default: study/D)")
    read = actions.add_parser("read", help=READ.split(". ")[0], description=READ)
    read.add_argument("votes", nargs="*", type=Path, metavar="VOTES", help="files that the page saved")
    read.add_argument("--key", type=Path, required=True, help="the key.json that lies beside the page")
    read.add_argument(
        "--slips",
        type=int,
        default=1,
        help="wrong answers to attention checks, of two a check, after which a rater no longer counts (default: 1)",
    )
    read.add_argument("--out", type=Path, help="folder of the tables (default: reports/D/study)")
    make.set_defaults(run=_make)
    read.set_defaults(run=_read)
    for action in (make, read):
        action.add_argument("--root", type=Path, default=Path(), help="folder of the pipeline's files (default: here)")


def _read(options: argparse.Namespace) -> None:
    from eval.study.read import read_study

    readme = read_study(options.votes, options.key, options.slips, options.root, options.out)
    print(f"user study -> {readme}")


def _make(options: argparse.Namespace) -> None:
    from eval.study.make import Settings, make_study

    names = ("mode", "runs", "questions", "checks", "frames", "quality")
    try:
        settings = Settings(**{name: getattr(options, name) for name in names})
    except ValueError as error:
        raise UserError(f"--{error}.") from error
    out = options.root / "study" / options.dataset if options.out is None else options.out
    page = make_study(Layout(options.dataset, options.root), settings, out)
    print(f"page for raters -> {page}\nkey, for you alone -> {page.with_name('key.json')}")


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())
