"""What the papers claim of the methods, what K does, and what each component brings: answers in words."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

from eval.report.question import Question
from eval.report.words import listed
from eval.tables.changes import Change, changes, component_pairs, keypoint_pairs
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
    rivals, sentences, told, claimed, kept, recalled = [], [], [], 0, 0, False
    for rival in runs[:-1]:
        printed = {name: _ahead(results, subject, rival, name) for name in PRINTED}
        here = [change for change in found[rival, subject] if printed.get(change.metric.name) is not None]
        if here:
            due = [change for change in here if printed[change.metric.name]]
            sure = [change.metric.title for change in due if change.significant and change.better]
            claimed, kept = claimed + len(due), kept + len(sure)
            label = results.label(rival)
            told.append(f"of {label} in {len(sure) or 'none'} of {len(due)} metrics")
            rivals.append(label)
            rows = [_row(results, run, change.metric.name) for run in (subject, rival) for change in here]
            recalled |= any(row is not None and row.status == "recalled" for row in rows)
            sentences.append(f"Against {label}, published: {_published(here, printed)}.")
            sentences += described(f"Against {label}, here", here)

    # The answer in one sentence.
    if not sentences or results.published is None:
        return Question("", "", "reconstruction", protocol, True)
    name, on = results.label(subject), results.published.title
    word = "Yes" if claimed == kept else "In part" if kept else "No"
    headline = f"{word}. Where {name} is published as ahead, it is clearly ahead here {listed(told)}."
    if not claimed:
        headline = f"{name} is published as ahead in no metric that is measured here."
    source = f"The published numbers are of {on}{', recalled and not checked against the paper' if recalled else ''}."
    title = f"Is {name} ahead of {listed(rivals)}, as published?"
    return Question(title, headline, "reconstruction", protocol, True, sentences=(*sentences, source))


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
    pairs = keypoint_pairs(results)
    sentences, told = [], []
    for pair, here in changes(results, list(pairs), protocol).items():
        if here:
            few, many = pairs[pair]
            method = results.method_title(str(results.summary(pair[0]).get("method", "")))
            sentences += described(f"{method}, {many:,} keypoints in place of {few:,}", here)
            told.append(f"{method} with {many:,} keypoints in place of {few:,} is {counted(here)}.")
    return Question("What does K do?", " ".join(told), "reconstruction", protocol, False, sentences=tuple(sentences))


def components(results: Results, protocol: Protocol) -> Question:
    """What each part brings over those before it, and all over none; runs of the full model's method alone."""
    pairs = component_pairs(results)
    sentences, headline = [], ""
    for number, (pair, here) in enumerate(changes(results, pairs, protocol).items()):
        if here:
            # Not the label first: one that begins with `+` would begin a list in Markdown.
            name = f"From {results.label(pair[0])} to {results.label(pair[1])}"
            if len(pairs) > 1 and number == len(pairs) - 1:
                headline = f"{name}, all together: {counted(here)}."
                name = f"All together, {name[0].lower()}{name[1:]}"
            sentences += described(name, here)
    title = "What does each component bring?"
    return Question(title, headline, "reconstruction", protocol, False, sentences=tuple(sentences))


def counted(found: Sequence[Change]) -> str:
    """In how many metrics the run after differs, such as `clearly better in 2 of 9 metrics`."""
    better, worse = ([c for c in found if c.significant and c.better == side] for side in (True, False))
    parts = [f"{word} in {len(group)}" for word, group in (("better", better), ("worse", worse)) if group]
    if not parts:
        return f"clearly different in none of {len(found)} metrics"
    return f"clearly {' and '.join(parts)} of {len(found)} metrics"


def described(what: str, found: Sequence[Change]) -> list[str]:
    """In which metrics the run after is better, worse or neither; what no more than another seed might do is said."""
    names = {
        word: [change.metric.title for change in found if side(change)]
        for word, side in {
            "better in": lambda change: change.significant and change.better,
            "worse in": lambda change: change.significant and not change.better,
            "no clear difference in": lambda change: not change.significant,
        }.items()
    }
    if len(names["no clear difference in"]) == len(found) > 1:
        return [f"{what}: no clear difference in any metric."]
    sentences = [f"{what}: {'; '.join(f'{word} {listed(titles)}' for word, titles in names.items() if titles)}."]
    if small := [change.metric.title for change in found if change.significant and change.by_seed]:
        sentences.append(f"In {listed(small)} that is no more than training seeds differ by.")
    return sentences
