"""Unpacks the clips, and nothing else, of archives (zip, tar, parts of one, folders) into `data/raw`."""

from __future__ import annotations

import logging
import lzma
import os
import re
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from tqdm import tqdm

from tpsm.core.errors import UserError
from tpsm.core.files import sha256_of
from tpsm.core.fingerprint import sha256_of_text
from tpsm.core.reading import require_file
from tpsm.data.config import SPLITS
from tpsm.data.still import read_image
from tpsm.data.video import ANIMATIONS, PICTURES, VIDEOS, is_picture, iter_video, natural
from tpsm.downloads.http import bar
from tpsm.sources.fetch.archive_members import Member, members_of
from tpsm.sources.fetch.downloaders import Access, Failure, download, is_url
from tpsm.sources.fetch.ledger import Key, Ledger, Outcome, opened, refuse_strangers

log = logging.getLogger(__name__)

WHOLE = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".tbz", ".xz", ".txz")
DRAFTS = ".extract"
CLIP_JSON = "clip.json"  # the frame rate of a folder of frames
_DAMAGED = (tarfile.TarError, zipfile.BadZipFile, EOFError, zlib.error, lzma.LZMAError, RuntimeError, OSError)


class Damaged(UserError):
    """Says that a file is no archive, or not a whole one."""


@dataclass(frozen=True)
class Place:
    """Where a file goes, and the clip that it is or belongs to; both relative to the set's folder."""

    key: Key
    clip: Path
    file: Path


@dataclass(frozen=True)
class Limits:
    """How many clips are checked at a time, which outcomes are tried again, whether downloads stay in the cache, and
    the most that may be unpacked."""

    jobs: int = 4
    retry: frozenset[Outcome] = frozenset()
    keep: bool = False
    max_bytes: int = 1 << 40
    max_files: int = 20_000_000


def fetch_archives(
    dataset: str,
    archives: Sequence[str],
    sha256: Sequence[str],
    folder: Path,
    cache: Path,
    access: Access,
    limits: Limits,
) -> str:
    """Unpacks the clips in `archives` into `folder`, in the split whose name is in their path, and returns a summary.

    Archives are files, folders or addresses; the parts of one may come in any order. `sha256` has the hash of each, or
    is empty. Every clip is decoded once, so that a damaged file shows now, and not in the middle of `tpsm prepare`. An
    archive that was unpacked is not downloaded again, and a clip with an outcome is not written again.

    Raises:
        UserError: an archive cannot be got or read, has another hash, or holds what no archive of clips does.
    """
    if sha256 and len(sha256) != len(archives):
        raise UserError(
            f"--sha256 is given {len(sha256)} times and --archive {len(archives)} times; give one for each."
        )
    refuse_strangers(folder)
    hashes = dict(zip(archives, sha256, strict=False))
    with opened(folder / "ledger.csv") as ledger, opened(folder / "archives.csv") as finished:
        shutil.rmtree(folder / DRAFTS, ignore_errors=True)
        log.info("fetch %s: %d archives; clips -> %s, outcomes -> %s", dataset, len(archives), folder, ledger.path)
        for group in groups(archives):
            # The archive, unless it was unpacked before.
            key = Key("", group[0])
            if key in finished and not limits.retry:
                log.info("%s was unpacked before; %s says so", group[0], finished.path)
                continue

            # Its clips. A download that is damaged is not kept.
            files = [_local(archive, cache, access, hashes.get(archive)) for archive in group]
            try:
                _unpack(files, folder, ledger, limits)
            except Damaged:
                for archive, file in zip(group, files, strict=True):
                    if is_url(archive) and not hashes.get(archive):  # one of the right hash would come the same again
                        file.unlink()
                raise

            # The record that it is done, after which a download is needed no more.
            finished.record(key, "", Outcome.ok, " ".join(hashes.get(archive, "") for archive in group))
            if not limits.keep:
                for archive, file in zip(group, files, strict=True):
                    if is_url(archive):
                        file.unlink()
        return f"{ledger.summary(ledger.keys())}\n-> {ledger.path}"


