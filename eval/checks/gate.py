"""Has a report become worse than an honest re-run of the baseline could be? See docs/gate.md."""

from __future__ import annotations

import math
from argparse import Namespace
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from eval.checks.baseline import Baseline, Expected, joins, measure, read_baseline, write_baseline
from eval.checks.cells import Cell, Key, read_cells
from eval.stats.noise import quantile
from tpsm.core.errors import UserError
from tpsm.core.layout import Layout
from tpsm.core.reading import read_yaml

BASELINE = "baseline.json"
COVERAGE = 0.99
"""The share of the baseline's frames that must count: an evaluator may lose sight of a few."""


@dataclass(frozen=True)
class Finding:
    """`fails` is False for news that are no fault."""

    fails: bool
    text: str

    def __str__(self) -> str:
        return f"{'FAIL' if self.fails else 'note'}  {self.text}"


def gate(cells: Mapping[Key, Cell], baseline: Baseline) -> list[Finding]:
    """What fails and what is worth a note. A trained run's cell fails where it is worse; a control's where it moves at
    all, for nothing was trained in it."""
    cells = {key: cell for key, cell in cells.items() if key.run not in baseline.ungated}
    found = [Finding(True, f"{key}: missing") for key in baseline.cells.keys() - cells.keys()]
    found += [Finding(True, f"{key}: new, and the baseline lacks it") for key in cells.keys() - baseline.cells.keys()]
    for key in baseline.cells.keys() & cells.keys():
        found += _compare(key, cells[key], baseline)
    found += _compare_together(cells, baseline)
    return sorted(found, key=lambda finding: (not finding.fails, finding.text))


def _compare(key: Key, cell: Cell, baseline: Baseline) -> list[Finding]:
    expected, alarms = baseline.cells[key], baseline.false_alarms
    if not math.isfinite(cell.mean):
        return [Finding(True, f"{key}: no value (null or NaN), baseline {expected.mean:.6g}")]
    if cell.clips != expected.clips:
        return [Finding(True, f"{key}: {cell.clips} clips count, baseline {expected.clips}")]
    if cell.frames < COVERAGE * expected.frames:
        return [Finding(True, f"{key}: {cell.frames} frames count, baseline {expected.frames}")]
    change = cell.mean - expected.mean
    tolerance = expected.tolerance(alarms / 2 if key.is_control else alarms)
    if abs(change) <= tolerance:
        return []
    worse = (change > 0) == key.metric.lower_is_better
    moved = "worse" if worse else "better"
    text = f"{key}: {cell.mean:.6g}, {moved} than the baseline {expected.mean:.6g} by {_size(change, expected)}"
    text += f" (limit {_percent(tolerance, expected.mean)}{_seeds(key, baseline)})"
    if key.is_control:
        return [Finding(True, f"{text}; a control moves only with data, metrics or evaluators")]
    return [Finding(worse, text if worse else f"{text}; a new baseline would hold it there")]


def _compare_together(cells: Mapping[Key, Cell], baseline: Baseline) -> list[Finding]:
    found = []
    for name, group in baseline.together.items():
        protocol, _, metric = name.partition("/")
        keys = [key for key in baseline.cells if (key.protocol, key.name) == (protocol, metric) and joins(key)]
        if not keys or not all(key in cells and math.isfinite(cells[key].mean) for key in keys):
            continue  # which is a finding of its own
        changes = [cells[key].mean / baseline.cells[key].mean - 1 for key in keys if baseline.cells[key].mean]
        change = sum(changes) / len(changes)
        limit = quantile(baseline.false_alarms, group.freedom) * group.sd
        if (change if keys[0].metric.lower_is_better else -change) > limit:
            text = (
                f"all {group.cells} trained runs / {name}: worse by {change:+.2%} on average, {change / group.sd:+.1f} "
            )
            found.append(Finding(True, f"{text}sigma (limit {limit:+.2%})"))
    return found


def _size(change: float, expected: Expected) -> str:
    sigma = f", {change / expected.spread:+.1f} sigma" if expected.spread else ""
    return f"{_percent(change, expected.mean)}{sigma}"


