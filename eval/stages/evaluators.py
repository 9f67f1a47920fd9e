"""The stage evaluators: networks trained on the data set's training clips, and their quality."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable

from eval.config import evaluator_key, read_config
from eval.evaluators import evaluator_module
from eval.evaluators.features import weights
from eval.evaluators.pretrained import Pretrained
from eval.scoring.quality import identity_quality, landmark_quality
from eval.types import ROLES, Role
from tpsm.core.files import atomic, sha256_of
from tpsm.core.fingerprint import sha256_of_text
from tpsm.core.layout import Layout
from tpsm.core.provenance import record
from tpsm.core.schema import as_yaml
from tpsm.data.manifest import read_manifest

log = logging.getLogger(__name__)


def train_evaluators(layout: Layout) -> None:
    """Writes `evaluators/<data set>/networks/{landmarks,identity}.pt` and `quality.json`, their accuracy on real test
    frames and what made them.

    A pretrained evaluator is not trained: what stands for it is the record of its weights, settings and packages.
    """
    began = time.monotonic()
    config, manifest = read_config(layout), read_manifest(layout.clips)
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
        data=manifest.about(),
        evaluators={path.name: sha256_of(path) for path in sorted(layout.networks.glob("*.pt"))},
        precision="fp32",
        seed=seeds,
    )
    with atomic(layout.evaluators / "quality.json") as draft:
        draft.write_text(json.dumps(quality, indent=2, sort_keys=True) + "\n", encoding="utf-8")
