"""Turns plain mappings, as YAML and JSON give them, into frozen dataclasses, and refuses by name what does not fit.

A field's type says what it may be: `Width`, or `Annotated[int, Ge(1), Le(100)]`. What concerns several fields, a
dataclass checks in `__post_init__` by raising `ValueError("<field>: <what is wrong>")`.
"""

from __future__ import annotations

import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, is_dataclass
from functools import cache, partial
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import yaml
from annotated_types import Ge, Gt, Le, Lt

from tpsm.core.errors import UserError

if TYPE_CHECKING:  # pydantic takes longer to load than all else that a command line needs.
    from pydantic_core import SchemaValidator, ValidationError

T = TypeVar("T")
WIDEST, DEEPEST, LARGEST, MOST = 65_536, 64, 16_384, 1_000_000
"""The most channels, keypoints or regions; the most blocks after one another; the most pixels of an image's side; and
the most of all else that is counted."""

Width = Annotated[int, Ge(1), Le(WIDEST)]
Depth = Annotated[int, Ge(1), Le(DEEPEST)]
Side = Annotated[int, Ge(1), Le(LARGEST)]
Count = Annotated[int, Ge(1), Le(MOST)]
Whole = Annotated[int, Ge(0), Le(MOST)]
Step = Annotated[int, Ge(0), Lt(2**53)]
Seed = Annotated[int, Ge(0), Lt(2**32)]
Share = Annotated[float, Ge(0), Lt(1)]
Positive = Annotated[float, Gt(0)]
NotNegative = Annotated[float, Ge(0)]

_BOUNDS = {
    "greater_than_equal": "at least {ge}",
    "greater_than": "above {gt}",
    "less_than_equal": "at most {le}",
    "less_than": "below {lt}",
    "multiple_of": "a multiple of {multiple_of}",
    "too_short": "at least {min_length} long",
    "too_long": "at most {max_length} long",
}
_KINDS = {
    "int_type": "of type int",
    "float_type": "of type float",
    "bool_type": "of type bool",
    "string_type": "of type str",
    "is_instance_of": "of type {class}",
    "tuple_type": "a list",
    "dict_type": "a section of keys and values",
    "dataclass_type": "a section of keys and values",
}


def from_mapping(kind: type[T], values: Any, where: str) -> T:
    """An instance of the dataclass `kind` from the section `values` (null is an empty one).

    Nothing is converted but whole numbers to floats and lists to tuples.

    Raises:
        UserError: a key is unknown or missing, or a value is not what its field may be. `where` is the section's path
            in the file, for the message.
    """
    result: T = typed(kind, values, where)
    return result


def typed(kind: Any, values: Any, where: str) -> Any:
    """Returns `values` as an instance of any type, such as `dict[str, str]`.

    Raises:
        UserError: as `from_mapping`.
    """
    from pydantic_core import ValidationError

    try:
        return _validator(kind).validate_python(values)
    except ValidationError as error:
        raise UserError(f"{_what_is_wrong(error, where)}.") from None


def checked(kind: type[T]) -> type[T]:
    """For a dataclass whose fields have bounds: they hold for one made in Python too, or it raises a ValueError."""

    def __init__(self: T, *values: Any, **named: Any) -> None:
        from pydantic_core import ArgsKwargs, ValidationError

        try:
            arguments = ArgsKwargs(values, named)
            _validator(kind).validate_python(arguments, self_instance=self)  # type: ignore[arg-type]
        except ValidationError as error:
            raise ValueError(_what_is_wrong(error)) from None

    kind.__init__ = __init__  # type: ignore[assignment,method-assign,misc]
    return kind


@cache
def _validator(kind: Any) -> SchemaValidator:
    from pydantic import TypeAdapter
    from pydantic_core import SchemaValidator

    return SchemaValidator(_exact(TypeAdapter(kind).core_schema))


def _exact(schema: Any) -> Any:
    """pydantic's schema without its conversions. Its own strict mode would refuse lists and sections, too."""
    if isinstance(schema, list):
        return [_exact(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    schema = {key: _exact(value) for key, value in schema.items()}
    match schema.get("type"):
        case "int" | "bool" | "str":
            schema["strict"] = True
        case "float":
            schema |= {"strict": True, "allow_inf_nan": False}
        case "dataclass-args":
            schema["extra_behavior"] = "forbid"
        case "dataclass":
            known = {"type": "no-info", "function": partial(_known, schema["fields"])}
            schema = {"type": "function-before", "function": known, "ref": schema.pop("ref"), "schema": schema}
    return schema


def _known(fields: Sequence[str], section: Any) -> Any:
    """Before anything else is looked at: a null is an empty section, and a key that is mistyped is not said to lack."""
    from pydantic_core import PydanticCustomError

    if not isinstance(section, Mapping):
        return {} if section is None else section
    for key in section:
        if key not in fields:
            raise PydanticCustomError("unknown", "{known}", {"key": key, "known": ", ".join(sorted(fields))})
    return dict(section)


def _what_is_wrong(error: ValidationError, where: str = "") -> str:
    """The first of the mistakes; keys follow `where`."""
    first = error.errors(include_url=False)[0]
    section = path = where
    for step in first["loc"]:
        if step != "[key]":
            section, path = path, f"{path}[{step}]" if isinstance(step, int) else f"{path}.{step}".removeprefix(".")
    kind, told, value = first["type"], first.get("ctx", {}), reprlib.repr(first["input"])
    if kind == "unknown":
        return f"Unknown key {path}.{told['key']}; {path} knows {told['known']}"
    if kind == "missing":
        return f"{path} is missing; add it to {section}"
    if kind == "value_error":  # of a `__post_init__`
        return f"{path}.{told['error']}".removeprefix(".")
    if kind == "literal_error":
        return f"{path} is {value}; choose {told['expected']}"
    if kind == "finite_number" or (kind == "float_type" and type(first["input"]) is int):
        return f"{path} is {value}; it must be a finite number"
    if kind in _KINDS:
        return f"{path} must be {_KINDS[kind].format(**told)}, not {value}"
    if kind not in _BOUNDS:
        return f"{path}: {first['msg']}"
    bounds = {name: f"{bound:g}" if isinstance(bound, float) else bound for name, bound in told.items()}
    return f"{path}: must be {_BOUNDS[kind].format(**bounds)}, not {value}"


def as_yaml(section: Any) -> str:
    """Returns a dataclass or a mapping as YAML, in the order of its keys."""
    return yaml.safe_dump(plain(asdict(section) if is_dataclass(section) else section), sort_keys=False)  # type: ignore[arg-type]


def plain(value: Any) -> Any:
    """Returns `value` with lists in the place of tuples, for which YAML has no word."""
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, (list, tuple)) else value
