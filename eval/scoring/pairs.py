"""The pairs of clips that a run has animated."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from tpsm.core.errors import UserError
from tpsm.core.layout import Layout
from tpsm.core.reading import read_csv


def common_pairs(layout: Layout, runs: Sequence[str], mode: str) -> pd.DataFrame:
    """The pairs that every run has animated."""
    tables = [read_pairs(layout, run, mode) for run in runs]
    common = set.intersection(*(set(table["pair"]) for table in tables))
    return tables[0][tables[0]["pair"].isin(common)].reset_index(drop=True)


def read_pairs(layout: Layout, run: str, mode: str) -> pd.DataFrame:
    """Returns the columns pair, source and driving of what a run has animated, as text: a clip may be called NA.

    Raises:
        UserError: the run has not animated in that mode, or what stands there is no table of pairs.
    """
    path, columns = layout.outputs(run) / "animation" / mode / "pairs.csv", ("pair", "source", "driving")
    if not path.is_file():
        raise UserError(
            f"There is no {layout.relative(path)}; run `tpsm animate-pairs --dataset {layout.dataset} --run {run} "
            f"--mode {mode}` first."
        )
    return pd.DataFrame(read_csv(path, "table of pairs", columns), columns=list(columns), dtype=object)
