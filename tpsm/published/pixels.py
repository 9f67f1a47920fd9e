"""Checks whether published weights were trained on these clips, by a hash of the frames, whatever the encoder."""

from __future__ import annotations

import hashlib
from pathlib import Path

from tpsm.core.errors import UserError
from tpsm.data.clip import ClipFile
from tpsm.data.manifest import Manifest
from tpsm.published.card import Card


def hash_of_training_pixels(manifest: Manifest, clips: Path) -> str:
    """Returns the SHA-256 of the names and decoded frames of the training clips, which lie below `clips`."""
    digest = hashlib.sha256()
    for entry in sorted(manifest.clips("train"), key=lambda entry: entry.name):
        digest.update(f"{entry.name}\n".encode())
        with ClipFile(clips / entry.file) as clip:
            digest.update(clip.frames().tobytes())
    return digest.hexdigest()


def check_clips(card: Card, file: str, manifest: Manifest, clips: Path) -> None:
    """Raises UserError unless the training clips show what the card's did. Their files may differ, as encoders do."""
    if card.provenance["data"]["sha256"] != manifest.sha256 and card.pixels != hash_of_training_pixels(manifest, clips):
        raise UserError(
            f"{file} was trained on other clips than those in {clips}, such as another version of the set; train anew "
            "(`make train`) and publish (`tpsm publish`), or get the clips that the card is of."
        )
