"""Which run is best at what, and how sure that is, in words made from the scores."""

from __future__ import annotations

from collections.abc import Sequence

from eval.metrics import Metric
from eval.report.ablations import claims, components, keypoints
from eval.report.question import Finding, Question
from eval.report.seed_ranges import seed_ranges
from eval.report.words import listed
from eval.scoring.controls import SOURCE_COPY
from eval.stats.intervals import LEVEL
from eval.stats.pairwise import Comparison
from eval.tables.results import Results, Series
from eval.tables.table import Value, number


def answer(results: Results) -> list[Question]:
    """Every question that the tables ask: the methods', those of each animation mode, then the ablations'."""
    tables, protocols = results.config.tables, results.config.protocols
    questions = [claims(results, protocol) for protocol in protocols]
    for protocol in protocols:
        series = [Series(run, protocol=protocol) for run in tables.reconstruction]
        questions.append(_question(results, "Reconstruction", series, Series(SOURCE_COPY, protocol=protocol)))

    # A mode's copy of the source is scored with the first run that animates.
    first = next((one.run for one in results.animations), "")
    for mode in results.animation_modes:
        series = [one for one in results.animations if one.mode == mode]
        title = f"Animation across identities, {mode} mode"
        questions.append(_question(results, title, series, Series(first, "animation", SOURCE_COPY)))

    questions += [ask(results, protocol) for ask in (keypoints, components) for protocol in protocols]
    return [question for question in questions if question.findings or question.sentences]


def _question(results: Results, title: str, series: Sequence[Series], copy: Series) -> Question:
    measured = [metric for metric in results.metrics.values() if not metric.detection]
    found = tuple(f for metric in measured if (f := _finding(results, metric, series, copy)) is not None)
    mode = series[0].mode or "reconstruction" if series else ""
    protocol = series[0].protocol if series else ""
    return Question(title, headline(found), mode, protocol, True, findings=found)


def headline(findings: Sequence[Finding]) -> str:
    """Who is best in which metrics, in which of them another seed could say otherwise, and in which ones nobody is."""
    wins: dict[str, list[str]] = {}
    for finding in findings:
        wins.setdefault(finding.best[0] if len(finding.best) == 1 else "", []).append(finding.metric)
    open_ = wins.pop("", [])
    parts = [f"{run} is best in {listed(metrics)}." for run, metrics in wins.items()]
    if unsure := [finding.metric for finding in findings if finding.by_seed and len(finding.best) == 1]:
        parts.append(f"In {listed(unsure)} some training seeds put the first two the other way round.")
    if open_:
        parts.append(f"In {listed(open_)} no run is clearly best.")
    return " ".join(parts)


def _finding(results: Results, metric: Metric, series: Sequence[Series], copy: Series) -> Finding | None:
    """None where fewer than two runs were scored: then there is nothing to compare."""
    ranked = [(s, e) for s in series if (e := results.estimate(s, metric.name)) is not None]
    ranked.sort(key=lambda pair: pair[1].mean if metric.lower_is_better else -pair[1].mean)
    if len(ranked) < 2:
        return None
    (first, estimate), *others = ranked
    name = results.label(first.run)
    value = Value(estimate, metric.decimals).text()

    # Whom the first beats for sure, and whom not.
    tied: list[tuple[Series, Comparison | None]] = []
    worse: list[tuple[Series, Comparison | None]] = []
    compared = results.comparisons(tuple(series), metric.name)
    for other, _ in others:
        comparison = compared.get((other, first))
        # The comparison is over common frames, and may turn round what the means of all frames rank.
        sure = comparison is not None and comparison.decided and metric.is_better(-comparison.difference.mean)
        (worse if sure else tied).append((other, comparison))

    # The sentence names the nearest rival, and beside it stand seeds and the repeated source.
    best = (name, *(results.label(other.run) for other, _ in tied))
    rival, comparison = (tied or worse)[0]
    gap = _gap(metric, results.label(rival.run), comparison)
    if tied:
        sentence = f"{listed(best)} do not differ significantly: {name} has {value}, {gap}."
    else:
        sentence = f"{name} is best: {value}, {gap}."
    ranges = seed_ranges(results, metric, first, rival)
    beside = (ranges.sentence if ranges else "", _against(results, metric, [s for s, _ in ranked], copy))
    return Finding(
        metric.title, metric.unit, best, sentence, tuple(filter(None, beside)), ranges is not None and ranges.overlap
    )


def _against(results: Results, metric: Metric, series: Sequence[Series], copy: Series) -> str:
    """Which runs beat repeating the source, the least that one can do."""
    read = results.estimate(copy, metric.name)
    if read is None:
        return ""
    better = []
    for mine in series:
        # Animation's copy is scored on the first run's pairs, which are all runs'.
        difference = results.difference(mine, copy, metric.name)
        if difference and difference.excludes_zero and metric.is_better(difference.mean):
            better.append(results.label(mine.run))
    value = number(read.mean, metric.decimals)
    if len(better) == len(series):
        return f"All beat the repeated source ({value})."
    if not better:
        return f"None beats the repeated source ({value})."
    return f"Only {listed(better)} beat{'s' * (len(better) == 1)} the repeated source ({value})."


def _gap(metric: Metric, label: str, comparison: Comparison | None) -> str:
    """How far the best run lies before another, with the paired interval and the corrected p; the comparison is of the
    other with the best."""
    if comparison is None:
        return f"with no frame in common with {label}"
    gap = comparison.difference if metric.lower_is_better else -comparison.difference
    word = "lower" if metric.lower_is_better else "higher"
    p = "< .001" if comparison.corrected < 0.001 else f"= {number(comparison.corrected, 3)}"
    text = f"{word} than {label} by {Value(gap, metric.decimals).text()}, p {p}"
    # The two tests may disagree; a difference is decided where both find it.
    return text if comparison.decided or comparison.corrected > 1 - LEVEL else f"{text}, but the interval reaches zero"
