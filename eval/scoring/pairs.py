"""The pairs of clips that a run has animated."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from tpsm.core.layout import Layout
from tpsm.core.reading import csv_rows, read_text


def common_pairs(layout: Layout, runs: Sequence[str], mode: str) -> pd.DataFrame:
    """The pairs that every run has animated."""
    tables = [read_pairs(layout.outputs(run) / "animation" / mode / "pairs.csv") for run in runs]
    common = set.intersection(*(set(table["pair"]) for table in tables))
    return tables[0][tables[0]["pair"].isin(common)].reset_index(drop=True)


def read_pairs(path: Path) -> pd.DataFrame:
    """Text throughout: a clip may be called NA.

    Raises:
        UserError: it is missing, or no table of pairs.
    """
    columns = ("pair", "source", "driving")
    lines = io.StringIO(read_text(path, "table of pairs"), newline="")
    return pd.DataFrame(csv_rows(lines, columns, str(path)), columns=list(columns), dtype=object)
