"""The clips of a raw folder, by split."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tpsm.core.errors import UserError
from tpsm.core.layout import identity_of
from tpsm.data.config import SPLITS
from tpsm.data.splits import Split
from tpsm.data.video import is_clip, natural

log = logging.getLogger(__name__)
TEST_SHARE = 0.2


@dataclass(frozen=True)
class RawClip:
    source: Path
    split: str

    @property
    def name(self) -> str:
        return clip_name(self.source)


def find_clips(folder: Path) -> dict[str, list[Path]]:
    """The raw clips of each split, in natural order. Without `train/`, a fifth of the identities becomes the test."""
    check_folder(folder)
    if (folder / "train").is_dir():
        clips = {split: _clips_in(folder / split) for split in SPLITS}
    else:
        everything = _clips_in(folder)
        identities = sorted({identity_of(clip_name(path)) for path in everything})
        order = np.random.default_rng(0).permutation(len(identities))
        held_out = {identities[i] for i in order[: round(TEST_SHARE * len(identities))]}
        log.info("%s has no train folder: %d of %d identities are the test", folder, len(held_out), len(identities))
        clips = {split: [] for split in SPLITS}
        for path in everything:
            clips["test" if identity_of(clip_name(path)) in held_out else "train"].append(path)
    for split, found in clips.items():
        if not found:
            place = folder / split if (folder / "train").is_dir() else folder
            raise UserError(f"There are no {split} clips in {place}; add strips, GIFs, videos or folders of frames.")
    return clips


def split_clips(folder: Path, split: Split) -> dict[str, list[Path]]:
    """The raw clips that the split names. One of a name that is in both train/ and test/ is taken from its own folder.

    Raises:
        UserError: none of the clips of train, or of test, is there.
    """
    check_folder(folder)
    flat = by_name(_clips_in(folder))
    there = {part: flat | by_name(_clips_in(folder / part)) for part in SPLITS}
    found: dict[str, list[Path]] = {part: [] for part in SPLITS}
    missing = []
    for row in split.rows:
        others = [part for part in SPLITS if part != row.split]
        path = next((there[part][row.clip] for part in (row.split, *others) if row.clip in there[part]), None)
        if path is None:
            missing.append(row.clip)
        else:
            found[row.split].append(path)
    if missing:
        log.warning(
            "%d of the %d clips of the split %s are not in %s (%s%s)",
            *(len(missing), len(split.rows), split.name, folder, ", ".join(missing[:5]), ", ..." * (len(missing) > 5)),
        )
    for part, clips in found.items():
        if not clips:
            raise UserError(
                f"None of the {part} clips of the split {split.name} is in {folder}; fetch or link the set."
            )
    return {part: sorted(clips, key=natural) for part, clips in found.items()}


def check_folder(folder: Path) -> None:
    """Raises UserError where a data set's raw folder is not there."""
    if folder.is_symlink() and not folder.exists():
        raise UserError(f"{folder} links to {folder.readlink()}, where nothing is; link it to the data set's folder.")
    if not folder.is_dir():
        raise UserError(
            f"There is no folder {folder}; put the data set there, "
            f"or link it: mkdir -p {folder.parent}; ln -s /where/it/is {folder} (`tpsm fetch --help` lists sets that "
            "come by themselves)."
        )


def _clips_in(folder: Path) -> list[Path]:
    return sorted(filter(is_clip, folder.iterdir()), key=natural) if folder.is_dir() else []


def clip_name(path: Path) -> str:
    return path.name if path.is_dir() else path.stem


def by_name(paths: list[Path]) -> dict[str, Path]:
    """Raises UserError where two have one name."""
    named: dict[str, Path] = {}
    for path in paths:
        other = named.setdefault(clip_name(path), path)
        if other != path:
            raise UserError(f"{other} and {path} have the same name; rename one of them.")
    return named
