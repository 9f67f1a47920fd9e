"""The stage evaluators: networks trained on the data set's training clips, and their quality."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

from eval.config import evaluator_key, read_config
from eval.evaluators import evaluator_module, is_trained
from eval.evaluators.features import weights
from eval.evaluators.pretrained import Pretrained
from eval.evaluators.published import published_evaluators, take
from eval.scoring.quality import identity_quality, landmark_quality
from eval.types import ROLES, Role
from tpsm.core.files import write_bytes, write_json
from tpsm.core.fingerprint import hashes_by_name, sha256_of_text
from tpsm.core.layout import Layout
from tpsm.core.provenance import record
from tpsm.core.schema import as_yaml
from tpsm.core.tensors import read_state_dict
from tpsm.data.manifest import read_manifest
from tpsm.published.card import FORMAT, Card
from tpsm.published.pixels import hash_of_training_pixels
from tpsm.published.weight_file import packed

log = logging.getLogger(__name__)


def train_evaluators(layout: Layout, *, fresh: bool = False) -> None:
    """Writes `evaluators/<data set>/networks/{landmarks,identity}.pt` and `quality.json`, their accuracy on real test
    frames and what made them.

    A pretrained evaluator is not trained: what stands for it is the record of its weights, settings and packages. A
    published one is taken. `fresh` trains the latter all the same, and writes all below `trained/<data set>/evaluators`
    instead, with the files that `tpsm publish` publishes.
    """
    began = time.monotonic()
    config, manifest = read_config(layout), read_manifest(layout.clips)
    training = [layout.clips / entry.file for entry in manifest.clips("train")]
    test = [layout.clips / entry.file for entry in manifest.clips("test")]
    taken = {} if fresh else published_evaluators(layout)
    if fresh:
        layout = replace(layout, to_publish=True)

    # One after the other: taken, or trained, and measured on the real test frames.
    cards: dict[Role, tuple[str, dict[str, Any]]] = {}
    quality: dict[str, Any] = {}
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
        if role in taken and is_trained(module, settings):
            evaluator = take(taken[role], module, settings, manifest, layout.clips, weights(layout, role))
        else:
            evaluator = module.train(settings, training, evaluator_key(layout, role))
            evaluator.save(weights(layout, role))
            if is_trained(module, settings):
                cards[role] = settings.kind, asdict(settings)
        seeds |= {role: settings.seed} if hasattr(settings, "seed") else {}
        used = {"pretrained": evaluator.record} if isinstance(evaluator, Pretrained) else {}
        quality[role] = {"kind": settings.kind} | used | measures[role](evaluator, test)

    # The record beside them.
    quality["provenance"] = record(
        began,
        parameters={"evaluators": sha256_of_text(as_yaml(config.evaluators))},
        data=manifest.about(),
        evaluators=hashes_by_name(sorted(layout.networks.glob("*.pt"))),
        precision="fp32",
        seed=seeds,
        outside=config.evaluators.kinds,
    )
    write_json(layout.evaluators / "quality.json", quality, indent=2, sort_keys=True)

    # The files that `tpsm publish` publishes.
    if fresh:
        pixels = hash_of_training_pixels(manifest, layout.clips)
        for role, (kind, recipe) in cards.items():
            card = Card(FORMAT, kind, role, layout.dataset, recipe["steps"], recipe, quality["provenance"], pixels)
            network = read_state_dict(weights(layout, role))
            for path, content in packed(layout.evaluators / f"{role}.safetensors", card, network).items():
                write_bytes(path, content)
