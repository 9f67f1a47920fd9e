"""The paper's tables, from scores: which rows and columns each has."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from eval.metrics import Metric
from eval.scoring.controls import CONTROLS, DRIVING_CLIP, SOURCE_COPY
from eval.stats.intervals import UNITS, Estimate
from eval.tables.changes import ablation_changes, component_pairs, keypoint_pairs
from eval.tables.detection import detection, estimated
from eval.tables.pairwise import comparisons
from eval.tables.published import LEGEND, PublishedSet
from eval.tables.results import Results, Series
from eval.tables.seeds import seeds
from eval.tables.table import Cell, Missing, Table, Value
from eval.tables.verdict import verdicts
from eval.types import PROTOCOLS, Protocol

INTERVALS = (
    "{mean} [95 % interval over {unit}]. Bold: the run that is better than every other of its column, where the "
    "interval of each paired difference excludes zero and its sign-flip test, corrected for all pairs of the column "
    "(Holm), stays below .05; a control is never bold, even where it is better."
)
MEANS: dict[Protocol, str] = {"strict": "Mean over clips of each clip's mean", "legacy": "Mean over frames"}
STRICT = "Frame 0, which repeats the source, is left out."
LEGACY = (
    "As pose-evaluation, the papers' program, would print it: AKD not Euclidean, AED squared, truncated frames, L1 on "
    "floats, frame 0 included; frames in which nothing is found are left out, and it does not say how many."
)
ANIMATION_CONTROLS = {SOURCE_COPY: "Copy of the source", DRIVING_CLIP: "The driving clip itself"}


@dataclass(frozen=True)
class TableRow:
    """A labelled series; `lead` are cells before the metrics', `published` those after."""

    label: str
    series: Series
    contends: bool
    lead: tuple[Cell, ...] = ()
    published: tuple[str, ...] = ()


def build_tables(results: Results) -> list[Table]:
    """Every table whose list of runs is not empty, the strict ones first."""
    lists = results.config.tables
    tables = []

    # Each table, where its runs are listed and the protocol has it.
    for protocol in (protocol for protocol in PROTOCOLS if protocol in results.config.protocols):
        strict = protocol == "strict"
        if lists.reconstruction:
            tables.append(reconstruction(results, protocol))
        if lists.reconstruction and strict:
            tables += [detection(results), differences(results)]
        if len(lists.reconstruction) > 1:
            tables.append(comparisons(results, _measured(results, protocol), protocol))
        if lists.k_ablation:
            tables.append(k_ablation(results, protocol))
        if lists.components:
            tables.append(components(results, protocol))
        if keypoint_pairs(results) or component_pairs(results):
            tables.append(ablation_changes(results, _measured(results, protocol), protocol))
        if lists.animation and strict:
            tables.append(animation(results))
        if results.seeds and strict:
            tables.append(seeds(results, _measured(results, protocol)))
        if results.published is not None and not strict:
            tables.append(verdicts(results, results.published))
    return tables


def reconstruction(results: Results, protocol: Protocol) -> Table:
    """The paper's Table 1."""
    runs = results.config.tables.reconstruction
    return _table(results, "reconstruction", "Video reconstruction", runs, protocol, published=results.published)


def k_ablation(results: Results, protocol: Protocol) -> Table:
    """The paper's Table 3, whose values were not found; keypoints are counted in all (TPSMM: five a transformation)."""

    def lead(run: str) -> tuple[Cell, ...]:
        about = results.summary(run)
        flops = about.get("flops_per_frame")
        counts = (about.get("keypoints"), about.get("parameters"), flops and round(flops / 1e6))
        missing = Missing("not recorded; train again" if about else "not trained")
        return tuple(missing if count is None else int(count) for count in counts)

    leads = ("Keypoints", "Parameters", "MFLOPs per frame")
    note = (
        "Keypoints in all: five for each of TPSMM's K transformations. FLOPs: 2 for every multiply-add of one driving "
        "frame at inference, the source's code apart. The paper's Table 3: n/a, not found."
    )
    runs = results.config.tables.k_ablation
    return _table(results, "k_ablation", "Number of keypoints", runs, protocol, leads, lead, notes=(note,))


def components(results: Results, protocol: Protocol) -> Table:
    """The paper's Table 4, in its order: parts of the method, added one by one."""
    runs = results.config.tables.components
    return _table(results, "components", "Components", runs, protocol, published=results.published)


def differences(results: Results) -> Table:
    """Each run less the copied source, paired on clips: what animating is worth over doing nothing."""
    columns = _measured(results, "strict")
    base = Series("copy-source")

    # One row per run; a cell without a number says which side lacks one.
    rows = []
    for run in results.config.tables.reconstruction:
        cells: list[Cell] = [results.label(run)]
        for metric in columns:
            estimate = results.difference(Series(run), base, metric.name)
            missing = Series(run) if results.estimate(Series(run), metric.name) is None else base
            cells.append(
                Missing(results.reason(missing, metric.name) + (" for the copy" if missing == base else ""))
                if estimate is None
                else Value(estimate, metric.decimals, best=_improves(estimate, metric), signed=True)
            )
        rows.append(tuple(cells))

    # The table, with what is bold in it.
    return Table(
        "difference_to_copy",
        f"Video reconstruction, difference to the copied source, {results.layout.dataset}",
        ("Run", *(metric.heading for metric in columns)),
        tuple(rows),
        (
            f"Run less copy, paired over common frames [95 % interval, resampled by {results.bootstrap.unit}]. Bold: "
            f"better than the copy, zero excluded. {STRICT}",
        ),
    )


