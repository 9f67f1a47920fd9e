"""One typed table, written as Markdown, CSV and LaTeX, and aligned for a terminal. HTML is the page's, see eval/web."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from eval.stats.intervals import Estimate
from eval.templates import escape_markdown
from eval.types import Protocol
from tpsm.core.files import csv_text


@dataclass(frozen=True)
class Value:
    """An estimate as a cell. `best` sets it in bold."""

    estimate: Estimate
    decimals: int
    best: bool = False
    signed: bool = False

    def text(self) -> str:
        """Such as `.0278 [.0269, .0287]`."""
        low, high = self.estimate.low, self.estimate.high
        mean = number(self.estimate.mean, self.decimals, signed=self.signed)
        if math.isnan(low):
            return mean
        bounds = (number(bound, self.decimals, signed=self.signed) for bound in (low, high))
        return f"{mean} [{', '.join(bounds)}]"


@dataclass(frozen=True)
class Missing:
    """A cell that could not be filled."""

    reason: str

    def text(self) -> str:
        return f"n/a ({self.reason})"


Cell = str | int | Value | Missing


@dataclass(frozen=True)
class Table:
    """`rows` are as long as `columns`; `notes` stand below. Every writer names the protocol beside the title."""

    name: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...] = ()
    protocol: Protocol = "strict"

    @property
    def heading(self) -> str:
        return f"{self.title} ({self.protocol} protocol)"

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(f"rows: a row of '{self.name}' has {len(row)} cells for {len(self.columns)} columns")


def number(value: float, decimals: int, *, signed: bool = False) -> str:
    """Fixed decimals, without the zero before the point, as the papers print: `.0278`, `-.1`, `5.41`."""
    rounded = round(value, decimals) + 0.0  # + 0.0: no -0
    text = f"{rounded:{'+' if signed and rounded else ''}.{decimals}f}"
    return re.sub(r"^([+-]?)0\.", r"\1.", text)


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines for a terminal, each column as wide as its widest cell."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def text(cell: Cell) -> str:
    if isinstance(cell, int):
        return f"{cell:,}"
    return cell if isinstance(cell, str) else cell.text()


def pipe_table(columns: Sequence[str], rows: Sequence[Sequence[Cell]]) -> str:
    """Markdown's table alone; the first column names the row."""

    def shown(cell: Cell) -> str:
        plain = escape_markdown(text(cell)).replace("|", "\\|")
        return f"**{plain}**" if isinstance(cell, Value) and cell.best else plain

    head, *body = (f"| {' | '.join(map(shown, row))} |" for row in (columns, *rows))
    return "\n".join((head, f"| :-- |{' --: |' * (len(columns) - 1)}", *body))


def to_markdown(table: Table) -> str:
    """A pipe table under a bold title, with its notes."""
    notes = (f"{escape_markdown(note)}  " for note in table.notes)
    lines = (f"**{escape_markdown(table.heading)}**", "", pipe_table(table.columns, table.rows), "", *notes)
    return "\n".join(lines).rstrip() + "\n"


def to_csv(table: Table) -> str:
    """Machine-readable: a column of estimates becomes three, mean, low and high at full precision; reasons are kept."""
    wide = [not any(isinstance(row[i], (str, int)) for row in table.rows) for i in range(len(table.columns))]
    head: list[str | int] = []
    for column, is_wide in zip(table.columns, wide, strict=True):
        head += [column, f"{column} low", f"{column} high"] if is_wide else [column]
    lines = [head]
    for row in table.rows:
        cells: list[str | int] = []
        for cell, is_wide in zip(row, wide, strict=True):
            if isinstance(cell, Value):
                bounds = (cell.estimate.low, cell.estimate.high)
                cells += [_precise(cell.estimate.mean), *("" if math.isnan(b) else _precise(b) for b in bounds)]
            else:
                cells.append(cell if isinstance(cell, int) else text(cell))
                cells += ["", ""] if is_wide else []
        lines.append(cells)
    return csv_text(lines)


def _precise(value: float) -> str:
    return f"{value + 0.0:.6g}"


_LATEX = {"\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "#": r"\#", "_": r"\_", "$": r"\$", "{": r"\{", "}": r"\}"}
_LATEX |= {
    "<": r"$<$",
    ">": r"$>$",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "†": r"$^\dagger$",
    "‡": r"$^\ddagger$",
    "↓": r"$\downarrow$",
    "↑": r"$\uparrow$",
}


def to_latex(table: Table) -> str:
    """A booktabs `table` environment, ready to be `\\input`."""

    def escape(plain: str) -> str:
        return "".join(_LATEX.get(character, character) for character in plain)

    def shown(cell: Cell) -> str:
        plain = escape(text(cell))
        return rf"\textbf{{{plain}}}" if isinstance(cell, Value) and cell.best else plain

    # Caption and label, the heads, a line per row.
    lines = [
        "% needs \\usepackage{booktabs}",
        r"\begin{table}",
        r"\centering\small",
        rf"\caption{{{escape(' '.join((table.heading + '.', *table.notes)))}}}",
        rf"\label{{tab:{table.name}}}",
        rf"\begin{{tabular}}{{l{'r' * (len(table.columns) - 1)}}}",
        r"\toprule",
        " & ".join(escape(column) for column in table.columns) + r" \\",
        r"\midrule",
        *(" & ".join(shown(cell) for cell in row) + r" \\" for row in table.rows),
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


FORMATS: dict[str, Callable[[Table], str]] = {"md": to_markdown, "csv": to_csv, "tex": to_latex}


def table_files(tables: Iterable[Table]) -> dict[str, str]:
    """File -> content, of every table in every format."""
    return {f"tables/{table.name}.{suffix}": write(table) for table in tables for suffix, write in FORMATS.items()}
