"""Score files, as reviewers exchange them."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from hostile import Case
from subject import STAGES

MINE, OTHER = "mine.parquet", "scores/drawn/tps.parquet"
COMPARE = ("eval", "compare", MINE, OTHER)
TEXTS = ("dataset", "run", "task", "mode", "clip", "identity", "metric", "protocol")
HOSTILE = {
    "HTML": "<script>alert(1)</script>",
    "a template": "{{ 7 * 7 }}{% for x in y %}",
    "mathtext": "$\\frac{1}{$",
    "emoji": "\U0001f600\u0639\u0631\u0628\u064a",
    "a path": "../../../evil",
    "nothing": "",
    "100,000 letters": "x" * 100_000,
    "a newline": "a\nb",
}


def scores(base: Path, rng: random.Random) -> Iterator[Case]:
    for what, change in _changes().items():
        for where, command, place in (("compared", COMPARE, MINE), ("reported", STAGES["report"], OTHER)):
            yield Case(f"scores with {what}, {where}", command, partial(_altered, change, place))
    for column in TEXTS:
        for what, text in HOSTILE.items():
            # A clip, an identity or a metric may be called anything, but not nothing and nothing endless.
            free = column in ("clip", "identity", "metric", "run", "dataset") and what not in (
                "nothing",
                "100,000 letters",
            )
            may_pass = free or (column in ("identity", "run", "dataset", "mode") and what == "nothing")
            change = partial(_set, column, text)
            yield Case(f"scores whose {column} is {what}", COMPARE, partial(_altered, change, MINE), may_pass)
    for what, content in _torn(base, rng).items():
        yield Case(f"scores, {what}", COMPARE, partial(_put, content))
    for what, about in {
        "no JSON": b"{",
        "a list": b"[]",
        "deep": b"[" * 50_000,
        "a run that is a text": b'{"run": "x", "provenance": {}}',
        "a provenance that is a list": b'{"run": {}, "provenance": []}',
        "a provenance of a seed alone": b'{"run": {}, "provenance": {"seed": 0}}',
        "not UTF-8": b"\xff\xfe",
    }.items():
        yield Case(f"scores whose metadata are {what}", STAGES["report"], partial(_about, about))
    for what, run in {
        "parameters that are HTML": {"parameters": "<b>"},
        "keypoints that are infinite": {"keypoints": float("inf")},
        "a method that is a list": {"method": ["x"]},
    }.items():
        about = json.dumps({"run": run, "provenance": {}}).encode()
        yield Case(f"scores whose run has {what}", STAGES["report"], partial(_about, about))


def _set(column: str, value: Any, rows: Any) -> Any:
    return rows.assign(**{column: value})


def _changes() -> dict[str, Callable[[Any], Any]]:
    import numpy as np

    def first(column: str, value: Any) -> Callable[[Any], Any]:
        def change(rows: Any) -> Any:
            values = rows[column].tolist()
            values[0] = value
            return rows.assign(**{column: values})

        return change

    return {
        **{f"no column {column}": lambda rows, c=column: rows.drop(columns=c) for column in (*TEXTS, "value", "frame")},
        "an infinite value": first("value", np.inf),
        "a value of minus infinity": first("value", -np.inf),
        "values that are texts": lambda rows: rows.assign(value="good"),
        "values that are lists": lambda rows: rows.assign(value=[[1.0]] * len(rows)),
        "rows twice": lambda rows: rows.loc[rows.index.repeat(2)],
        "no rows": lambda rows: rows.iloc[:0],
        "a frame below zero": first("frame", -1),
        "frames that are fractions": lambda rows: rows.assign(frame=0.5),
        "frames that are texts": lambda rows: rows.assign(frame="one"),
        "a clip that is missing": first("clip", None),
        "clips that are numbers": lambda rows: rows.assign(clip=7),
        "two runs": first("run", "another"),
        "two data sets": first("dataset", "another"),
        "versions that are texts": lambda rows: rows.assign(version="new"),
        "a version that is immense": first("version", 2**62),
        "a protocol of its own": first("protocol", "mine"),
        "a task of its own": first("task", "cooking"),
    }


def _torn(base: Path, rng: random.Random) -> dict[str, bytes]:
    whole = (base / OTHER).read_bytes()
    made = {
        "cut in half": whole[: len(whole) // 2],
        "without its end": whole[:-8],
        "without its beginning": whole[100:],
        "of garbage": b"PAR1" + rng.randbytes(2000) + b"PAR1",
        "of a giant footer": b"PAR1" + bytes(100) + b"\xff\xff\xff\x7f" + b"PAR1",
    }
    for number in range(12):
        flipped = bytearray(whole)
        for _ in range(20):  # in the footer, where columns and places are
            flipped[rng.randrange(len(flipped) - 3000, len(flipped) - 8)] ^= 1 << rng.randrange(8)
        made[f"flipped ({number})"] = bytes(flipped)
    return made


def _altered(change: Callable[[Any], Any], place: str, folder: Path) -> None:
    import pandas as pd

    change(pd.read_parquet(folder / OTHER)).to_parquet(folder / place)


def _put(content: bytes, folder: Path) -> None:
    (folder / MINE).write_bytes(content)


def _about(about: bytes, folder: Path) -> None:
    import pyarrow.parquet as pq

    table = pq.read_table(folder / OTHER)
    pq.write_table(table.replace_schema_metadata({b"tpsm": about}), folder / OTHER)
