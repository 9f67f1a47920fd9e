"""Raw clips of any usual kind -> square clips on disk, one file each, and a manifest.

The raw layout is that of the released code: `train/` and `test/`, each with strips, GIFs, videos or folders of
frames, named `identity#anything`. Clips in further folders, as VoxCeleb's identity/video/clip.mp4, are called
identity#video#clip. A strip may have its ground truth beside it, in an .npz of the same stem.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from tpsm.core.errors import UserError
from tpsm.core.files import sha256_of
from tpsm.core.types import GroundTruth
from tpsm.data.arrays import UNREADABLE
from tpsm.data.augment import AugmentConfig
from tpsm.data.clip import (
    ClipFile,
    ClipWriter,
    Entry,
    Manifest,
    clip_writer,
    file_name,
    identity_of,
    unpack_truth,
)
from tpsm.data.limits import FPS_RANGE
from tpsm.data.splits import Split
from tpsm.data.video import is_clip, is_picture, iter_video, kind_of, natural
from tpsm.jobs.map import Workers, map_clips

log = logging.getLogger(__name__)

SPLITS = ("train", "test")
TEST_SHARE = 0.2
_TOLD = 5  # so many names of what is not taken
_FORMAT, _DECODED = 1, 2  # raise one when preparing the same strip or folder, or the same video, gives other bytes


@dataclass(frozen=True)
class DataConfig:
    """A data set: how its raw clips become squares of `size` pixels, and how training draws from them.

    `fit` is "crop" (largest centred square) or "stretch". `max_frames` keeps the first frames of each clip.
    `frame_width` is the width of one frame in a strip (default: the strip's height), and
    `fps` the frame rate of strips and folders that do not say theirs (default 25). With `identity_sampling` every
    identity is drawn equally often, however many clips it has.
    """

    size: int = 256
    fit: Literal["crop", "stretch"] = "crop"
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


def prepare(
    name: str, folder: Path, config: DataConfig, out: Path, split: Split | None = None, workers: Workers = 1
) -> Manifest:
    """The raw clips of `folder` -> `out/{train,test}/*.zip` and `out/manifest.json`.

    With a named split just its clips are taken, as it says, wherever they lie in `folder`; those that are not there are
    told. Clips already written from the same source are kept.

    Raises:
        UserError: no or unreadable clips, a clip of fewer than two frames, or two clips of one name.
    """
    sources = find_clips(folder) if split is None else split_clips(folder, split)
    train, test = ({identity_of(clip_name(path, folder)) for path in sources[part]} for part in SPLITS)
    if overlap := sorted(train & test):
        log.warning(
            "%s: %d of the identities are in both train and test (%s ...)", name, len(overlap), ", ".join(overlap[:5])
        )
    raw = [RawClip(source, part, name) for part in SPLITS for name, source in _by_name(sources[part], folder).items()]
    entries = map_clips(PrepareClip(config, out), raw, workers, f"prepare {name}")
    for part in SPLITS:
        _remove_strangers(out / part, {file_name(entry.name) for entry in entries if entry.split == part})
    manifest = Manifest(name, config.size, tuple(entries))
    manifest.write(out)
    return manifest


@dataclass(frozen=True)
class RawClip:
    source: Path
    split: str
    name: str


@dataclass(frozen=True)
class PrepareClip:
    """A raw clip -> its file below `out`, unless it is there from the same source, and what the manifest says of it."""

    config: DataConfig
    out: Path

    def __call__(self, raw: RawClip) -> Entry:
        return _prepare_one(raw, self.config, self.out)


def find_clips(folder: Path) -> dict[str, list[Path]]:
    """The raw clips of each split, in natural order. Without `train/`, a fifth of the identities becomes the test.

    What is there besides, and is not taken, is told with the reason.
    """
    check_folder(folder)
    passed: dict[str, list[str]] = {}
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
    for reason, names in passed.items():
        if names:
            some = ", ".join(names[:_TOLD]) + (f" and {len(names) - _TOLD} more" if len(names) > _TOLD else "")
            log.warning("%s: not taken, %s: %s", folder, reason, some)
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
    inside = [path for path in _clips_in(folder, {}) if path.relative_to(folder).parts[0] not in SPLITS]
    flat = _by_name(inside, folder)
    there = {part: flat | _by_name(_clips_in(folder / part, {}), folder) for part in SPLITS}
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


def clip_name(path: Path, folder: Path) -> str:
    """What a raw clip of the data set in `folder` is called: the folders below its split, and its own name, by '#'."""
    parts = path.relative_to(folder).parts
    above = parts[1:-1] if parts[0] in SPLITS else parts[:-1]
    return "#".join([*above, path.name if path.is_dir() else path.stem])


def _clips_in(folder: Path, passed: dict[str, list[str]]) -> list[Path]:
    """The clips in a folder and the folders below it, in natural order. `passed` takes what is none, by the reason."""
    clips: list[Path] = []
    children = sorted(folder.iterdir(), key=natural) if folder.is_dir() else []
    for path in children:
        if path.name.startswith("."):
            reason = "hidden, for its name begins with a dot"
        elif is_clip(path):
            clips.append(path)
            passed.setdefault("in a folder of frames", []).extend(_strangers_among_frames(path))
            continue
        elif path.is_dir():
            reason = "a link to a folder that it is in"
            if path.resolve() not in [folder.resolve(), *folder.resolve().parents]:
                inside = _clips_in(path, passed)
                clips += inside
                reason = "" if inside else "a folder without clips"
        elif path.suffix == ".npz" and any(is_clip(other) for other in children if other.stem == path.stem):
            reason = ""  # ground truth
        else:
            reason = "no video or picture of a known kind"
        if reason:
            passed.setdefault(reason, []).append(path.name)
    return clips


def _strangers_among_frames(path: Path) -> list[str]:
    """The videos and folders that stand in a folder of frames."""
    inside = path.iterdir() if path.is_dir() else ()
    return [
        f"{path.name}/{child.name}" for child in inside if child.is_dir() or (is_clip(child) and not is_picture(child))
    ]


def _by_name(paths: list[Path], folder: Path) -> dict[str, Path]:
    """Raises UserError where two have one name."""
    named: dict[str, Path] = {}
    for path in paths:
        other = named.setdefault(clip_name(path, folder), path)
        if other != path:
            raise UserError(f"{other} and {path} have the same name; rename one of them.")
    return named


def _remove_strangers(folder: Path, wanted: set[str]) -> None:
    """Clips of an earlier configuration, and drafts of an interrupted run."""
    for path in folder.glob("*.zip"):
        if path.name not in wanted:
            path.unlink()


def _prepare_one(raw: RawClip, config: DataConfig, out: Path) -> Entry:
    source, name, split = raw.source, raw.name, raw.split
    beside = source.with_name((source.name if source.is_dir() else source.stem) + ".npz")
    truth_path = beside if beside.is_file() else None
    origin = _origin(source, truth_path, config)
    path = out / split / file_name(name)
    if not _is_from(path, origin):
        truth = None if truth_path is None else _read_truth(truth_path)
        width = config.frame_width or (None if truth is None else truth.labels.shape[2])
        shown, fps = iter_video(source, strip_width=width, fps=config.fps)
        with clip_writer(path.parent, name, identity_of(name), fps, origin=origin) as writer:
            shape = _fit_all(source, islice(shown, config.max_frames), config, writer)
            if len(writer) < 2:
                raise UserError(f"The clip {source} has a single frame; a clip needs at least two, so remove it.")
            if truth is not None:
                writer.truth = _fit_truth(truth, len(writer), shape, config, source)
    return _entry(path, split)


def _fit_all(
    source: Path, frames: Iterator[UInt8[np.ndarray, "_ _ 3"]], config: DataConfig, writer: ClipWriter
) -> tuple[int, ...]:
    """Writes the fitted frames, one at a time; returns the height and width that they had before."""
    shape: tuple[int, ...] = ()
    for frame in frames:
        if shape and frame.shape[:2] != shape:
            raise UserError(f"The frames of {source} are not all of one size.")
        shape = frame.shape[:2]
        writer.add(fit_to_size(frame, config.size, config.fit))
    return shape


def fit_to_size(
    frame: UInt8[np.ndarray, "h w 3"], size: int, fit: Literal["crop", "stretch"] = "crop"
) -> UInt8[np.ndarray, "s s 3"]:
    """The largest centred square ("crop") or the whole picture ("stretch"), resized to `size` pixels, anti-aliased."""
    height, width = frame.shape[:2]
    if fit == "crop":
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        frame = frame[top : top + side, left : left + side]
    if frame.shape[:2] == (size, size):
        return frame
    # Pillow widens the filter by the reduction, which is what keeps fine patterns from aliasing.
    return np.asarray(Image.fromarray(frame).resize((size, size), Image.Resampling.BICUBIC))


def _fit_truth(
    truth: GroundTruth, count: int, shape: tuple[int, ...], config: DataConfig, source: Path
) -> GroundTruth | None:
    """The ground truth of the first `count` frames at the new size, or None where it does not apply to it."""
    if truth.labels.shape[1:] != shape or len(truth.labels) < count:
        log.warning("the ground truth of %s is of another size or length: it is dropped", source)
        return None
    if config.fit == "crop" and shape[0] != shape[1]:
        log.warning("%s is cropped: its ground truth is dropped", source)
        return None
    rows, columns = (np.floor((np.arange(config.size) + 0.5) * side / config.size).astype(int) for side in shape)
    # Resizing keeps the picture's border where it is, and [-1, 1] ends at the centres of the outermost pixels.
    scale = np.array([(side - 1) / side * config.size / (config.size - 1) for side in shape[::-1]])
    change = np.concatenate([scale[:, None] / scale, scale[:, None]], axis=1)
    return GroundTruth(
        (truth.joints[:count] * scale).astype(np.float32),
        truth.visible[:count],
        truth.labels[:count][:, rows[:, None], columns],
        (truth.to_first[:count] * change).astype(np.float32),
    )


def _read_truth(path: Path) -> GroundTruth:
    try:
        return unpack_truth(path.read_bytes())
    except UNREADABLE as error:
        raise UserError(f"The ground truth {path} cannot be read ({error}); make it again or remove it.") from error


def _origin(source: Path, truth: Path | None, config: DataConfig) -> str:
    """A hash of everything that the prepared clip depends on."""
    relevant = {key: value for key, value in asdict(config).items() if key in _RELEVANT}
    kind = kind_of(source)
    drawn = kind == "folder" or (kind == "strip" and source.suffix.lower() not in (".tif", ".tiff"))
    digest = hashlib.sha256(json.dumps([_FORMAT if drawn else _DECODED, relevant], sort_keys=True).encode())
    files = [source] if source.is_file() else sorted(source.iterdir(), key=natural)
    for path in (*files, *([truth] if truth else [])):
        digest.update(os.fsencode(path.name))
        if path.is_file():
            with path.open("rb") as stream:
                digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()


_RELEVANT = ("size", "fit", "max_frames", "frame_width", "fps")


def _is_from(path: Path, origin: str) -> bool:
    if not path.is_file():
        return False
    try:
        with ClipFile(path) as clip:
            return clip.origin == origin
    except UserError:
        return False  # damaged: it is made again


def _entry(path: Path, split: str) -> Entry:
    with ClipFile(path) as clip:
        return Entry(
            name=clip.name,
            identity=clip.identity,
            split=split,
            frames=len(clip),
            width=clip.width,
            height=clip.height,
            fps=clip.fps,
            sha256=sha256_of(path),
            has_truth=clip.has_truth,
        )
