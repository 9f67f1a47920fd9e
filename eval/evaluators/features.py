"""What the evaluators see: trained once, run over the real test clips once for all runs, and over generated clips."""

from __future__ import annotations

import hashlib
import json
import logging
import pickle
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, UInt8

from eval.config import EvalConfig, evaluator_key, read_config
from eval.evaluators import ROLES, IdentityEncoder, LandmarkDetector, Role, evaluator_module
from eval.evaluators.pretrained import Pretrained
from eval.metrics import Landmarks, Sequence
from eval.scoring.quality import identity_quality, landmark_quality
from tpsm.config.params import as_yaml
from tpsm.core.errors import UserError
from tpsm.core.files import atomic, sha256_of
from tpsm.core.layout import Layout, array_file
from tpsm.core.provenance import record, sha256_of_text
from tpsm.data.clip import ClipFile, Entry
from tpsm.jobs.map import Workers, map_clips
from tpsm.jobs.resume import code_hash

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
    return layout.networks / f"{role}.pt"


def train_evaluators(layout: Layout) -> None:
    """Writes `evaluators/<data set>/networks/{landmarks,identity}.pt` and `quality.json`, their accuracy on real test
    frames and what made them.

    A pretrained evaluator is not trained: what stands for it is the record of its weights, settings and packages.
    """
    began = time.monotonic()
    config, manifest = read_config(layout), layout.manifest()
    training = [layout.clips / entry.file for entry in manifest.clips("train")]
    test = [layout.clips / entry.file for entry in manifest.clips("test")]
    quality: dict[str, object] = {}
    measures: dict[Role, Callable] = {"landmarks": landmark_quality, "identity": identity_quality}
    seeds: dict[str, int] = {}
    layout.networks.mkdir(parents=True, exist_ok=True)
    for role in ROLES:
        section = config.evaluators[role]
        if section is None:
            weights(layout, role).unlink(missing_ok=True)
            log.info("%s is null: metrics that need it are skipped", evaluator_key(layout, role))
            continue
        module, settings = evaluator_module(role, section, evaluator_key(layout, role))
        evaluator = module.train(settings, training, evaluator_key(layout, role))
        evaluator.save(weights(layout, role))
        seeds |= {role: settings.seed} if hasattr(settings, "seed") else {}
        used = {"pretrained": evaluator.record} if isinstance(evaluator, Pretrained) else {}
        quality[role] = {"kind": settings.kind} | used | measures[role](evaluator, test)
    quality["provenance"] = record(
        began,
        parameters={"evaluators": sha256_of_text(as_yaml(config.evaluators))},
        data=manifest,
        evaluators={path.name: sha256_of(path) for path in sorted(layout.networks.glob("*.pt"))},
        precision="fp32",
        seed=seeds,
    )
    with atomic(layout.evaluators / "quality.json") as draft:
        draft.write_text(json.dumps(quality, indent=2, sort_keys=True) + "\n", encoding="utf-8")


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
    except (RuntimeError, KeyError, pickle.UnpicklingError) as error:
        raise UserError(
            f"{layout.relative(path)} does not fit {evaluator_key(layout, role)}; run "
            f"`python -m eval evaluators --dataset {layout.dataset}` again."
        ) from error


def compute_features(layout: Layout, workers: Workers = 1) -> None:
    """Writes `features/<data set>/<clip>.npz` for every test clip. Those of the same clip and evaluators are kept."""
    config = read_config(layout)
    entries = layout.manifest().clips("test")
    task = FeaturesOfClip(layout, evaluators_key(layout, config))
    _evaluators.cache_clear()
    _evaluators(layout, task.evaluators)  # changed weights are refused, also where all features are kept
    map_clips(task, entries, workers, "features of real clips")
    kept = {features_file(layout, entry.name) for entry in entries}
    for path in layout.features.glob("*.npz"):
        if path not in kept:
            path.unlink()


@dataclass(frozen=True)
class FeaturesOfClip:
    """A test clip -> its file, unless it is there from the same clip and `evaluators`, which is their key."""

    layout: Layout
    evaluators: str

    def __call__(self, entry: Entry) -> None:
        path, key = features_file(self.layout, entry.name), features_key(self.evaluators, entry)
        if _stored_key(path) != key:
            with ClipFile(self.layout.clips / entry.file) as clip:
                write_features(path, _evaluators(self.layout, self.evaluators)(clip.frames()), key)


@lru_cache(maxsize=1)
def _evaluators(layout: Layout, key: str) -> Evaluators:
    """Once a process, as long as they have the same `key`."""
    return load_evaluators(layout, read_config(layout))


def evaluators_key(layout: Layout, config: EvalConfig) -> str:
    """What decides features beside the frames: each evaluator's section, file and code, as JSON."""
    parts: dict[str, object] = {}
    for role in ROLES:
        if (section := config.evaluators[role]) is not None:
            parts[role] = [section, sha256_of(_found(layout, role)), code_hash("eval.evaluators")]
    return json.dumps(parts, sort_keys=True)


def features_key(evaluators: str, entry: Entry) -> str:
    """A hash of what decides a clip's features: its frames, and the evaluators by their key."""
    parts = {"clip": entry.sha256, **json.loads(evaluators)}
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
    path = features_file(layout, name)
    if not path.is_file():
        command = f"python -m eval features --dataset {layout.dataset}"
        raise UserError(f"There is no {layout.relative(path)}; run `{command}` first.")
    with np.load(path) as arrays, ClipFile(layout.test_clip(name)) as clip:
        landmarks = Landmarks(arrays["xy"], arrays["found"]) if "xy" in arrays else None
        embedding = arrays.get("embedding")
        return Sequence(clip.frames(), landmarks, embedding, clip.truth())


def features_file(layout: Layout, name: str) -> Path:
    return layout.features / array_file(name)
