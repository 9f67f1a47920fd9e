"""What the papers claim of the methods, what K does, and what each component brings: answers in words."""

from __future__ import annotations

from itertools import combinations, pairwise

from eval.report.changes import LEGEND, Change, changes, counted, described
from eval.report.question import Question
from eval.report.words import listed
from eval.tables.published import PublishedRow
from eval.tables.results import Results
from eval.tables.verdict import PRINTED
from eval.types import Protocol


def claims(results: Results, protocol: Protocol) -> Question:
    """Whether the last method of the table of reconstruction is ahead of the others where the papers print it ahead;
    without sentences where nothing printed can be compared."""
    runs = [run for run in results.config.tables.reconstruction if run in results.scored]
    subject = runs[-1] if runs else ""
    # All pairs, so that p is corrected as in the table of comparisons.
    found = changes(results, list(combinations(runs, 2)), protocol)

    # Against each rival: what is printed of both, and what was found here.
    rivals, sentences, told, claimed, kept = [], [], [], 0, 0
    for rival in runs[:-1]:
        printed = {name: _ahead(results, subject, rival, name) for name in PRINTED}
        here = [change for change in found[rival, subject] if printed.get(change.metric.name) is not None]
        if here:
            due = [change for change in here if printed[change.metric.name]]
            sure = [change.metric.title for change in due if change.significant and change.better]
            claimed, kept = claimed + len(due), kept + len(sure)
            label = results.label(rival)
            told.append(f"of {label} in {listed(sure) if sure else 'no metric'} ({len(sure)} of {len(due)})")
            rivals.append(label)
            rows = [_row(results, run, change.metric.name) for run in (subject, rival) for change in here]
            recalled = any(row is not None and row.status == "recalled" for row in rows)
            sentences.append(
                f"Against {label}: {described(here, in_full=True)} Published: {_published(here, printed)}"
                f"{', by numbers recalled and not checked against the paper' if recalled else ''}."
            )

    # The answer in one sentence.
    if not sentences or results.published is None:
        return Question("", "", "reconstruction", protocol, True)
    name, on = results.label(subject), results.published.title
    word = "Yes" if claimed == kept else "In part" if kept else "No"
    headline = f"{word}. Where {name} is published as ahead (on {on}), it is significantly ahead here {listed(told)}."
    if not claimed:
        headline = f"{name} is published as ahead (on {on}) in no metric that is measured here."
    title, headline = f"Is {name} ahead of {listed(rivals)}, as published?", f"{headline} {LEGEND}"
    return Question(title, headline, "reconstruction", protocol, True, sentences=tuple(sentences))


def _ahead(results: Results, run: str, rival: str, name: str) -> bool | None:
    """Whether the papers print a better number for `run`; None where they lack either's, or both are the same."""
    mine, other = (_row(results, one, name) for one in (run, rival))
    if mine is None or other is None or name not in results.metrics:
        return None
    difference = float(getattr(mine, name)) - float(getattr(other, name))
    return None if difference == 0 else results.metrics[name].is_better(difference)


def _row(results: Results, run: str, name: str) -> PublishedRow | None:
    """The first row of `run` that prints a number of the metric `name`."""
    return next((row for row in results.printed(run) if getattr(row, name) is not None), None)


def _published(here: list[Change], printed: dict[str, bool | None]) -> str:
    """Such as `ahead in L1 and AKD, behind in AED`."""
    sides = {side: [c.metric.title for c in here if printed[c.metric.name] == side] for side in (True, False)}
    words = {True: "ahead", False: "behind"}
    return ", ".join(f"{words[side]} in {listed(names)}" for side, names in sides.items() if names)


def keypoints(results: Results, protocol: Protocol) -> Question:
    """What changes from each method's fewest keypoints to its most."""
    methods: dict[str, list[tuple[int, str]]] = {}
    for run in results.config.tables.k_ablation:
        about = results.summary(run)
        if run in results.scored and about.get("keypoints") is not None:
            methods.setdefault(str(about["method"]), []).append((int(about["keypoints"]), run))
    ends = {method: (min(runs), max(runs)) for method, runs in methods.items()}
    ends = {method: (few, many) for method, (few, many) in ends.items() if few[0] < many[0]}

    found = changes(results, [(few[1], many[1]) for few, many in ends.values()], protocol)
    sentences, told = [], []
    for method, (few, many) in ends.items():
        if here := found[few[1], many[1]]:
            what = f"{results.method_title(method)} with {many[0]:,} keypoints in place of {few[0]:,}"
            sentences.append(f"{what}: {described(here)}")
            told.append(f"{what} is {counted(here)}.")
    return Question(
        "What does K do?", " ".join((*told, LEGEND)), "reconstruction", protocol, False, sentences=tuple(sentences)
    )


def components(results: Results, protocol: Protocol) -> Question:
    """What each part brings over those before it, and all over none; runs of the full model's method alone."""
    listed_runs = [run for run in results.config.tables.components if run in results.scored]
    methods = {run: results.summary(run).get("method") for run in listed_runs}
    runs = [run for run in listed_runs if methods[run] == methods[listed_runs[-1]]]
    steps = list(pairwise(runs))
    whole = (runs[0], runs[-1]) if len(steps) > 1 else None

    found = changes(results, [*steps, whole] if whole else steps, protocol)
    sentences = []
    for before, after in steps:
        if here := found[before, after]:
            # Not the label first: one that begins with `+` would begin a list in Markdown.
            sentences.append(f"From {results.label(before)} to {results.label(after)}: {described(here)}")
    headline = LEGEND
    if whole and found[whole]:
        name = f"from {results.label(whole[0])} to {results.label(whole[1])}"
        headline = f"All together, {name}: {counted(found[whole])}. {LEGEND}"
        sentences.append(f"All together, {name}: {described(found[whole])}")
    title = "What does each component bring?"
    return Question(title, headline, "reconstruction", protocol, False, sentences=tuple(sentences))
