"""The page that raters open, and the key that un-blinds it."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
from annotated_types import Ge, Le
from tqdm import tqdm

from eval.scoring.pairs import read_pairs
from eval.study.booklet import Booklet, Pair
from eval.study.design import sheets
from eval.study.key import QUESTIONS, Item, Key, Shown
from eval.templates import render
from tpsm.core.animation import Mode, animation_modes, read_animate
from tpsm.core.errors import UserError
from tpsm.core.files import write_text
from tpsm.core.layout import Layout
from tpsm.core.reading import read_labels
from tpsm.core.schema import MOST, Count, Whole, checked

log = logging.getLogger(__name__)
HEAVY = 100e6  # bytes of a page that a phone is slow to open
COMPARISONS = 24  # of one rater, where nothing else is said


@checked
@dataclass(frozen=True)
class Settings:
    """`runs` empty: all that `animate.runs` names. `questions` None: 24 comparisons, or all if they are fewer.

    `frames` and `quality` keep a page of long clips small: the first frames only, and WebP of that quality (1 to 100)
    in the place of lossless images.
    """

    mode: Mode = "relative"
    runs: tuple[str, ...] = ()
    questions: Count | None = None
    checks: Whole = 4
    frames: Annotated[int, Ge(2), Le(MOST)] | None = None
    quality: Annotated[int, Ge(1), Le(100)] | None = None

    def __post_init__(self) -> None:
        if len(set(self.runs)) < len(self.runs):
            raise ValueError("runs: one is named twice")


def make_study(layout: Layout, settings: Settings, out: Path) -> Path:
    """Writes `out/study.html` and `out/key.json`. The tokens in them are random, so no two studies are alike.

    Raises:
        UserError: fewer than two runs are animated, they do not go together, or `out` holds a key already.
    """
    page, key_file = out / "study.html", out / "key.json"
    if key_file.exists():
        raise UserError(f"{key_file} is there already, and votes may need it; name another folder with --out.")
    runs = settings.runs or _animated(layout, settings.mode)
    if len(runs) < 2:
        raise UserError(
            f"A study compares at least two runs in mode '{settings.mode}', and there is {', '.join(runs) or 'none'}; "
            "name them with --runs, or more of them under `animate.runs` in params.yaml."
        )

    # The videos and items of every pair, and the checks of some.
    pairs = _common_pairs(layout, runs, settings.mode)
    rng = np.random.default_rng()
    booklet = Booklet(layout, settings.mode, settings.frames, settings.quality, rng)
    checked = set(rng.permutation(len(pairs))[: settings.checks])
    compared, checks = [], []
    for clip, pair in enumerate(tqdm(pairs, desc="study", unit="clip")):
        items, check = booklet.add(pair, runs, clip in checked)
        compared.append(items)
        checks += check

    # The key, and the page that needs it to be read.
    key = Key(
        study=secrets.token_hex(8),
        dataset=layout.dataset,
        mode=settings.mode,
        runs=_labels(layout, runs),
        items=tuple(booklet.items[name] for name in sorted(booklet.items)),
        sheets=_sheets(compared, checks, settings.questions, rng),
    )
    write_text(page, _page(booklet, key))
    key.write(key_file)
    if (size := page.stat().st_size) > HEAVY:
        log.warning("%s has %.0f MB; --frames 60 or --quality 90 make it lighter.", page, size / 1e6)
    return page


def _animated(layout: Layout, mode: str) -> tuple[str, ...]:
    animate = read_animate(layout)
    return tuple(run for run in animate.runs if mode in animation_modes(animate, run))


def _labels(layout: Layout, runs: Sequence[str]) -> dict[str, str]:
    labels = read_labels(layout) if layout.labels.is_file() else {}
    return {run: labels.get(run, run) for run in runs}


def _common_pairs(layout: Layout, runs: Sequence[str], mode: str) -> list[Pair]:
    """The pairs, which must be those of every run."""
    found = {run: _pairs(layout, run, mode) for run in runs}
    first = found[runs[0]]
    for run, pairs in found.items():
        if pairs != first:
            raise UserError(f"Run '{run}' animates other pairs than '{runs[0]}'; run animate again for both.")
    if not first:
        raise UserError(f"Run '{runs[0]}' animates no pair of '{layout.dataset}'; there is nothing to compare.")
    return first


def _pairs(layout: Layout, run: str, mode: str) -> list[Pair]:
    rows = read_pairs(layout, run, mode).itertuples(index=False)
    return sorted((Pair(*row) for row in rows), key=lambda pair: pair.name)


def _sheets(
    compared: Sequence[Sequence[Item]], checks: Sequence[Item], questions: int | None, rng: np.random.Generator
) -> tuple[tuple[Shown, ...], ...]:
    """`compared`: by clip, the items of every two runs. Each sheet has all checks besides."""
    clips, pairs = len(compared), len(compared[0])
    count = min(COMPARISONS, clips * pairs) if questions is None else questions
    try:
        design = sheets(pairs, clips, count, rng)
    except ValueError as error:
        raise UserError(f"--{error}.") from error
    found = []
    for number, sheet in enumerate(design):
        shown = [_shown(compared[placed.clip][placed.pair], placed.first_left) for placed in sheet]
        # Sheets alternate with their twins, and so do the checks' sides.
        shown += [_shown(check, (place + number) % 2 == 0) for place, check in enumerate(checks)]
        found.append(tuple(sorted(shown, key=lambda entry: entry.item)))  # by token: the order tells nothing
    return tuple(found)


def _shown(item: Item, first_left: bool) -> Shown:
    return Shown(item.id, list(item.videos)[0 if first_left else 1])


def _page(booklet: Booklet, key: Key) -> str:
    """One file that needs no other. Nothing in it but the pixels tells one run's videos from another's."""
    data = {
        "study": key.study,
        "videos": {token: booklet.videos[token] for token in sorted(booklet.videos)},
        "items": {name: booklet.screens[name] for name in sorted(booklet.screens)},
        "sheets": [[[shown.item, shown.left] for shown in sheet] for sheet in key.sheets],
        "questions": QUESTIONS,
    }
    return render("eval.study", "page.html", data=data)
