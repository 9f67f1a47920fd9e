"""The numbers of a report, and the files that hold them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from eval.config import config_key, read_config
from eval.tables.build import build_tables
from eval.tables.published import read_published
from eval.tables.results import Results
from eval.tables.table import Table, to_csv, to_latex, to_markdown
from tpsm.core.errors import UserError
from tpsm.core.layout import Layout


def estimates(layout: Layout) -> tuple[Results, list[Table]]:
    """What the scores say, and the tables of it.

    Raises:
        UserError: nothing has been scored, or an input is unreadable.
    """
    config = read_config(layout)
    published = (
        None if config.published is None else read_published(config.published, f"{config_key(layout)}.published")
    )
    results = Results(layout, config)
    if not results.scored:
        raise UserError(
            f"Nothing is scored for '{layout.dataset}'; run `python -m eval score --dataset {layout.dataset} --run "
            f"...` for the runs of {config_key(layout)}.tables first."
        )
    return results, build_tables(results, published)


def numbers(results: Results, tables: Sequence[Table]) -> dict[str, str]:
    """File -> content, of all that scores and configuration alone decide."""
    formats = {"md": to_markdown, "csv": to_csv, "tex": to_latex}
    written = {f"tables/{table.name}.{suffix}": write(table) for table in tables for suffix, write in formats.items()}
    return written | {"metrics.json": to_json(results.as_dict())}


def to_json(content: Mapping[str, Any]) -> str:
    return json.dumps(content, indent=2, sort_keys=True, allow_nan=False) + "\n"
