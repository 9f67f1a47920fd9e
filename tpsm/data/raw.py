"""Finds the clips of a raw folder, by split."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tpsm.core.errors import UserError
from tpsm.core.layout import identity_of
from tpsm.data.config import SPLITS, SplitName
from tpsm.data.splits import Split
from tpsm.data.video import is_clip, is_picture, natural

log = logging.getLogger(__name__)
TEST_SHARE = 0.2
_TOLD = 5  # the most names in a warning


@dataclass(frozen=True)
class RawClip:
    """A raw clip: its file or folder, its split, and the name of the clip that it becomes."""

    source: Path
    split: SplitName
    name: str


def find_clips(folder: Path) -> dict[str, list[Path]]:
    """Returns the raw clips of each split, in natural order. Without `train/`, a fifth of the identities is the test.

    Warnings name what else is there, and why it is not taken.

    Raises:
        UserError: a split has no clips, or the folder cannot be read.
    """
    # The clips of the two folders, or of one that is split here.
    check_folder(folder)
    passed: dict[str, list[str]] = {}
    clips: dict[str, list[Path]]
    if (folder / "train").is_dir():
        clips = {split: _clips_in(folder / split, passed) for split in SPLITS}
        others = [
            path.name for path in folder.iterdir() if path.name not in SPLITS and (path.is_dir() or is_clip(path))
        ]
        passed["beside train/ and test/"] = sorted(others)
    else:
        everything = _clips_in(folder, passed)
        identities = sorted({identity_of(clip_name(path, folder)) for path in everything})
        order = np.random.default_rng(0).permutation(len(identities))
        held_out = {identities[i] for i in order[: round(TEST_SHARE * len(identities))]}
        log.info("%s has no train folder: %d of %d identities are the test", folder, len(held_out), len(identities))
        clips = {split: [] for split in SPLITS}
        for path in everything:
            clips["test" if identity_of(clip_name(path, folder)) in held_out else "train"].append(path)

    # What was not taken, and what is missing.
    for reason, names in passed.items():
        if names:
            some = ", ".join(names[:_TOLD]) + (f" and {len(names) - _TOLD} more" if len(names) > _TOLD else "")
            log.warning("%s: not taken, %s: %s", folder, reason, some)
    for split, paths in clips.items():
        if not paths:
            place = folder / split if (folder / "train").is_dir() else folder
            raise UserError(f"There are no {split} clips in {place}; add strips, GIFs, videos or folders of frames.")
    return clips


def split_clips(folder: Path, split: Split) -> dict[str, list[Path]]:
    """Returns the raw clips that the split names. One that is in both train/ and test/ is taken from its own folder.

    Raises:
        UserError: none of the clips of train, or of test, is there.
    """
    # The clips by name: outside of train/ and test/, and in each of them.
    check_folder(folder)
    inside = [path for path in _clips_in(folder, {}) if path.relative_to(folder).parts[0] not in SPLITS]
    flat = by_name(inside, folder)
    there: dict[str, dict[str, Path]] = {part: flat | by_name(_clips_in(folder / part, {}), folder) for part in SPLITS}

    # Those that the split names, each first in its own folder.
    chosen: dict[str, list[Path]] = {part: [] for part in SPLITS}
    missing = []
    for row in split.rows:
        others = [part for part in SPLITS if part != row.split]
        path = next((there[part][row.clip] for part in (row.split, *others) if row.clip in there[part]), None)
        if path is None:
            missing.append(row.clip)
        else:
            chosen[row.split].append(path)

    # What is missing.
    if missing:
        log.warning(
            "%d of the %d clips of the split %s are not in %s (%s%s)",
            *(len(missing), len(split.rows), split.name, folder, ", ".join(missing[:5]), ", ..." * (len(missing) > 5)),
        )
    for part, clips in chosen.items():
        if not clips:
            raise UserError(
                f"None of the {part} clips of the split {split.name} is in {folder}; fetch or link the set."
            )
    return {part: sorted(clips, key=natural) for part, clips in chosen.items()}


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


def clip_name(path: Path, folder: Path) -> str:
    """Returns a raw clip's name in the data set in `folder`: the folders below its split and its own name, by '#'."""
    parts = path.relative_to(folder).parts
    above = parts[1:-1] if parts[0] in SPLITS else parts[:-1]
    return "#".join([*above, path.name if path.is_dir() else path.stem])


def _clips_in(folder: Path, passed: dict[str, list[str]]) -> list[Path]:
    """Returns the clips in and below a folder, in natural order; `passed` gets all else, by the reason."""
    clips: list[Path] = []
    truths: list[Path] = []
    try:
        children = sorted(folder.iterdir(), key=natural) if folder.is_dir() else []
    except OSError as error:
        raise UserError(f"The folder {folder} cannot be read ({error.strerror}); change its permissions.") from error

    # A clip is a file or a folder of frames; other folders are searched too.
    for path in children:
        if path.name.startswith("."):
            reason = "hidden, for its name begins with a dot"
        elif path.is_symlink() and _leads_up(path):
            reason = "a link to nothing, to itself or to a folder above"
        elif is_clip(path):
            clips.append(path)
            passed.setdefault("in a folder of frames", []).extend(_strangers_among_frames(path))
            continue
        elif path.is_dir():
            inside = _clips_in(path, passed)
            clips += inside
            reason = "" if inside else "a folder without clips"
        elif path.suffix == ".npz":
            truths.append(path)
            reason = ""
        else:
            reason = "no video or image of a known kind"
        if reason:
            passed.setdefault(reason, []).append(path.name)

    # A ground truth belongs to the clip of its name.
    named = {path.name if path.is_dir() else path.stem for path in clips}
    passed.setdefault("ground truth of no clip", []).extend(path.name for path in truths if path.stem not in named)
    return clips


def _leads_up(link: Path) -> bool:
    try:
        target = link.resolve(strict=True)
    except (OSError, RuntimeError):  # round and round, or to nothing
        return True
    return target.is_dir() and link.parent.resolve().is_relative_to(target)


def _strangers_among_frames(path: Path) -> list[str]:
    """Returns the videos and folders that stand in a folder of frames."""
    inside = path.iterdir() if path.is_dir() else ()
    return [
        f"{path.name}/{child.name}" for child in inside if child.is_dir() or (is_clip(child) and not is_picture(child))
    ]


def by_name(paths: list[Path], folder: Path) -> dict[str, Path]:
    """Returns the clips by name. Raises UserError where two have the same."""
    named: dict[str, Path] = {}
    for path in paths:
        other = named.setdefault(clip_name(path, folder), path)
        if other != path:
            raise UserError(f"{other} and {path} have the same name; rename one of them.")
    return named
