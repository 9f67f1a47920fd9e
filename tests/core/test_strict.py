from dataclasses import dataclass, field, fields, is_dataclass
from typing import Annotated, Any, Literal, get_args, get_type_hints

import pytest
from annotated_types import Le, Lt, MaxLen, MinLen

from eval.config import EvalConfig
from eval.evaluators import KINDS, dlib68, dlib_face, fan, heatmap, osnet, rtmpose
from tpsm.config.sections import AvdRun, RunConfig
from tpsm.core.animation import AnimateConfig
from tpsm.core.errors import UserError
from tpsm.core.schema import NotNegative, Width, checked, from_mapping
from tpsm.data.config import DataConfig
from tpsm.methods import METHODS, method_module


@checked
@dataclass(frozen=True)
class Inner:
    width: Width = 8
    half: int = 4

    def __post_init__(self) -> None:
        if self.half > self.width:
            raise ValueError("half: must not be more than width")


@dataclass(frozen=True)
class Outer:
    name: str
    rate: NotNegative = 0.1
    kind: Literal["a", "b"] = "a"
    inner: Inner | None = Inner()
    sizes: Annotated[tuple[int, ...], MaxLen(2)] = ()
    square: tuple[int, int] = (0, 0)
    within: Annotated[dict[str, Inner], MinLen(1)] = field(default_factory=dict)
    free: dict[str, Any] = field(default_factory=dict)


def test_nested_sections_become_dataclasses() -> None:
    built = from_mapping(
        Outer,
        {"name": "x", "rate": 1, "inner": {"width": 5}, "sizes": [1, 2], "within": {"a": None}, "free": {"k": [1]}},
        "p",
    )
    assert built == Outer("x", 1.0, "a", Inner(5), (1, 2), (0, 0), {"a": Inner()}, {"k": [1]})
    assert type(built.rate) is float and type(built.inner) is Inner
    assert from_mapping(Outer, {"name": "x", "inner": None}, "p").inner is None


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "p.name is missing"),
        ({"name": "x", "rats": 1}, "Unknown key p.rats"),
        ({"name": 3}, "p.name must be of type str, not 3"),
        ({"name": "x", "inner": {"wdith": 1}}, "Unknown key p.inner.wdith"),
        ({"name": "x", "inner": {"width": True}}, "p.inner.width must be of type int"),
        ({"name": "x", "kind": "c"}, "p.kind is 'c'; choose 'a' or 'b'"),
        ({"name": "x", "rate": -1}, "p.rate: must be at least 0, not -1"),
        ({"name": "x", "rate": True}, "p.rate must be of type float, not True"),
        ({"name": "x", "rate": "1"}, "p.rate must be of type float, not '1'"),
        ({"name": "x", "rate": float("inf")}, "p.rate is inf; it must be a finite number"),
        ({"name": "x", "rate": 10**400}, "p.rate is 1.*; it must be a finite number"),
        ({"nmae": "x"}, r"Unknown key p.nmae; p knows free, inner, kind, name, .*"),
        ({"name": "x", "inner": {"width": 0}}, "p.inner.width: must be at least 1, not 0"),
        ({"name": "x", "inner": {"width": 2**64}}, "p.inner.width: must be at most 65536"),
        ({"name": "x", "inner": {"width": 2.0}}, "p.inner.width must be of type int, not 2.0"),
        ({"name": "x", "inner": {"half": 9}}, "p.inner.half: must not be more than width"),
        ({"name": "x", "within": {"a": {"widht": 1}}}, "Unknown key p.within.a.widht; p.within.a knows half, width"),
        ({"name": "x", "within": {}}, "p.within: must be a list of at least 1"),
        ({"name": "x", "within": {1: {}}}, r"p.within\[1\] must be of type str"),
        ({"name": "x", "sizes": [1, 2, 3]}, "p.sizes: must be a list of at most 2"),
        ({"name": "x", "sizes": 1}, "p.sizes must be a list, not 1"),
        ({"name": "x", "square": [1]}, r"p.square\[1\] is missing"),
        ({"name": "x", "free": None}, "p.free must be a section"),
        ({"name": "x", "sizes": [1, "2"]}, r"p.sizes\[1\] must be of type int"),
        ({"name": "x", "inner": 3}, "p.inner must be a section"),
    ],
)
def test_what_is_wrong_is_named(values: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        from_mapping(Outer, values, "p")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"width": 0}, "^width: must be at least 1, not 0$"),
        ({"half": 9}, "^half: must not be more"),
        ({"widht": 1}, "^widht: "),
    ],
)
def test_what_is_made_in_python_is_checked_too(values: dict[str, Any], message: str) -> None:
    assert Inner(9, half=8) == from_mapping(Inner, {"width": 9, "half": 8}, "p")
    with pytest.raises(ValueError, match=message):
        Inner(**values)


def without_most(hint: Any, name: str) -> list[str]:
    """The whole numbers in a type that have no upper bound, by the path of their field."""
    if is_dataclass(hint):
        hints = get_type_hints(hint, include_extras=True)
        return [lacks for field in fields(hint) for lacks in without_most(hints[field.name], f"{name}.{field.name}")]
    bounds = getattr(hint, "__metadata__", ())
    if hint is int or (bounds and get_args(hint)[0] is int):
        return [] if any(isinstance(bound, (Le, Lt)) for bound in bounds) else [name]
    return [lacks for part in get_args(hint) for lacks in without_most(part, name)]


def test_every_whole_number_of_params_yaml_has_an_upper_bound() -> None:
    kinds = [dlib68, dlib_face, fan, heatmap, osnet, rtmpose]
    assert {kind.__name__ for kind in kinds} == {name for role in KINDS.values() for name in role.values()}
    models = [module.Config for module in (*map(method_module, METHODS), *kinds)]
    assert without_most(Outer, "p") == ["p.inner.half", "p.sizes", "p.square", "p.square", "p.within.half"]
    for config in (AnimateConfig, AvdRun, DataConfig, EvalConfig, RunConfig, *models):
        assert not without_most(config, config.__module__)
