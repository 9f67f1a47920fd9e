"""Turns raw clips of any usual kind into square clips, one file each, and a manifest.

The raw layout is that of the released code: `train/` and `test/`, each with strips, GIFs, videos or folders of
frames, named `identity#anything`. Clips in further folders, as VoxCeleb's identity/video/clip.mp4, are called
identity#video#clip. A strip may have its ground truth beside it, in an .npz of the same stem.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

from tpsm.core.errors import UserError
from tpsm.core.files import sha256_of
from tpsm.core.layout import file_name, identity_of
from tpsm.data.clip import ClipFile, clip_writer
from tpsm.data.config import SPLITS, DataConfig, SplitName
from tpsm.data.manifest import Entry, Manifest
from tpsm.data.raw import RawClip, by_name, clip_name, find_clips, split_clips
from tpsm.data.resize import fit_all, fit_truth, read_truth
from tpsm.data.splits import Split
from tpsm.data.video import iter_video, kind_of, natural
from tpsm.jobs.map import Workers, map_clips

log = logging.getLogger(__name__)

_FORMAT, _DECODED = 1, 2  # raise one when preparing the same strip or folder, or the same video, gives other bytes
_RELEVANT = ("size", "fit", "max_frames", "frame_width", "fps")


def prepare(
    name: str, folder: Path, config: DataConfig, out: Path, split: Split | None = None, workers: Workers = 1
) -> Manifest:
    """Writes the raw clips of `folder` as `out/{train,test}/*.zip`, and `out/manifest.json`.

    With a named split exactly its clips are taken, wherever they lie in `folder`; a warning names those that are not
    there. Clips already written from the same source are kept.

    Raises:
        UserError: there are no or unreadable clips, a clip of fewer than two frames, or two clips of one name.
    """
    sources = find_clips(folder) if split is None else split_clips(folder, split)
    train, test = ({identity_of(clip_name(path, folder)) for path in sources[part]} for part in SPLITS)
    if overlap := sorted(train & test):
        log.warning(
            "%s: %d of the identities are in both train and test (%s ...)", name, len(overlap), ", ".join(overlap[:5])
        )
    raw = [RawClip(source, part, name) for part in SPLITS for name, source in by_name(sources[part], folder).items()]
    entries = map_clips(PrepareClip(config, out), raw, workers, f"prepare {name}")
    for part in SPLITS:
        _remove_strangers(out / part, {file_name(entry.name) for entry in entries if entry.split == part})
    manifest = Manifest(name, config.size, tuple(entries))
    manifest.write(out)
    return manifest


@dataclass(frozen=True)
class PrepareClip:
    """Writes a raw clip below `out`, unless it is there from the same source, and returns its entry in the manifest."""

    config: DataConfig
    out: Path

    def __call__(self, raw: RawClip) -> Entry:
        source, config = raw.source, self.config
        beside = source.with_name((source.name if source.is_dir() else source.stem) + ".npz")
        truth_path = beside if beside.is_file() else None
        origin = _origin(source, truth_path, config)
        path = self.out / raw.split / file_name(raw.name)
        if not _is_from(path, origin):
            truth = None if truth_path is None else read_truth(truth_path)
            width = config.frame_width or (None if truth is None else truth.labels.shape[2])
            frames, fps = iter_video(source, strip_width=width, fps=config.fps)
            with clip_writer(path.parent, raw.name, identity_of(raw.name), fps, origin=origin) as writer:
                shape = fit_all(source, islice(frames, config.max_frames), config, writer)
                if len(writer) < 2:
                    raise UserError(f"The clip {source} has a single frame; a clip needs at least two, so remove it.")
                if truth is not None:
                    writer.truth = fit_truth(truth, len(writer), shape, config, source)
        return _entry(path, raw.split)


def _remove_strangers(folder: Path, wanted: set[str]) -> None:
    """Removes clips of an earlier configuration, and drafts of an interrupted run."""
    for path in folder.glob("*.zip"):
        if path.name not in wanted:
            path.unlink()


def _origin(source: Path, truth: Path | None, config: DataConfig) -> str:
    """Returns a hash of everything that the prepared clip depends on."""
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


def _is_from(path: Path, origin: str) -> bool:
    if not path.is_file():
        return False
    try:
        with ClipFile(path) as clip:
            return clip.origin == origin
    except UserError:
        return False  # damaged: it is made again


def _entry(path: Path, split: SplitName) -> Entry:
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
