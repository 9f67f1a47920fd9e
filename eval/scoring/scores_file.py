"""`scores/<data set>/<run>.parquet`: one row per frame, metric and protocol, and what made them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Float64

from eval.metrics import Metric
from eval.types import Protocol
from tpsm.core.errors import UserError
from tpsm.core.files import atomic
from tpsm.core.fingerprint import hashes_by_name
from tpsm.core.layout import Layout
from tpsm.core.provenance import record
from tpsm.data.manifest import read_manifest

COLUMNS = ["dataset", "run", "task", "mode", "clip", "identity", "frame", "metric", "protocol", "version", "value"]
ORDER = ["task", "mode", "metric", "protocol", "clip", "frame"]
KEY = b"tpsm"
"""Of the Parquet file's metadata: JSON with the run in numbers (`run`), and what made the scores (`provenance`)."""


def frame_rows(
    about: Mapping[str, str], metric: Metric, protocol: Protocol, values: Float64[np.ndarray, " t"]
) -> pd.DataFrame:
    """A row a frame that is scored. `about` has the other columns, but for the metric's own."""
    first = 1 if about["task"] == "reconstruction" and protocol == "strict" else 0
    of = {"metric": metric.name, "protocol": protocol, "version": metric.version}
    frame = np.arange(first, len(values), dtype=np.int32)
    return pd.DataFrame({**about, **of, "frame": frame, "value": values[first:]})


def write_scores(path: Path, rows: pd.DataFrame, about: Mapping[str, Any]) -> None:
    table = pa.Table.from_pandas(rows, preserve_index=False)
    table = table.replace_schema_metadata({**(table.schema.metadata or {}), KEY: json.dumps(about).encode()})
    with atomic(path) as draft:
        pq.write_table(table, draft)


def about_scores(path: Path) -> dict[str, Any]:
    """What `write_scores` was told; empty for scores that say nothing of themselves."""
    return dict(json.loads((pq.read_schema(path).metadata or {}).get(KEY, b"{}")))


def of_scores(layout: Layout, run: str, began: float) -> dict[str, Any]:
    """For `write_scores`. The networks are those that outputs name in their model.json."""
    made = {path.parent.name: _read(layout, path) for path in sorted(layout.outputs(run).glob("**/model.json"))}
    weights = {name: sha256 for about in made.values() for name, sha256 in about["weights"].items()}
    run_facts = {key: value for key, value in made.get("reconstruction", {}).items() if key != "weights"}
    sections = ("animate", "evaluators", "metrics", "protocols")
    about = record(
        began,
        parameters=hashes_by_name(layout.config.with_name(f"{name}.yaml") for name in sections),
        data=read_manifest(layout.clips).about(),
        evaluators=hashes_by_name(sorted(layout.networks.glob("*.pt"))),
        weights=weights or None,
        precision="fp32",
        seed=run_facts.get("seed"),
    )
    return {"run": run_facts, "provenance": about}


def _read(layout: Layout, path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except ValueError as error:
        raise UserError(
            f"{layout.relative(path)} is not valid JSON ({error}); run reconstruct and animate again."
        ) from error
