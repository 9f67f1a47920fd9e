"""`scores/<data set>/<run>.parquet`: one row per frame, metric and protocol, and what made them."""

from __future__ import annotations

import json
import reprlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from jaxtyping import Float64

from eval.config import read_config
from eval.metrics import Metric
from eval.scoring.controls import DRIVING_CLIP, SOURCE_COPY
from eval.types import PROTOCOLS, Protocol
from tpsm.core.animation import MODES
from tpsm.core.errors import UserError
from tpsm.core.files import atomic
from tpsm.core.fingerprint import hashes_by_name
from tpsm.core.layout import Layout
from tpsm.core.provenance import check_record, record
from tpsm.core.reading import parse_json, read_json, require_file
from tpsm.core.schema import typed
from tpsm.data.manifest import read_manifest

COLUMNS = ["dataset", "run", "task", "mode", "clip", "identity", "frame", "metric", "protocol", "version", "value"]
ORDER = ["task", "mode", "metric", "protocol", "clip", "frame"]
ROW = ["task", "mode", "clip", "metric", "protocol", "frame"]
"""What no two rows have in common."""
TEXTS = ("dataset", "run", "task", "mode", "clip", "identity", "metric", "protocol")
NEWER: dict[str, str | int] = {"protocol": "", "version": 0}
"""What stands for the columns that older scores lack."""
MODES_OF = {"reconstruction": {""}, "animation": {*MODES, SOURCE_COPY, DRIVING_CLIP}}
MOST_ROWS, LONGEST_TEXT = 20_000_000, 1000
RUN: dict[str, type] = {
    **dict.fromkeys(("run", "method", "precision", "perceptual", "released", "published"), str),
    **dict.fromkeys(("keypoints", "parameters", "flops_per_frame", "size", "steps", "batch", "seed"), int),
}
"""A run in numbers."""
KEY = b"tpsm"
"""Of the Parquet file's metadata: JSON with the run in numbers (`run`), and what made the scores (`provenance`)."""


@dataclass(frozen=True)
class ClipScores:
    """One metric's value for each of some successive frames of a clip, from the frame `start` on. `about` has the other
    columns, but for the metric's own."""

    about: Mapping[str, str]
    metric: Metric
    protocol: Protocol
    values: Float64[np.ndarray, " t"]
    start: int = 0

    @property
    def frames(self) -> range:
        """The frames that are scored."""
        first = 1 if self.about["task"] == "reconstruction" and self.protocol == "strict" else 0
        return range(max(first, self.start), self.start + len(self.values))

    @property
    def columns(self) -> dict[str, str | int]:
        """What all rows have in common."""
        return {
            **self.about,
            "metric": self.metric.name,
            "protocol": self.protocol,
            "version": self.metric.version,
        }


def frame_rows(scores: Iterable[ClipScores]) -> pd.DataFrame:
    """Makes one row per frame that is scored; all in one table, since making a table takes longer than most metrics."""
    all_of = list(scores)
    common = pd.DataFrame([each.columns for each in all_of])
    rows = common.loc[np.repeat(common.index, [len(each.frames) for each in all_of])]
    frame = [np.asarray(each.frames, np.int32) for each in all_of]
    value = [each.values[len(each.values) - len(each.frames) :] for each in all_of]
    return rows.assign(frame=np.concatenate(frame), value=np.concatenate(value)).reset_index(drop=True)


def write_scores(path: Path, rows: pd.DataFrame, about: Mapping[str, Any]) -> None:
    """Writes a Parquet file of `rows`, whose metadata say what they are `about`."""
    table = pa.Table.from_pandas(rows, preserve_index=False)
    table = table.replace_schema_metadata({**(table.schema.metadata or {}), KEY: json.dumps(about).encode()})
    with atomic(path) as draft:
        pq.write_table(table, draft)


