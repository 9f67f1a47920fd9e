"""Keeps the training curve in a CSV file."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from tpsm.core.files import atomic
from tpsm.core.reading import read_curve


class LossLog:
    """Holds rows of `step, epoch, <losses>, total`. On resuming, rows from step `keep_below` on are forgotten first."""

    def __init__(self, path: Path, keep_below: int = 0) -> None:
        self.path = path
        before = read_curve(path) if path.is_file() else []
        self.rows = [row for row in before if row["step"] < keep_below]
        self._waiting: list[tuple[int, int, dict[str, Tensor]]] = []

    def add(self, step: int, epoch: int, losses: dict[str, Tensor]) -> None:
        """Notes this process's losses, on whatever device they are; `reduce` reads them."""
        self._waiting.append((step, epoch, losses))

    def reduce(self, mean: Callable[[Tensor], Tensor]) -> str | None:
        """Waits for the device once, and averages what was added over all processes by `mean`.

        Returns a sentence on the first loss that is not finite; None if all are.
        """
        # All waiting losses as one tensor, so that one transfer brings them.
        if not self._waiting:
            return None
        values = mean(torch.stack([value for _, _, losses in self._waiting for value in losses.values()])).tolist()
        first = len(self.rows)
        for step, epoch, losses in self._waiting:
            own, values = values[: len(losses)], values[len(losses) :]
            row = {"step": step, "epoch": epoch, **dict(zip(losses, own, strict=True)), "total": sum(own)}
            self.rows.append(row)
        self._waiting = []

        # The first of the new rows that is not finite.
        for row in self.rows[first:]:
            for name, value in row.items():
                if not math.isfinite(value):
                    return f"The loss '{name}' is {value} at step {int(row['step'])}"
        return None

    def last(self) -> str:
        """Returns the newest losses that `reduce` read, for a progress bar."""
        if not self.rows:
            return ""
        return " ".join(f"{key} {value:.3f}" for key, value in self.rows[-1].items() if key not in ("step", "epoch"))

    def flush(self) -> None:
        """Writes the file. Losses that only begin at a later epoch have empty cells before."""
        losses = dict.fromkeys(key for row in self.rows for key in row if key not in ("step", "epoch", "total"))
        with atomic(self.path) as draft, draft.open("w", newline="") as file:
            writer = csv.DictWriter(file, ["step", "epoch", *losses, "total"], lineterminator="\n")
            writer.writeheader()
            for row in self.rows:
                written = {key: f"{value:.6g}" for key, value in row.items()}
                writer.writerow(written | {"step": int(row["step"]), "epoch": int(row["epoch"])})