def groups(archives: Sequence[str]) -> list[list[str]]:
    """Puts the parts of one archive together and in order: their names are equal but for what follows the last dot."""
    together: dict[str, list[str]] = {}
    for archive in archives:
        path = PurePosixPath(_base(archive))
        stem = archive if path.suffix.lower() in (*WHOLE, "") or Path(archive).is_dir() else path.stem
        together.setdefault(stem, []).append(archive)
    return [sorted(group, key=lambda archive: natural(Path(_base(archive)))) for group in together.values()]


def _base(archive: str) -> str:
    return PurePosixPath(unquote(urlsplit(archive).path) if is_url(archive) else archive).name


def _local(archive: str, cache: Path, access: Access, sha256: str | None) -> Path:
    """Returns the archive as a file or folder on this machine, with the hash `sha256`, if there is one."""
    # A download, unless it is in the cache.
    path = Path(archive)
    if is_url(archive):
        path = cache / f"{sha256_of_text(archive)[:8]}-{_base(archive) or 'archive'}"
        if not path.is_file():
            try:
                with bar(_base(archive)) as progress:
                    download(archive, path, access, progress)
            except Failure as failure:
                raise UserError(
                    f"{archive} cannot be had ({failure.outcome.value}: {failure.detail}); "
                    "type the same command later, or bring the file and give its path."
                ) from failure

    # Whether it is what was meant.
    if not path.exists():
        raise UserError(f"There is no archive {path}; correct --archive.")
    if not path.is_dir():
        require_file(path, "archive")
    if sha256 and (not path.is_file() or sha256_of(path) != sha256.lower()):
        if is_url(archive):
            path.unlink()
        raise UserError(f"{archive} is not the archive that --sha256 names, {sha256}; get it from elsewhere.")
    return path


def _unpack(files: Sequence[Path], folder: Path, ledger: Ledger, limits: Limits) -> None:
    """Extracts, checks and records the clips of an archive, all members of which are looked at first."""
    # The files of the clips that have no outcome yet, into a folder of drafts.
    name, drafts = str(files[0]), folder / DRAFTS
    try:
        with members_of(files) as archive:
            members = [member for member, _ in archive]
        _check(name, members, folder, limits)
        places = _places(members)
        if not places:
            raise UserError(f"{name} holds no clips: no videos, GIFs, strips or folders of images.")
        clips = {}
        for place in places.values():
            if place.key.copy > 1:
                if place.key not in ledger:
                    ledger.record(place.key, "", Outcome.duplicate)
            elif place.key not in ledger or ledger[place.key] in limits.retry:
                clips[place.clip] = place.key
        _extract(files, {name: place for name, place in places.items() if clips.get(place.clip) == place.key}, drafts)
    except _DAMAGED as error:
        ours = isinstance(error, RuntimeError) or getattr(error, "errno", None)  # a password, the disk
        kind = UserError if ours else Damaged
        raise kind(f"{name} cannot be unpacked to {folder} ({error}); get it again, or make room.") from error

    # Clips that can be decoded move to their places.
    with (
        ThreadPoolExecutor(limits.jobs) as pool,
        tqdm(total=len(clips), desc="check clips", unit="clip", disable=None) as shown,
    ):
        try:
            for clip, (outcome, detail) in zip(
                clips, pool.map(_checked, [drafts / clip for clip in clips]), strict=True
            ):
                if outcome is Outcome.ok:
                    _move(drafts / clip, folder / clip)
                ledger.record(clips[clip], "", outcome, detail)
                shown.update()
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    shutil.rmtree(drafts, ignore_errors=True)


