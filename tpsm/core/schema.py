"""Turns plain mappings, as YAML gives them, into frozen dataclasses, and refuses by name what does not fit."""

from __future__ import annotations

import dataclasses
import reprlib
import sys
import types
import typing
from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from typing import Any, TypeVar

import yaml

from tpsm.core.errors import UserError

T = TypeVar("T")
WIDEST, DEEPEST = 65_536, 64
"""The most channels, keypoints or regions, and the most blocks after one another."""


def from_mapping(kind: type[T], values: Any, where: str) -> T:
    """An instance of the dataclass `kind` from the section `values` (null is an empty one).

    `where` is the key's path in the file, for messages.
    A dataclass checks what its types cannot say in `__post_init__` by raising `ValueError("<field>: <what is wrong>")`.
    """
    values = {} if values is None else values
    if not isinstance(values, Mapping):
        raise UserError(f"{where} must be a section of keys and values, not {reprlib.repr(values)}.")
    hints = typing.get_type_hints(kind)
    known = {field.name for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    for key in values:
        if key not in known:
            raise UserError(f"Unknown key {where}.{key}; {where} knows {', '.join(sorted(known))}.")
    for field in dataclasses.fields(kind):  # type: ignore[arg-type]
        no_default = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        if no_default and field.name not in values:
            raise UserError(f"{where}.{field.name} is missing; add it to {where}.")
    fields = {key: _convert(hints[key], value, f"{where}.{key}") for key, value in values.items()}
    try:
        return kind(**fields)
    except ValueError as error:
        raise UserError(f"{where}.{error}") from None


def _convert(hint: Any, value: Any, where: str) -> Any:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in arguments:
            return None
        return _convert(next(a for a in arguments if a is not type(None)), value, where)
    if origin is typing.Literal:
        if value not in arguments:
            raise UserError(f"{where} is {reprlib.repr(value)}; choose one of {', '.join(map(str, arguments))}.")
        return value
    if dataclasses.is_dataclass(hint):
        return from_mapping(typing.cast(type, hint), value, where)
    if origin is tuple:
        if not isinstance(value, (list, tuple)):
            raise UserError(f"{where} must be a list, not {reprlib.repr(value)}.")
        if len(arguments) == 2 and arguments[1] is Ellipsis:
            return tuple(_convert(arguments[0], item, f"{where}[{i}]") for i, item in enumerate(value))
        if len(value) != len(arguments):
            raise UserError(f"{where} must be a list of {len(arguments)}, not {reprlib.repr(value)}.")
        return tuple(
            _convert(a, item, f"{where}[{i}]") for i, (a, item) in enumerate(zip(arguments, value, strict=True))
        )
    if origin is dict:
        if not isinstance(value, Mapping):
            raise UserError(f"{where} must be a section of keys and values, not {reprlib.repr(value)}.")
        return {str(key): _convert(arguments[1], item, f"{where}.{key}") for key, item in value.items()}
    if hint is float and isinstance(value, (int, float)) and not isinstance(value, bool):
        if not abs(value) <= sys.float_info.max:  # whole numbers have no bound, and NaN is not below any
            raise UserError(f"{where} is {reprlib.repr(value)}; it must be a finite number.")
        return float(value)
    if hint is Any or (isinstance(value, hint) and not (hint is int and isinstance(value, bool))):
        return value
    raise UserError(f"{where} must be of type {hint.__name__}, not {reprlib.repr(value)}.")


def as_yaml(section: Any) -> str:
    """Returns a dataclass or a mapping as YAML, in the order of its keys."""
    return yaml.safe_dump(plain(asdict(section) if is_dataclass(section) else section), sort_keys=False)  # type: ignore[arg-type]


def plain(value: Any) -> Any:
    """Returns `value` with lists in the place of tuples, for which YAML has no word."""
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def positive(config: object, *fields: str) -> None:
    """For a config's `__post_init__`. No count or width is beyond any model's, nor any depth beyond any image's."""
    for field in fields:
        most = DEEPEST if field.endswith("blocks") else WIDEST
        if getattr(config, field) < 1:
            raise ValueError(f"{field}: must be at least 1")
        if getattr(config, field) > most:
            raise ValueError(f"{field}: must be at most {most}")


def not_negative(config: object, *fields: str) -> None:
    for name in fields:
        if getattr(config, name) < 0:
            raise ValueError(f"{name}: must not be negative")
