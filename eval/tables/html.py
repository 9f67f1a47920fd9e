"""A table as HTML, beside its Markdown, CSV and LaTeX."""

from __future__ import annotations

import math
from collections.abc import Mapping
from html import escape

from eval.tables.table import Cell, Missing, Table, Value, number, text

LONG = 40
"""Characters from which on a cell is set as text."""


def to_html(table: Table, methods: Mapping[str, str]) -> str:
    """A `<table>` whose columns a script can sort (`data-value`: the mean at full precision) and whose rows it can
    filter (`data-method`: what `methods` says of the labels among its cells, and `data-mode`)."""
    mode = table.columns.index("Mode") if "Mode" in table.columns else None
    head = "".join(f'<th scope="col"><button type="button">{escape(column)}</button></th>' for column in table.columns)
    body = []
    for row in table.rows:
        named = dict.fromkeys(method for cell in row if isinstance(cell, str) and (method := methods.get(cell)))
        about = {"method": "|".join(named), "mode": "" if mode is None else text(row[mode])}
        attributes = "".join(f' data-{key}="{escape(value)}"' for key, value in about.items() if value)
        first = f'<th scope="row">{escape(text(row[0]))}</th>'
        body.append(f"<tr{attributes}>{first}{''.join(map(_cell, row[1:]))}</tr>")
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table>"


def _cell(cell: Cell) -> str:
    if isinstance(cell, Missing):
        return f'<td class="missing" title="{escape(cell.reason)}">n/a <small>{escape(cell.reason)}</small></td>'
    if isinstance(cell, Value):
        estimate = cell.estimate
        mean = number(estimate.mean, cell.decimals, signed=cell.signed)
        mean = f"<b>{mean}</b>" if cell.best else mean
        sample = f"{estimate.clips} clips, {estimate.frames} frames"
        if not math.isnan(estimate.low):
            low, high = (number(bound, cell.decimals, signed=cell.signed) for bound in (estimate.low, estimate.high))
            mean += f" <small>[{low}, {high}]</small>"
        return f'<td data-value="{estimate.mean:.6g}" title="{sample}">{mean}</td>'
    if isinstance(cell, int):
        return f'<td data-value="{cell}">{text(cell)}</td>'
    return f"<td{' class=words' * (len(cell) > LONG)}>{escape(cell)}</td>"