def read_scores(path: Path, remedy: str, newer: Mapping[str, str | int] | None = None) -> pd.DataFrame:
    """Reads the rows that `write_scores` wrote, here or elsewhere. `newer` are the columns that may be missing, and
    what then stands in them.

    Raises:
        UserError: a column or a value is not as scores have it, or a row stands there twice; it ends with `remedy`.
    """
    whole = dict.fromkeys(("frame", "version"), "whole")
    rows = read_table(path, {**dict.fromkeys(TEXTS, "text"), **whole, "value": "number"}, remedy, newer)
    for fault in _faults(rows, {*PROTOCOLS, *({""} if newer else ())}):
        raise UserError(f"{path} {fault}; {remedy}")
    return rows


def _faults(rows: pd.DataFrame, protocols: set[str]) -> Iterator[str]:
    """Finds what no scores have. Values may be NaN: those frames do not count."""
    for column in ("dataset", "run"):
        if rows[column].nunique() != 1:
            yield f"has more than one value in the column '{column}'"
    for task, mode in rows[["task", "mode"]].drop_duplicates().itertuples(index=False):
        if mode not in MODES_OF.get(task, ()):
            yield f"knows a task '{task:.40}' in the mode '{mode:.40}', which nobody scores"
    for protocol in set(rows["protocol"].unique()) - protocols:
        yield f"knows a protocol '{protocol:.40}' beside {', '.join(PROTOCOLS)}"
    for column in ("clip", "metric"):
        if (rows[column] == "").any():
            yield f"has a row without a name in the column '{column}'"
    if not rows["frame"].between(0, 2**31).all() or not rows["version"].between(0, 2**31).all():
        yield "has a frame or a version that makes no sense"
    if np.isinf(rows["value"]).any():
        yield "has values that are infinite"
    for row in rows[rows.duplicated(ROW)].itertuples():
        yield f"has {row.metric:.40} of frame {row.frame} of '{row.clip:.80}' twice"


def read_table(
    path: Path, columns: Mapping[str, str], remedy: str, optional: Mapping[str, str | int] | None = None
) -> pd.DataFrame:
    """Reads a Parquet file's `columns`, which are of `text`, `whole` numbers or any `number`; texts and whole numbers
    are never missing. Columns that the file lacks are filled with what `optional` says.

    Raises:
        UserError: it is no such file, or larger than any is; the message ends with `remedy`.
    """
    require_file(path, "file")
    optional = dict(optional or {})
    try:
        with pq.ParquetFile(path) as file:
            wrong = _unlike(file.schema_arrow, file.metadata.num_rows, columns, optional)
            there = [column for column in columns if column in file.schema_arrow.names]
            table = _plain(file.read([] if wrong else there))
        wrong = wrong or _odd_cells(table, columns)
        if not wrong:
            kinds = {"text": object, "whole": np.int64, "number": np.float64}
            rows = pd.DataFrame({column: table[column].to_pandas().astype(kinds[columns[column]]) for column in there})
            return rows.assign(**{column: value for column, value in optional.items() if column not in rows})
    except (pa.ArrowException, OSError, ValueError, OverflowError, MemoryError) as error:
        reason = str(error).split("\n")[0][:200]
        raise UserError(f"{path} cannot be read as scores ({reason}); {remedy}") from error
    raise UserError(f"{path} {wrong}; {remedy}")


def _odd_cells(table: pa.Table, columns: Mapping[str, str]) -> str:
    """Says what speaks against the cells; '' for nothing."""
    for column in table.column_names:
        if columns[column] != "number" and table[column].null_count:
            return f"has empty cells in the column '{column}'"
        if columns[column] == "text" and (longest := pc.max(pc.utf8_length(table[column])).as_py()) > LONGEST_TEXT:
            return f"has a text of {longest:,} characters in the column '{column}'"
    return ""


