"""What the evaluators see: trained once, run over the real test clips once for all runs, and over generated clips."""

from __future__ import annotations

import json
from collections.abc import Collection
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from eval.config import EvalConfig, evaluator_key
from eval.evaluators import IdentityEncoder, LandmarkDetector, evaluator_module, is_trained
from eval.types import ROLES, Features, Landmarks, Role, ScoredClip, pieces
from tpsm.core.errors import UserError
from tpsm.core.files import atomic, sha256_of
from tpsm.core.fingerprint import code_hash, outside_parts, sha256_of_text
from tpsm.core.layout import Layout, array_file
from tpsm.data.arrays import opened_arrays
from tpsm.data.clip import ClipFile
from tpsm.data.manifest import Entry


@dataclass(frozen=True)
class Evaluators:
    landmarks: LandmarkDetector | None
    identity: IdentityEncoder | None

    def __call__(self, frames: UInt8[np.ndarray, "t h w 3"]) -> Features:
        return Features(
            None if self.landmarks is None else self.landmarks(frames),
            None if self.identity is None else self.identity(frames),
        )

    def of_clip(self, clip: ClipFile) -> Features:
        """What they find in all frames of a clip, some of which are in memory at a time."""
        return Features.joined([self(clip.frames(some.start, some.stop)) for some in pieces(len(clip))])

    def only(self, roles: Collection[str]) -> Evaluators:
        """Those of `roles`, as far as there are such."""
        return Evaluators(
            self.landmarks if "landmarks" in roles else None, self.identity if "identity" in roles else None
        )


def weights(layout: Layout, role: Role) -> Path:
    return layout.networks / f"{role}.pt"


def _found(layout: Layout, role: Role) -> Path:
    path = weights(layout, role)
    if not path.is_file():
        raise UserError(
            f"There is no {layout.relative(path)}; run `python -m eval evaluators --dataset {layout.dataset}` first."
        )
    return path


def load_evaluators(layout: Layout, config: EvalConfig) -> Evaluators:
    return Evaluators(_load(layout, config, "landmarks"), _load(layout, config, "identity"))


def _load(layout: Layout, config: EvalConfig, role: Role) -> Any:
    section = config.evaluators[role]
    if section is None:
        return None
    path = _found(layout, role)
    module, settings = evaluator_module(role, section, evaluator_key(layout, role))
    try:
        return module.load(settings, path)
    except UserError as error:
        if not is_trained(module, settings):
            raise
        raise UserError(
            f"{layout.relative(path)} does not fit {evaluator_key(layout, role)} ({str(error).rstrip('.')}); run "
            f"`python -m eval evaluators --dataset {layout.dataset}` again."
        ) from error


def evaluators_key(layout: Layout, config: EvalConfig) -> str:
    """What decides features beside the frames: each evaluator's section, file and code, as JSON."""
    parts: dict[str, object] = {}
    for role in ROLES:
        if (section := config.evaluators[role]) is not None:
            own = [part.sha256 for part in outside_parts([section["kind"]]).values()]
            parts[role] = [section, sha256_of(_found(layout, role)), code_hash("eval.evaluators"), *own]
    return json.dumps(parts, sort_keys=True)


def features_key(evaluators: str, entry: Entry) -> str:
    """A hash of what decides a clip's features: its frames, and the evaluators by their key."""
    parts = {"clip": entry.sha256, **json.loads(evaluators)}
    return sha256_of_text(json.dumps(parts, sort_keys=True))


def write_features(path: Path, features: Features, key: str) -> None:
    arrays: dict[str, np.ndarray] = {"key": np.array(key)}
    if features.landmarks is not None:
        arrays |= {"xy": features.landmarks.xy, "found": features.landmarks.found}
    if features.embedding is not None:
        arrays["embedding"] = features.embedding
    with atomic(path) as draft:
        np.savez(draft, **arrays)  # type: ignore[arg-type]


class RealClip:
    """A real test clip with its stored features and its ground truth. Its frames are read as they are asked for.

    Raises:
        UserError: its features are missing, or a file is damaged.
    """

    def __init__(self, layout: Layout, name: str) -> None:
        path = features_file(layout, name)
        if not path.is_file():
            command = f"python -m eval features --dataset {layout.dataset}"
            raise UserError(f"There is no {layout.relative(path)}; run `{command}` first.")
        again = f"remove it, and run `python -m eval features --dataset {layout.dataset}` again"
        with opened_arrays(path, again) as arrays:
            self._landmarks = Landmarks(arrays["xy"], arrays["found"]) if "xy" in arrays else None
            self._embedding = arrays.get("embedding")
        with ExitStack() as opened:
            self._clip = opened.enter_context(ClipFile(layout.test_clip(name)))
            self._truth = self._clip.truth()
            opened.pop_all()  # it stays open

    def __len__(self) -> int:
        return len(self._clip)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width, in pixels."""
        return self._clip.height, self._clip.width

    def has(self, role: Role) -> bool:
        """Whether an evaluator of this role has seen it."""
        return {"landmarks": self._landmarks, "identity": self._embedding}[role] is not None

    def part(self, frames: slice) -> ScoredClip:
        """Returns these frames, with all that is known of them."""
        joints = self._landmarks
        return ScoredClip(
            self._clip.frames(frames.start, frames.stop),
            None if joints is None else Landmarks(joints.xy[frames], joints.found[frames]),
            None if self._embedding is None else self._embedding[frames],
            None if self._truth is None else self._truth.part(frames),
        )

    def close(self) -> None:
        """Closes the clip's file."""
        self._clip.close()


def features_file(layout: Layout, name: str) -> Path:
    return layout.features / array_file(name)
