"""The training curve as a CSV file."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import torch
from torch import Tensor

from tpsm.files import atomic


class Curve:
    """Rows of `step, epoch, <losses>, total`. On resuming, rows from step `keep_below` on are forgotten first."""

    def __init__(self, path: Path, keep_below: int = 0) -> None:
        self.path = path
        self.rows: list[dict[str, float]] = []
        if path.is_file():
            with path.open(newline="") as file:
                for row in csv.DictReader(file):
                    if int(row["step"]) < keep_below:
                        self.rows.append({key: float(value) for key, value in row.items() if value})

    def add(self, step: int, epoch: int, losses: dict[str, Tensor]) -> None:
        values = torch.stack([value.detach() for value in losses.values()]).tolist()  # one wait for the device
        self.rows.append({"step": step, "epoch": epoch, **dict(zip(losses, values, strict=True)), "total": sum(values)})

    def is_finite(self) -> bool:
        return math.isfinite(self.rows[-1]["total"])

    def first_bad(self) -> str:
        row = self.rows[-1]
        name = next(name for name, value in row.items() if not math.isfinite(value))
        return f"The loss '{name}' is {row[name]} at step {int(row['step'])}"

    def last(self) -> str:
        """The newest losses for a progress bar."""
        return " ".join(f"{key} {value:.3f}" for key, value in self.rows[-1].items() if key not in ("step", "epoch"))

    def flush(self) -> None:
        """Losses that only begin at a later epoch have empty cells before."""
        losses = dict.fromkeys(key for row in self.rows for key in row if key not in ("step", "epoch", "total"))
        with atomic(self.path) as draft, draft.open("w", newline="") as file:
            writer = csv.DictWriter(file, ["step", "epoch", *losses, "total"], lineterminator="\n")
            writer.writeheader()
            for row in self.rows:
                written = {key: f"{value:.6g}" for key, value in row.items()}
                writer.writerow(written | {"step": int(row["step"]), "epoch": int(row["epoch"])})
