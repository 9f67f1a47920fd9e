from dataclasses import dataclass, field
from typing import Any, Literal

import pytest

from tpsm.core.errors import UserError
from tpsm.core.schema import from_mapping


@dataclass(frozen=True)
class Inner:
    width: int = 8


@dataclass(frozen=True)
class Outer:
    name: str
    rate: float = 0.1
    kind: Literal["a", "b"] = "a"
    inner: Inner | None = Inner()
    sizes: tuple[int, ...] = ()
    free: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.rate <= 0:
            raise ValueError("rate: must be above 0")


def test_nested_sections_become_dataclasses() -> None:
    built = from_mapping(
        Outer, {"name": "x", "rate": 1, "inner": {"width": 3}, "sizes": [1, 2], "free": {"k": [1]}}, "p"
    )
    assert built == Outer("x", 1.0, "a", Inner(3), (1, 2), {"k": [1]})
    assert from_mapping(Outer, {"name": "x", "inner": None}, "p").inner is None


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "p.name is missing"),
        ({"name": "x", "rats": 1}, "Unknown key p.rats"),
        ({"name": 3}, "p.name must be of type str, not 3"),
        ({"name": "x", "inner": {"wdith": 1}}, "Unknown key p.inner.wdith"),
        ({"name": "x", "inner": {"width": True}}, "p.inner.width must be of type int"),
        ({"name": "x", "kind": "c"}, "p.kind is 'c'; choose one of a, b"),
        ({"name": "x", "rate": -1}, "p.rate: must be above 0"),
        ({"name": "x", "sizes": [1, "2"]}, r"p.sizes\[1\] must be of type int"),
        ({"name": "x", "inner": 3}, "p.inner must be a section"),
    ],
)
def test_what_is_wrong_is_named(values: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        from_mapping(Outer, values, "p")
