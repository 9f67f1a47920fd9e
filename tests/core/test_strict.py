from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import pytest
from annotated_types import MaxLen, MinLen

from tpsm.core.errors import UserError
from tpsm.core.schema import NotNegative, Width, checked, from_mapping


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
        ({"name": "x", "within": {}}, "p.within: must be at least 1 long"),
        ({"name": "x", "within": {1: {}}}, r"p.within\[1\] must be of type str"),
        ({"name": "x", "sizes": [1, 2, 3]}, "p.sizes: must be at most 2 long"),
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
