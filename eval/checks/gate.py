"""Does this code, with the published weights, still give every number of the committed report? See docs/gate.md."""

from __future__ import annotations

import math
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from eval.checks.cells import Cell, Key, read_cells
from eval.checks.tolerance import Tolerance, in_words, measure, read_tolerance, write_tolerance
from tpsm.core.errors import UserError
from tpsm.core.files import sha256_of
from tpsm.core.layout import Layout
from tpsm.core.reading import read_text, read_yaml

METRICS, TOLERANCE = "metrics.json", "tolerance.json"


def gate(fresh: Mapping[Key, Cell], committed: Mapping[Key, Cell], tolerance: Tolerance) -> list[str]:
    """A line for each cell that is not the committed one. Better is as wrong as worse: the report says otherwise."""
    found = [f"{key}: missing" for key in committed.keys() - fresh.keys()]
    found += [f"{key}: new, and not in the committed report" for key in fresh.keys() - committed.keys()]
    for key in committed.keys() & fresh.keys():
        if differs := _difference(key, fresh[key], committed[key], tolerance):
            found.append(f"{key}: {differs}")
    return sorted(found)


def _difference(key: Key, fresh: Cell, committed: Cell, tolerance: Tolerance) -> str:
    """Of the first number that has moved too far; empty where none has."""
    for name in ("clips", "frames"):
        now, then = getattr(fresh, name), getattr(committed, name)
        if now != then:
            return f"{now} {name} count, committed {then}"
    for name, now in fresh.numbers.items():
        then = committed.numbers[name]
        if math.isnan(now) != math.isnan(then):
            return f"{name} is {_shown(now)}, committed {_shown(then)}"
        limit = tolerance.of(key, then)
        if abs(now - then) > limit:
            share = f"{(now - then) / abs(then):+.3%}, limit {limit / abs(then):.3%}" if then else f"limit {limit:.2g}"
            return f"{name} is {_shown(now)}, committed {_shown(then)} ({share})"
    return ""


def _shown(number: float) -> str:
    return "null" if math.isnan(number) else f"{number:.6g}"


def check_reports(root: Path, dataset: str | None = None, baseline: Path | None = None) -> bool:
    """Prints what differs from the committed reports, or from the one in `baseline`; True where nothing does."""
    datasets = [dataset] if dataset else published(root)
    if baseline and len(datasets) > 1:
        raise UserError(f"gate: --baseline is of one data set; name it with --dataset: {', '.join(datasets)}.")
    failed = 0
    for layout in (Layout(name, root) for name in datasets):
        fresh, committed = _cells(layout.report / METRICS), _cells(baseline) if baseline else _committed(layout)
        found = gate(fresh, committed, read_tolerance(layout.report / TOLERANCE))
        lines = [*(f"FAIL  {text}" for text in found), f"{layout.dataset}: {len(found)} of {len(committed)} cells fail"]
        print("\n".join(lines))
        failed += len(found)
    return not failed


def measure_reports(root: Path, dataset: str | None, files: Sequence[Path]) -> None:
    """Writes the tolerance that the reports in `files` show, and prints it in words."""
    if not dataset:
        raise UserError("gate measure: name the data set with --dataset.")
    reports = {str(path): _cells(path) for path in files}
    tolerance, path = measure(reports), Layout(dataset, root).report / TOLERANCE
    write_tolerance(path, tolerance, [sha256_of(file) for file in files])
    print("\n".join([*in_words(tolerance, next(iter(reports.values()))), f"{len(reports)} reports -> {path}"]))


def published(root: Path) -> list[str]:
    """The data sets whose runs are published. What is trained anew differs between machines, and is not gated."""
    params = read_yaml(root / "params.yaml")
    try:
        found = [name for name in params["datasets"] if (params["data"].get(name) or {}).get("weights")]
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(f"params.yaml has no readable data sets ({error}); mend what `tpsm configure` says.") from error
    if not found:
        raise UserError("No data set of params.yaml has published weights (data.D.weights); name one with --dataset.")
    return found


def _cells(path: Path) -> dict[Key, Cell]:
    if not path.is_file():
        raise UserError(f"There is no file {path}; write the report first, with `dvc repro`.")
    return read_cells(read_text(path, "report"), str(path))


def _committed(layout: Layout) -> dict[Key, Cell]:
    """As it stands in git's last commit.

    Raises:
        UserError: git has no such file, or the one that is here is nothing but it, as in a fresh clone.
    """
    path = layout.report / METRICS
    name = f"HEAD:./{layout.relative(path)}"
    shown = subprocess.run(["git", "-C", layout.root, "show", name], capture_output=True, text=True)
    if shown.returncode:
        raise UserError(
            f"git shows no {name} ({shown.stderr.strip().splitlines()[-1]}); commit a report, or name a metrics.json "
            "with --baseline."
        )
    if not any(layout.all_scores.glob("*.parquet")) and read_text(path, "report") == shown.stdout:
        raise UserError(
            f"Nothing of '{layout.dataset}' has been computed here yet: there are no scores, and "
            f"{layout.relative(path)} is the committed file itself; type `make repro` first, or `make gate`."
        )
    return read_cells(shown.stdout, name)
