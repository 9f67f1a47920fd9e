"""No whole number of params.yaml can be so large that a computation overflows or hangs."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any, get_args, get_type_hints

from annotated_types import Le, Lt

from eval.config import EvalConfig
from eval.evaluators import KINDS, dlib68, dlib_face, fan, heatmap, osnet, rtmpose
from tpsm.config.sections import AvdRun, RunConfig
from tpsm.core.animation import AnimateConfig
from tpsm.core.schema import Width
from tpsm.data.config import DataConfig
from tpsm.methods import METHODS, method_module


def without_most(hint: Any, name: str) -> list[str]:
    """The whole numbers in a type that have no upper bound, by the path of their field."""
    if is_dataclass(hint):
        hints = get_type_hints(hint, include_extras=True)
        return [lacks for field in fields(hint) for lacks in without_most(hints[field.name], f"{name}.{field.name}")]
    bounds = getattr(hint, "__metadata__", ())
    if hint is int or (bounds and get_args(hint)[0] is int):
        return [] if any(isinstance(bound, (Le, Lt)) for bound in bounds) else [name]
    parts = get_args(hint)[:1] if bounds else get_args(hint)  # the bounds of a list are no types
    return [lacks for part in parts for lacks in without_most(part, name)]


def test_every_whole_number_of_params_yaml_has_an_upper_bound() -> None:
    kinds = [dlib68, dlib_face, fan, heatmap, osnet, rtmpose]
    assert {kind.__name__ for kind in kinds} == {name for role in KINDS.values() for name in role.values()}
    models = [module.Config for module in (*map(method_module, METHODS), *kinds)]
    assert without_most(tuple[int, Width] | dict[str, int | None], "p") == ["p", "p"]
    for config in (AnimateConfig, AvdRun, DataConfig, EvalConfig, RunConfig, *models):
        assert not without_most(config, config.__module__)
