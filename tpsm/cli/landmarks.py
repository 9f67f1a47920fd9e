"""Finds the landmark detector of a data set for the best driving frame: params.yaml says which, `eval` has it."""

from __future__ import annotations

import logging
from pathlib import Path

from eval.config import EvalConfig, evaluator_key
from eval.evaluators import LandmarkDetector, evaluator_module, is_trained
from tpsm.config.params import data_section, read_params
from tpsm.core.errors import UserError
from tpsm.core.layout import Layout
from tpsm.core.schema import from_mapping

log = logging.getLogger(__name__)

PARAMS = Path("params.yaml")


def landmark_detector(dataset: str) -> LandmarkDetector | None:
    """Returns the detector that `evaluation.<dataset>.evaluators.landmarks` names; None where there is none here, and
    the log says why."""
    # The section of params.yaml.
    params = read_params(PARAMS) if PARAMS.is_file() else None
    if params is None or dataset not in params.evaluation:
        return None
    layout = Layout(dataset)
    config = from_mapping(EvalConfig, params.evaluation[dataset], f"{PARAMS}.evaluation.{dataset}")
    if config.evaluators.landmarks is None:
        return None

    # It needs no training, or its weights were trained here or are published.
    module, settings = evaluator_module("landmarks", config.evaluators.landmarks, evaluator_key(layout, "landmarks"))
    published = data_section(params, dataset).evaluators
    places = [layout.networks / "landmarks.pt", *([Path(published) / "landmarks.safetensors"] if published else [])]
    try:
        if not is_trained(module, settings):
            return module.train(settings, (), "landmarks")
        for path in filter(Path.is_file, places):
            return module.load(settings, path)
    except UserError as error:
        log.info("%s Until then landmarks do not say which frame is best.", error)
    return None