def _unlike(schema: pa.Schema, count: int, columns: Mapping[str, str], optional: Mapping[str, str | int]) -> str:
    """Says what speaks against the file before its rows are read; '' for nothing."""
    fits: dict[str, Callable[[pa.DataType], bool]] = {
        "text": lambda kind: pa.types.is_string(kind) or pa.types.is_large_string(kind),
        "whole": pa.types.is_integer,
        "number": lambda kind: pa.types.is_floating(kind) or pa.types.is_integer(kind),
    }
    if not 0 < count <= MOST_ROWS:
        return f"has {count:,} rows, and scores have 1 to {MOST_ROWS:,}"
    for column, expected in columns.items():
        if schema.names.count(column) > 1:
            return f"has the column '{column}' twice"
        if column not in schema.names:
            if column not in optional:
                return f"lacks the column '{column}'"
            continue
        kind = schema.field(column).type
        kind = kind.value_type if pa.types.is_dictionary(kind) else kind
        if not fits[expected](kind):
            return f"has {kind} in the column '{column}', which holds {expected}s"
    return ""


def _plain(table: pa.Table) -> pa.Table:
    """Turns dictionaries into plain columns."""
    for place, field in enumerate(table.schema):
        if pa.types.is_dictionary(field.type):
            table = table.set_column(place, field.name, table.column(place).cast(field.type.value_type))
    return table


def about_scores(path: Path) -> dict[str, Any]:
    """Reads what `write_scores` was told; empty for scores that say nothing of themselves.

    Raises:
        UserError: it is no Parquet file, or what it says is no section of sections.
    """
    require_file(path, "file")
    try:
        about = parse_json((pq.read_schema(path).metadata or {}).get(KEY, b"{}").decode("utf-8"))
        if not isinstance(about, dict) or not all(
            isinstance(about.get(key, {}), dict) for key in ("run", "provenance")
        ):
            raise ValueError("it is no section with run and provenance in it")
        check_run(about.get("run", {}))
    except (pa.ArrowException, OSError, ValueError) as error:
        reason = str(error).split("\n")[0][:200]
        raise UserError(f"What {path} says of itself cannot be read ({reason}); score the run again.") from error
    if made := about.get("provenance"):
        check_record(made, f"{path}: provenance", "Score the run again")
    return about


def check_run(facts: Mapping[str, Any]) -> None:
    """Raises ValueError where a run in numbers, which scores and a training's record hold, has a fact of another type
    than `RUN` says; any may be missing or null."""
    for key, kind in RUN.items():
        if (value := facts.get(key)) is not None and type(value) is not kind:
            raise ValueError(f"its '{key}' is {reprlib.repr(value)}")


def of_scores(layout: Layout, run: str, began: float) -> dict[str, Any]:
    """Gathers what `write_scores` is to note of a run. The networks are those that outputs name in their model.json."""
    made = {path.parent.name: _read(layout, path) for path in sorted(layout.outputs(run).glob("**/model.json"))}
    weights = {name: sha256 for about in made.values() for name, sha256 in about["weights"].items()}
    run_facts = {key: value for key, value in made.get("reconstruction", {}).items() if key != "weights"}
    sections = ("animate", "evaluators", "metrics", "protocols")
    config = read_config(layout)
    about = record(
        began,
        parameters=hashes_by_name(layout.config.with_name(f"{name}.yaml") for name in sections),
        data=read_manifest(layout.clips).about(),
        evaluators=hashes_by_name(sorted(layout.networks.glob("*.pt"))),
        weights=weights or None,
        precision="fp32",
        seed=run_facts.get("seed"),
        outside=[*config.metrics, *config.evaluators.kinds],
    )
    return {"run": run_facts, "provenance": about}


def _read(layout: Layout, path: Path) -> dict[str, Any]:
    about, where = read_json(path, "record of a run"), layout.relative(path)
    if not isinstance(about, dict) or "weights" not in about:
        raise UserError(f"{where} does not say its weights; run reconstruct and animate again.")
    return {**about, "weights": typed(dict[str, str], about["weights"], f"{where}: weights")}