def _check(name: str, members: Sequence[Member], folder: Path, limits: Limits) -> None:
    """Raises UserError where an archive would write elsewhere, or more than there may be or room for."""
    for member in members:
        path = PurePosixPath(member.name)
        if path.is_absolute() or ".." in path.parts or re.search(r"[\\\0]|^\w:", member.name):
            raise UserError(f"{name} holds {member.name!r}, which would be written elsewhere: it is not to be trusted.")
        if _belongs(path) and not member.name.isprintable():  # it would name a clip, in the ledger and everywhere else
            raise UserError(f"{name} holds {member.name!r}, which is no plain text; pack it anew with names in UTF-8.")
        if not member.plain:
            raise UserError(f"{name} holds {member.name!r}, a link or a device: it is not to be trusted.")
    total = sum(member.size for member in members)
    if total > limits.max_bytes or len(members) > limits.max_files:
        raise UserError(f"{name} unpacks to {total / 1e9:,.1f} GB in {len(members):,} files; raise --max-gb if it may.")
    if total > (free := shutil.disk_usage(folder).free):
        raise UserError(
            f"{name} unpacks to {total / 1e9:,.1f} GB, but {folder} has {free / 1e9:,.1f} GB left; make room."
        )


def _places(members: Sequence[Member]) -> dict[str, Place]:
    """Says where each file of a clip goes: below the split that its path names, or side by side where none names one.

    An image in a folder is a frame, and the folder the clip. Other files are left out.
    """
    paths = [path for member in members if _belongs(path := PurePosixPath(member.name))]
    below = {path: _below_split(path) for path in paths}
    if not any(split for split, _ in below.values()):
        shared = len(PurePosixPath(os.path.commonpath([str(path.parent) for path in paths] or [""])).parts)
        below = {path: ("", path.parts[shared:]) for path in paths}
    pictured = {path.parent for path in paths if path.name != CLIP_JSON}
    copies: dict[tuple[str, str], int] = {}
    keys: dict[PurePosixPath, Key] = {}
    places = {}
    for path, (split, parts) in below.items():
        if not parts or path.parent not in pictured:
            continue
        framed = len(parts) > 1 and (is_picture(Path(path.name)) or path.name == CLIP_JSON)
        source, clip = (path.parent, parts[-2]) if framed else (path, parts[-1])
        name = clip if framed else PurePosixPath(clip).stem
        if source not in keys:
            copies[split, name] = copies.get((split, name), 0) + 1
            keys[source] = Key(split, name, copies[split, name])
        places[str(path)] = Place(keys[source], Path(split, clip), Path(split, *parts[-2:] if framed else (clip,)))
    return places


def _belongs(path: PurePosixPath) -> bool:
    hidden = any(part.startswith((".", "__MACOSX")) for part in path.parts)
    return not hidden and (path.suffix.lower() in (*PICTURES, *VIDEOS, *ANIMATIONS) or path.name == CLIP_JSON)


def _below_split(path: PurePosixPath) -> tuple[str, tuple[str, ...]]:
    """Returns the split that the path names, and what follows; both are empty where it names none."""
    at = next((i for i, part in enumerate(path.parts[:-1]) if part in SPLITS), None)
    return ("", ()) if at is None else (path.parts[at], path.parts[at + 1 :])


def _extract(files: Sequence[Path], places: dict[str, Place], drafts: Path) -> None:
    left = dict(places)
    with (
        members_of(files) as archive,
        tqdm(total=len(left), desc=f"unpack {files[0].name}", unit="file", disable=None) as shown,
    ):
        for member, content in archive:
            if place := left.pop(str(PurePosixPath(member.name)), None):  # of files of one name the first
                target = drafts / place.file
                target.parent.mkdir(parents=True, exist_ok=True)
                with content() as source, target.open("wb") as written:
                    shutil.copyfileobj(source, written, 1 << 20)
                shown.update()


def _checked(clip: Path) -> tuple[Outcome, str]:
    try:
        if clip.is_file() and is_picture(clip):  # a strip: how wide its frames are is said in params.yaml
            read_image(clip)
        elif sum(1 for _ in iter_video(clip)[0]) < 2:
            return Outcome.short, "it has a single frame"
    except UserError as error:
        return Outcome.undecodable, str(error).replace(str(clip), clip.name)
    return Outcome.ok, ""


def _move(draft: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.is_dir():  # killed between the clip and its record
        shutil.rmtree(target)
    os.replace(draft, target)