def _percent(change: float, mean: float) -> str:
    return f"{change / abs(mean):+.2%}" if mean else f"{change:+.2g}"


def _seeds(key: Key, baseline: Baseline) -> str:
    spread = None if key.is_control else baseline.seeds.get(f"{key.protocol}/{key.name}")
    return "" if spread is None else f"; seeds differ by {spread:.1%}"


def gate_file(path: Path, baseline: Baseline) -> list[Finding]:
    return gate(read_cells(path), baseline)


def sight(baseline: Baseline) -> list[str]:
    """What the baseline can tell from noise: by protocol and metric, the smallest change of one run that fails (the
    best and the worst run's), and of all runs together."""
    lines = []
    names = dict.fromkeys((key.protocol, key.name) for key in baseline.cells if not key.is_control)
    for protocol, name in names:
        keys = [key for key in baseline.cells if (key.protocol, key.name) == (protocol, name) and not key.is_control]
        cells = [cell for key in keys if (cell := baseline.cells[key]).mean]
        if not cells:
            continue
        seen = [cell.tolerance(baseline.false_alarms) / abs(cell.mean) for cell in cells]
        noise = math.sqrt(sum((cell.sd / cell.mean) ** 2 for cell in cells) / len(cells))
        line = f"{protocol}/{name}: re-runs differ by {noise:.2%}, a run fails from {min(seen):.1%} to {max(seen):.1%}"
        if (group := baseline.together.get(f"{protocol}/{name}")) is not None:
            line += f", all together from {quantile(baseline.false_alarms, group.freedom) * group.sd:.1%}"
        if (spread := baseline.seeds.get(f"{protocol}/{name}")) is not None:
            line += f"; seeds differ by {spread:.2%}"
        lines.append(line)
    return lines


def left_out(report: Path, repeats: Sequence[Path], seeds: Mapping[str, Collection[str]]) -> list[str]:
    """Each re-run against a baseline of the others: honest ones should pass. Needs three besides the one left out."""
    everything, lines = [report, *repeats], []
    if len(everything) < 4:
        return []
    for path in everything:
        others = [other for other in everything if other != path]
        failed = [finding for finding in gate_file(path, measure(others[0], others[1:], seeds)) if finding.fails]
        lines.append(f"left out {path}: {'passes' if not failed else f'{len(failed)} fail, such as {failed[0].text}'}")
    return lines


def run_gate(options: Namespace) -> int:
    """`python -m eval gate`: prints what it finds; 1 where something fails."""
    if options.action == "baseline":
        if options.dataset is None:
            raise UserError("gate baseline: name the data set with --dataset.")
        layout = Layout(options.dataset, options.root)
        report = options.report or layout.report / "metrics.json"
        seeds = read_yaml(layout.seeds) if layout.seeds.is_file() else {}
        baseline = measure(report, options.repeats, seeds)
        write_baseline(layout.report / BASELINE, baseline)
        print("\n".join([*sight(baseline), *left_out(report, options.repeats, seeds)]))
        print(f"{len(baseline.cells)} cells of {1 + len(options.repeats)} runs -> {layout.report / BASELINE}")
        return 0
    failed, datasets = 0, _datasets(options.root, options.dataset)
    if options.report is not None and len(datasets) > 1:
        raise UserError(f"gate: --report is of one data set; name it with --dataset: {', '.join(datasets)}.")
    for dataset in datasets:
        layout = Layout(dataset, options.root)
        baseline = read_baseline(layout.report / BASELINE)
        findings = gate_file(options.report or layout.report / "metrics.json", baseline)
        fails = sum(finding.fails for finding in findings)
        print(
            "\n".join([*map(str, findings), f"{dataset}: {fails} faults, {len(baseline.cells)} cells in the baseline"])
        )
        failed += fails
    return int(failed > 0)


def _datasets(root: Path, dataset: str | None) -> list[str]:
    """The data sets whose reports have a baseline, or the one that is named."""
    found = sorted(path.parent.name for path in (root / "reports").glob(f"*/{BASELINE}"))
    if dataset is None and not found:
        raise UserError(
            "No report has a baseline.json; write one with `python -m eval gate baseline --dataset D --repeats ...`."
        )
    return found if dataset is None else [dataset]
