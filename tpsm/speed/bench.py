"""Compares this package's speed with the released code's, part by part: `make bench`."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from tabulate import tabulate

from tpsm.core.errors import UserError
from tpsm.core.files import atomic, write_json
from tpsm.core.fingerprint import code_hash
from tpsm.core.provenance import hardware, versions
from tpsm.core.reading import read_json
from tpsm.core.schema import typed
from tpsm.profiling.timing import as_file_name, run_in_subprocess
from tpsm.speed import growth
from tpsm.speed.parts import Part, data, measured, reconstruction, scoring, training
from tpsm.speed.side_by_side import Comparison

log = logging.getLogger(__name__)

PARTS = {
    "reconstruction": Part(reconstruction, "vox", 256, rounds=3),
    "reconstruction-2-threads": Part(reconstruction, "vox", 256, threads=2, rounds=3),
    "reconstruction-small": Part(reconstruction, "long", 64),
    "training-small": Part(training, "long", 64, batch=8),
    "training": Part(training, "vox", 128, batch=2, rounds=3),
    "data": Part(data, "vox", 128),
    "scoring": Part(scoring, "long", 64),
}
GROWTH = "growth"
NAMES = (GROWTH, *PARTS)
"""Scoring is the last, since it needs what `make repro` makes."""


def bench(params: Path, out: Path, only: Sequence[str] = (), fresh: bool = False) -> Path:
    """Measures the parts that `out/<machine>.json` does not have from the same code, or those named in `only`.

    Writes that file after every part, so that an interrupted call goes on, and a plot beside it. Returns the file.

    Raises:
        UserError: there is no part of a name in `only`, or that file is damaged.
    """
    if others := set(only) - set(NAMES):
        raise UserError(f"There is no part '{min(others)}'; choose among {', '.join(NAMES)}.")
    machine, code = hardware(), code_hash("tpsm", "eval")
    path = out / f"{as_file_name(machine['cpu'] or 'cpu')}.json"
    known = {"hardware": machine, "versions": versions(), "code": code}
    parts = {} if fresh or not path.is_file() else _measured(path, known)

    # One part after the other, each in a process of its own.
    for name in only or NAMES:
        if name in parts and not only:
            continue
        log.info("%s ...", name)
        parts[name] = _growth(params) if name == GROWTH else _compared(params, PARTS[name])
        write_json(path, known | {"date": datetime.now(UTC).date().isoformat(), "parts": parts})
    if GROWTH in parts:
        plot(parts[GROWTH], path.with_suffix(".svg"))
    return path


def _measured(path: Path, known: dict[str, Any]) -> dict[str, Any]:
    """Returns the parts in the file `path`, where it is of the same machine, versions and code; where it is not, the
    log says that they are measured anew. Raises UserError where the file is damaged."""
    before = typed(dict[str, Any], read_json(path, "file of a benchmark"), str(path))
    if any(before.get(key) != value for key, value in known.items()):
        log.info("%s is of other code, versions or hardware: its parts are measured anew.", path)
        return {}
    parts: dict[str, Any] = typed(dict[str, Any], before.get("parts"), f"{path}: parts")
    return parts


def table(path: Path) -> str:
    """Returns what `path` holds, for the terminal."""
    parts = json.loads(path.read_text())["parts"]
    rows = [row for name, part in parts.items() if name != GROWTH for row in part]
    titles = ("", "released", "ours", "ratio", "from", "to", "goal")
    cells = [
        (
            row["case"],
            *(f"{np.median(row[side]):.4g} {row['unit']}" for side in ("reference", "ours")),
            *(f"{row[key]:.2f}" for key in ("ratio", "least", "most", "goal")),
        )
        for row in rows
    ]
    linear = [
        (f"{stage}, {kind}", f"{fit['off']:.1%}", f"{fit['memory'] / 1e6:.0f} MB")
        for stage, kinds in parts.get(GROWTH, {}).get("fits", {}).items()
        for kind, fit in kinds.items()
    ]
    text = tabulate(cells, titles, disable_numparse=True)
    return f"{text}\n\n{tabulate(linear, ('growth', 'off a line', 'more memory'))}" if linear else text


def _compared(params: Path, part: Part) -> list[dict[str, Any]]:
    return [_row(comparison) for comparison in run_in_subprocess(measured, (params.resolve(), part))]


def _row(comparison: Comparison) -> dict[str, Any]:
    spread = {"ratio": comparison.ratio, "least": min(comparison.ratios), "most": max(comparison.ratios)}
    return asdict(comparison) | spread | {"met": comparison.met}


def _growth(params: Path) -> dict[str, Any]:
    found = [
        asdict(growth.middle(rounds))
        for asked in growth.points(params.resolve())
        for rounds in zip(*(run_in_subprocess(growth.measured, asked) for _ in range(growth.ROUNDS)), strict=True)
    ]
    fits: dict[str, dict[str, Any]] = {}
    for stage in dict.fromkeys(point["stage"] for point in found):
        fits[stage] = {kind: line(*series) for kind, series in _series(found, stage).items()}
    return {"points": found, "fits": fits}


def _series(found: list[dict[str, Any]], stage: str) -> dict[str, tuple[list[int], list[float], list[int]]]:
    """Returns how many, the seconds and the peaks: by frames of one clip, and by clips."""
    mine = [point for point in found if point["stage"] == stage]
    by_kind = {
        "frames": [point for point in mine if point["clips"] == 1],
        "clips": [point for point in mine if point["clips"] > 1],
    }
    return {
        kind: ([p[kind] for p in points], [p["seconds"] for p in points], [p["peak"] for p in points])
        for kind, points in by_kind.items()
    }


def line(counts: list[int], seconds: list[float], peaks: list[int]) -> dict[str, float]:
    """Fits seconds = start + each * count, every point with the same relative weight.

    `off` is by how much the largest count's time differs from that line through the others, as a share of it; `memory`
    is by how much the peak grew from the smallest count to the largest, in bytes.
    """
    each, start = np.polyfit(counts[:-1], seconds[:-1], 1, w=1 / np.array(seconds[:-1]))
    expected = start + each * counts[-1]
    return {
        "start": float(start),
        "each": float(each),
        "off": float(seconds[-1] / expected - 1),
        "memory": float(peaks[-1] - peaks[0]),
    }


def plot(content: dict[str, Any], path: Path) -> None:
    """Draws seconds, the lines that fit them, and memory against the number of frames and of clips."""
    import matplotlib.pyplot as plt  # Here: it takes long to load.

    figure, axes = plt.subplots(2, 2, figsize=(8, 5), sharex="col", layout="constrained")
    for stage in content["fits"]:
        for column, (kind, (counts, seconds, peaks)) in enumerate(_series(content["points"], stage).items()):
            fit = content["fits"][stage][kind]
            (dots,) = axes[0, column].loglog(counts, seconds, "o", label=stage)
            axes[0, column].plot(counts, [fit["start"] + fit["each"] * n for n in counts], color=dots.get_color())
            axes[1, column].semilogx(counts, [peak / 1e6 for peak in peaks], "o-", label=stage)
            axes[1, column].set_xlabel(kind if kind == "clips" else "frames of one clip")
    for row, title in zip(axes, ("seconds", "most memory, MB"), strict=True):
        row[0].set_ylabel(title)
    for axis in axes[1]:
        axis.set_ylim(bottom=0)
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=len(content["fits"]))
    with atomic(path) as draft:
        figure.savefig(draft, format="svg", metadata={"Date": None})
    plt.close(figure)
