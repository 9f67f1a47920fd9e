"""Which run is best at what, and how sure that is, in words made from the scores."""

from __future__ import annotations

from collections.abc import Sequence

from eval.metrics import Metric
from eval.report.ablations import claims, components, keypoints
from eval.report.question import NOBODY, Finding, Question
from eval.report.seed_ranges import seed_ranges
from eval.report.words import listed
from eval.scoring.controls import SOURCE_COPY
from eval.stats.pairwise import Comparison
from eval.tables.results import Results, Series
from eval.tables.table import Value, number
from eval.tables.verdict import PRINTED


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
    """Who is best in which metrics, in which of them another seed could say otherwise or repeating the source does as
    well, and in which ones nobody is."""
    wins: dict[str, list[str]] = {}
    for finding in findings:
        wins.setdefault(finding.best[0] if len(finding.best) == 1 else "", []).append(finding.metric)
    open_ = wins.pop("", [])
    parts = [f"{run} is best in {listed(metrics)}." for run, metrics in wins.items()]
    if unsure := [finding.metric for finding in findings if finding.by_seed and len(finding.best) == 1]:
        parts.append(f"In {listed(unsure)} other training seeds turn the first two round.")
    if behind := [finding.metric for finding in findings if finding.behind_copy]:
        parts.append(f"In {listed(behind)} not even the best run beats a repeated source.")
    if open_:
        parts.append(f"In {listed(open_)} no run is clearly best.")
    return " ".join(parts)


def brief(results: Results, questions: Sequence[Question]) -> str:
    """Which method is best in which of the papers' metrics, in one sentence; '' where there is nothing to compare."""
    titles = [results.metrics[name].title for name in PRINTED if name in results.metrics]
    asked = [q for q in questions if q.protocol == results.protocol and q.mode == "reconstruction" and q.main]
    findings = [finding for question in asked for finding in question.findings if finding.metric in titles]
    wins: dict[str, list[str]] = {}
    for finding in findings:
        if len(finding.best) == 1:
            doubts = ["not from every training seed"] if finding.by_seed else []
            doubts += ["without beating a repeated source"] if finding.behind_copy else []
            wins.setdefault(finding.best[0], []).append(finding.metric + (f" (but {listed(doubts)})" if doubts else ""))
    told = [f"{run} {'in' if place else 'is best in'} {listed(its)}" for place, (run, its) in enumerate(wins.items())]
    best = listed(told) if told else ""
    open_ = [finding.metric for finding in findings if len(finding.best) > 1]
    tied = f"in {listed(open_)} no method is clearly best" if open_ else ""
    sentence = "; ".join(filter(None, (best, tied)))
    return f"{sentence[0].upper()}{sentence[1:]}." if sentence else ""


def _finding(results: Results, metric: Metric, series: Sequence[Series], copy: Series) -> Finding | None:
    """None where fewer than two runs were scored: then there is nothing to compare."""
    ranked = [(s, e) for s in series if (e := results.estimate(s, metric.name)) is not None]
    ranked.sort(key=lambda pair: pair[1].mean if metric.lower_is_better else -pair[1].mean)
    if len(ranked) < 2:
        return None
    (first, estimate), *others = ranked

    # Whom the first beats for sure, and whom not.
    tied: list[tuple[Series, Comparison | None]] = []
    worse: list[tuple[Series, Comparison | None]] = []
    compared = results.comparisons(tuple(series), metric.name)
    for other, _ in others:
        comparison = compared.get((other, first))
        # The comparison is over common frames, and may turn round what the means of all frames rank.
        sure = comparison is not None and comparison.decided and metric.is_better(-comparison.difference.mean)
        (worse if sure else tied).append((other, comparison))

    # The nearest rival, and what seeds and the repeated source say.
    rival, comparison = (tied or worse)[0]
    lead, p = _lead(metric, comparison)
    ranges = seed_ranges(results, metric, first, rival)
    beats, still = _against(results, metric, [s for s, _ in ranked], copy)
    return Finding(
        metric=metric.title,
        unit=metric.unit,
        best=(results.label(first.run), *(results.label(other.run) for other, _ in tied)),
        value=Value(estimate, metric.decimals).text(),
        rival=results.label(rival.run),
        lead=lead,
        p=p,
        seeds=ranges.words if ranges else "",
        beats=beats,
        copy=still,
        by_seed=ranges is not None and ranges.overlap,
    )


def _against(results: Results, metric: Metric, series: Sequence[Series], copy: Series) -> tuple[str, str]:
    """Which runs beat repeating the source, the least that one can do, and what that scores."""
    read = results.estimate(copy, metric.name)
    if read is None:
        return "", ""
    if copy.task == "animation" and metric.animation == "source":
        return "none can: it is the reference", number(read.mean, metric.decimals)
    better = []
    for mine in series:
        # Animation's copy is scored on the first run's pairs, which are all runs'.
        difference = results.difference(mine, copy, metric.name)
        if difference and difference.excludes_zero and metric.is_better(difference.mean):
            better.append(results.label(mine.run))
    words = "all" if len(better) == len(series) else listed(better) if better else NOBODY
    return words, number(read.mean, metric.decimals)


def _lead(metric: Metric, comparison: Comparison | None) -> tuple[str, str]:
    """How far the best run lies ahead of another, with the paired interval, and the corrected p; the comparison is of
    the other with the best."""
    if comparison is None:
        return "no common frame", ""
    lead = comparison.difference if metric.lower_is_better else -comparison.difference
    p = "<.001" if comparison.corrected < 0.001 else number(comparison.corrected, 3)
    return Value(lead, metric.decimals).text(), p
