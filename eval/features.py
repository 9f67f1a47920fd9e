"""What the evaluators see: trained once, run over the real test clips once for all runs, and over generated clips."""

from __future__ import annotations

import hashlib
import json
import logging
import pickle
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, UInt8
from tqdm import tqdm

from eval.config import EvalConfig, evaluator_key, read_config
from eval.evaluators import ROLES, IdentityEncoder, LandmarkDetector, Role, evaluator_module
from eval.evaluators.pretrained import Pretrained
from eval.layout import Layout, array_file
from eval.metrics import Landmarks, Sequence
from eval.quality import identity_quality, landmark_quality
from tpsm.data.clipfile import ClipFile, Entry
from tpsm.errors import UserError
from tpsm.files import atomic, sha256_of

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Features:
    """What the evaluators read off one clip; None for a role without an evaluator."""

    landmarks: Landmarks | None
    embedding: Float32[np.ndarray, "t d"] | None


@dataclass(frozen=True)
class Evaluators:
    landmarks: LandmarkDetector | None
    identity: IdentityEncoder | None

    def __call__(self, frames: UInt8[np.ndarray, "t h w 3"]) -> Features:
        return Features(
            None if self.landmarks is None else self.landmarks(frames),
            None if self.identity is None else self.identity(frames),
        )

    def only(self, roles: Collection[str]) -> Evaluators:
        """Those of `roles`, as far as there are such."""
        return Evaluators(
            self.landmarks if "landmarks" in roles else None, self.identity if "identity" in roles else None
        )


def weights(layout: Layout, role: Role) -> Path:
    return layout.evaluators / f"{role}.pt"


def train_evaluators(layout: Layout) -> None:
    """Writes `evaluators/<data set>/{landmarks,identity}.pt` and `quality.json`, their accuracy on real test frames.

    A pretrained evaluator is not trained: what stands for it is the record of its weights, settings and packages.
    """
    config, manifest = read_config(layout), layout.manifest()
    training = [layout.clips / entry.file for entry in manifest.clips("train")]
    test = [layout.clips / entry.file for entry in manifest.clips("test")]
    quality: dict[str, object] = {}
    measures: dict[Role, Callable] = {"landmarks": landmark_quality, "identity": identity_quality}
    for role in ROLES:
        section = config.evaluators[role]
        if section is None:
            weights(layout, role).unlink(missing_ok=True)
            log.info("%s is null: metrics that need it are skipped", evaluator_key(layout, role))
            continue
        module, settings = evaluator_module(role, section, evaluator_key(layout, role))
        evaluator = module.train(settings, training, evaluator_key(layout, role))
        evaluator.save(weights(layout, role))
        used = {"pretrained": evaluator.record} if isinstance(evaluator, Pretrained) else {}
        quality[role] = {"kind": settings.kind} | used | measures[role](evaluator, test)
    with atomic(layout.evaluators / "quality.json") as draft:
        draft.write_text(json.dumps(quality, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def load_evaluators(layout: Layout, config: EvalConfig) -> Evaluators:
    return Evaluators(_load(layout, config, "landmarks"), _load(layout, config, "identity"))


def _load(layout: Layout, config: EvalConfig, role: Role) -> Any:
    section = config.evaluators[role]
    if section is None:
        return None
    path = weights(layout, role)
    if not path.is_file():
        raise UserError(
            f"There is no {layout.relative(path)}; run `python -m eval evaluators --dataset {layout.dataset}` first."
        )
    module, settings = evaluator_module(role, section, evaluator_key(layout, role))
    try:
        return module.load(settings, path)
    except (RuntimeError, KeyError, pickle.UnpicklingError) as error:
        raise UserError(
            f"{layout.relative(path)} does not fit {evaluator_key(layout, role)}; run "
            f"`python -m eval evaluators --dataset {layout.dataset}` again."
        ) from error


def compute_features(layout: Layout) -> None:
    """Writes `features/<data set>/<clip>.npz` for every test clip. Those of the same clip and evaluators are kept."""
    config = read_config(layout)
    evaluators = load_evaluators(layout, config)
    entries = layout.manifest().clips("test")
    kept = {_file(layout, entry.name) for entry in entries}
    for path in layout.features.glob("*.npz"):
        if path not in kept:
            path.unlink()
    for entry in tqdm(entries, desc="features of real clips", unit="clip"):
        path, key = _file(layout, entry.name), features_key(layout, config, entry)
        if _stored_key(path) != key:
            with ClipFile(layout.clips / entry.file) as clip:
                write_features(path, evaluators(clip.frames()), key)


def features_key(layout: Layout, config: EvalConfig, entry: Entry) -> str:
    """A hash of what decides a clip's features: its frames, and each evaluator's section and file."""
    parts: dict[str, object] = {"clip": entry.sha256}
    for role in ROLES:
        if (section := config.evaluators[role]) is not None:
            parts[role] = [section, sha256_of(weights(layout, role))]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _stored_key(path: Path) -> str | None:
    if not path.is_file():
        return None
    with np.load(path) as arrays:
        return str(arrays["key"]) if "key" in arrays else None


def write_features(path: Path, features: Features, key: str) -> None:
    arrays: dict[str, np.ndarray] = {"key": np.array(key)}
    if features.landmarks is not None:
        arrays |= {"xy": features.landmarks.xy, "found": features.landmarks.found}
    if features.embedding is not None:
        arrays["embedding"] = features.embedding
    with atomic(path) as draft:
        np.savez(draft, **arrays)  # type: ignore[arg-type]


def real_sequence(layout: Layout, name: str) -> Sequence:
    """A real test clip with its stored features and its ground truth.

    Raises:
        UserError: its features are missing.
    """
    path = _file(layout, name)
    if not path.is_file():
        command = f"python -m eval features --dataset {layout.dataset}"
        raise UserError(f"There is no {layout.relative(path)}; run `{command}` first.")
    with np.load(path) as arrays, ClipFile(layout.test_clip(name)) as clip:
        landmarks = Landmarks(arrays["xy"], arrays["found"]) if "xy" in arrays else None
        embedding = arrays.get("embedding")
        return Sequence(clip.frames(), landmarks, embedding, clip.truth())


def _file(layout: Layout, name: str) -> Path:
    return layout.features / array_file(name)