def animation(results: Results) -> Table:
    """Animation across identities, for which no ground truth exists."""
    columns = [metric for metric in results.metrics.values() if metric.animation is not None]
    columns.sort(key=lambda metric: metric.detection)
    rows = []
    for run in results.config.tables.animation:
        modes = results.modes(run) or ("n/a",)
        rows += [TableRow(results.label(run), Series(run, "animation", mode), True, (mode,)) for mode in modes]
    for first in results.animations[:1]:
        for mode, label in ANIMATION_CONTROLS.items():
            rows.append(TableRow(label, replace(first, mode=mode), False, ("control",)))
    notes = (
        f"{_pairs(results)}The best is looked for within a mode. AED is to the source's first frame (is the identity "
        "kept?); Pose and MKR are to the driving frame (is the motion followed?). AKD without alignment makes sense in "
        "standard mode alone. The papers' program has no numbers for animation across identities.",
    )
    title = "Animation across identities"
    return _filled(results, "animation", title, rows, ("Mode",), columns, (), notes, "strict")


def _pairs(results: Results) -> str:
    """How many pairs the most of the rows are of."""
    every = [results.estimate(series, name) for series, name in results.animated]
    clips = [estimate.clips for estimate in every if estimate is not None]
    return f"{max(clips)} pairs. " if clips else ""


def _measured(results: Results, protocol: Protocol) -> list[Metric]:
    return [metric for metric in results.measured if protocol in metric.protocols]


def _table(
    results: Results,
    name: str,
    title: str,
    runs: Sequence[str],
    protocol: Protocol,
    leads: tuple[str, ...] = (),
    lead: Callable[[str], tuple[Cell, ...]] = lambda run: (),
    published: PublishedSet | None = None,
    notes: tuple[str, ...] = (),
) -> Table:
    """A table of reconstruction, `NAME` or `NAME_legacy`: the runs, then the controls.

    Published numbers are of the papers' protocol, and stand beside no other.
    """
    strict = protocol == "strict"
    published = None if strict else published
    rows = []
    for run in (*runs, *CONTROLS):
        is_control = run in CONTROLS
        about = ("",) * len(leads) if is_control else lead(run)
        printed: tuple[str, ...] = ()
        if published is not None:
            printed = ("" if is_control else published.text(results.printed(run), results.layout.dataset),)
        rows.append(TableRow(results.label(run), Series(run, protocol=protocol), not is_control, about, printed))
    last = () if published is None else (f"Published on {published.title}",)
    notes = (STRICT if strict else LEGACY, *notes, *(() if published is None else (LEGEND,)))
    columns = _measured(results, protocol)
    return _filled(results, name if strict else f"{name}_legacy", title, rows, leads, columns, last, notes, protocol)


def _filled(
    results: Results,
    name: str,
    title: str,
    rows: Sequence[TableRow],
    leads: tuple[str, ...],
    columns: Sequence[Metric],
    last: tuple[str, ...],
    notes: tuple[str, ...],
    protocol: Protocol,
) -> Table:
    """A table of `rows` with a cell for each metric of `columns`, and the best of each column and mode in bold."""
    modes = {row.series.mode for row in rows}
    best = {(metric.name, mode): _best(results, rows, metric, mode) for metric in columns for mode in modes}
    body = []
    for row in rows:
        cells = [
            estimated(results, row.series, metric, best=row.series == best[metric.name, row.series.mode])
            for metric in columns
        ]
        body.append((row.label, *row.lead, *cells, *row.published))
    heads = ("Run", *leads, *(metric.heading for metric in columns), *last)
    notes = (INTERVALS.format(mean=MEANS[protocol], unit=UNITS[results.bootstrap.unit]), *notes)
    return Table(name, f"{title}, {results.layout.dataset}", heads, tuple(body), notes, protocol)


def _best(results: Results, rows: Sequence[TableRow], metric: Metric, mode: str) -> Series | None:
    """The contender that is better than every other in the same mode, each time decidedly."""
    contenders = list(dict.fromkeys(row.series for row in rows if row.contends and row.series.mode == mode))
    scored = [series for series in contenders if results.estimate(series, metric.name) is not None]
    if len(scored) < 2:
        return None
    found = results.comparisons(contenders, metric.name)

    def beats(mine: Series, other: Series) -> bool:
        comparison = found.get((mine, other))
        return comparison is not None and comparison.decided and _improves(comparison.difference, metric)

    return next((mine for mine in scored if all(beats(mine, other) for other in scored if other != mine)), None)


def _improves(difference: Estimate, metric: Metric) -> bool:
    return difference.excludes_zero and metric.is_better(difference.mean)
