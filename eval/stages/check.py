"""The second half of the stage configure: the section `evaluation` of params.yaml, checked before anything runs."""

from __future__ import annotations

import logging
from collections.abc import Set
from pathlib import Path

from eval.config import EvalConfig, config_key, evaluator_key, read_config
from eval.evaluators import evaluator_module, is_trained
from eval.evaluators.published import check_card, published_evaluators
from eval.metrics import available_metrics
from eval.tables.published import read_published
from eval.types import ROLES
from eval.weights import locate
from tpsm.core.animation import read_animate
from tpsm.core.errors import UserError
from tpsm.core.layout import Layout

log = logging.getLogger(__name__)


def check(root: Path) -> list[str]:
    """The data sets under `configs/` whose evaluation section, and that of every evaluator, is in order.

    Raises:
        UserError: the first key that is wrong, or the first file of weights that is not there. Rows of runs that the
            data set does not train are only told: they will say n/a.
    """
    datasets = sorted(path.parent.name for path in (root / "configs").glob("*/runs"))
    for dataset in datasets:
        layout = Layout(dataset, root)
        config = read_config(layout)
        for role in ROLES:
            if (section := config.evaluators[role]) is not None:
                module, settings = evaluator_module(role, section, evaluator_key(layout, role))
                for name in getattr(module, "NEEDS", ()):
                    locate(name, Path(settings.weights))
                getattr(module, "check", lambda _: None)(settings)
                if role in (taken := published_evaluators(layout)) and is_trained(module, settings):
                    check_card(taken[role], module, settings)
        available_metrics(config.metrics)
        trained = {path.stem for path in (layout.config.parent / "runs").glob("*.yaml")}
        check_tables(layout, config, trained)
        check_published(layout, config, trained)
    return datasets


def check_tables(layout: Layout, config: EvalConfig, trained: Set[str]) -> None:
    key = f"{config_key(layout)}.tables"
    for run in config.tables.runs():
        if run not in trained:
            log.warning("%s names the run '%s', which `runs` does not train: its cells will say n/a.", key, run)
    animated = read_animate(layout).runs
    for run in config.tables.animation:
        if run in trained and run not in animated:
            log.warning("%s.animation names '%s', which is not among `animate.runs`: its cells will say n/a.", key, run)


def check_published(layout: Layout, config: EvalConfig, trained: Set[str]) -> None:
    key = f"{config_key(layout)}.published"
    published = None if config.published is None else read_published(config.published, key)
    for run, row in config.published_as.items():
        if run not in trained:
            log.warning("%s_as names the run '%s', which `runs` does not train.", key, run)
        if published is None:
            raise UserError(f"{key}_as needs {key}; name a set there, or leave both out.")
        if row not in published.rows:
            raise UserError(f"{key}_as.{run} is '{row}'; choose one of {', '.join(published.rows)}.")
