"""Two sets of scores, of two runs or two laboratories, held against each other on the clips that both have."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from eval import metrics
from eval.scoring.scores_file import NEWER, read_scores
from eval.stats.config import BootstrapConfig
from eval.stats.intervals import Averaging, ClipSums, Estimate, difference, mean
from tpsm.core.errors import UserError
from tpsm.core.layout import pair_parts
from tpsm.core.reading import read_json

SERIES = ["task", "mode", "metric", "protocol"]


@dataclass(frozen=True)
class Side:
    """Scores of one run, and the hash of each clip's frames where a certificate beside them says it."""

    path: Path
    rows: pd.DataFrame
    content: Mapping[str, str]

    @property
    def run(self) -> str:
        return str(self.rows["run"].iloc[0])

    @property
    def dataset(self) -> str:
        return str(self.rows["dataset"].iloc[0])


@dataclass(frozen=True)
class Common:
    """Names of clips: common to both sides, of these those known to have the same frames, and what was left out: in one
    side alone, or of one name but with other frames."""

    clips: frozenset[str]
    verified: frozenset[str]
    mine_alone: frozenset[str]
    other_alone: frozenset[str]
    unlike: frozenset[str]


@dataclass(frozen=True)
class MetricDifference:
    """One metric of one series on the common clips: both means, and mine less other's."""

    task: str
    mode: str
    metric: str
    protocol: str
    mine: Estimate
    other: Estimate
    difference: Estimate


def compare(mine: Path, other: Path, bootstrap: BootstrapConfig) -> str:
    """A page: for every run that both folders have (or for the two files), what the clips in common say.

    Raises:
        UserError: unreadable, of different data sets or versions, or without anything in common.
    """
    return "\n\n".join(_page(one, another, bootstrap) for one, another in _paired(mine, other))


def common_clips(mine: Side, other: Side) -> Common:
    names, others = (frozenset(map(str, side.rows["clip"].unique())) for side in (mine, other))
    both = {name: (_content(name, mine.content), _content(name, other.content)) for name in names & others}
    unlike = frozenset(name for name, (one, another) in both.items() if one and another and one != another)
    verified = frozenset(name for name, (one, another) in both.items() if one and one == another)
    return Common(frozenset(both) - unlike, verified, names - others, others - names, unlike)


def rows(mine: Side, other: Side, clips: frozenset[str], bootstrap: BootstrapConfig) -> list[MetricDifference]:
    """Every metric that both have, by task, mode and protocol.

    Raises:
        UserError: a metric has another version on one side: its numbers mean another thing.
    """
    found = []
    grouped = [dict(iter(side.rows[side.rows["clip"].isin(clips)].groupby(SERIES))) for side in (mine, other)]
    for key in sorted(grouped[0].keys() & grouped[1].keys()):
        one, another = grouped[0][key], grouped[1][key]
        versions = [sorted(map(int, side["version"].unique())) for side in (one, another)]
        if versions[0] != versions[1]:
            said = [", ".join(str(v) if v else "none" for v in side) for side in versions]
            raise UserError(
                f"{key[2]} has version {said[0]} in {mine.path} and {said[1]} in {other.path}, which mean different "
                "things; score both with the same code."
            )
        averaging: Averaging = "frame" if key[3] == "legacy" else "clip"
        estimates = [mean(ClipSums.of(side, bootstrap.unit, averaging), bootstrap) for side in (one, another)]
        apart = difference(one, another, bootstrap, averaging)
        if estimates[0] is not None and estimates[1] is not None and apart is not None:
            task, mode, metric, protocol = map(str, key)
            found.append(MetricDifference(task, mode, metric, protocol, estimates[0], estimates[1], apart))
    return found


def read_side(path: Path) -> Side:
    """Raises UserError where it is no file of scores."""
    remedy = "name scores/DATASET/RUN.parquet, as `python -m eval score` writes it, or two folders of such files."
    return Side(path, read_scores(path, remedy, NEWER), _certificate(path))


def _certificate(scores: Path) -> Mapping[str, str]:
    """Of `scores/D/run.parquet`, what `reports/D/coverage.json` says; empty where that is not there."""
    folder = scores.absolute().parent
    path = folder.parent.parent / "reports" / folder.name / "coverage.json"
    if not path.is_file():
        return {}
    try:
        return {str(name): str(sha256) for name, sha256 in read_json(path, "certificate")["content"].items()}
    except (AttributeError, KeyError, TypeError) as error:
        raise UserError(f"{path} is no certificate ({error}); make it again, or move it away.") from error


def _content(name: str, content: Mapping[str, str]) -> str | None:
    """The hash of a clip's frames, or of a pair those of both; None where it is not known."""
    if name in content:
        return content[name]
    source, driving = pair_parts(name)
    return content[source] + content[driving] if source in content and driving in content else None


def _paired(mine: Path, other: Path) -> Iterator[tuple[Side, Side]]:
    if mine.is_dir() != other.is_dir():
        raise UserError(f"Compare two files of scores or two folders of them, not {mine} with {other}.")
    if not mine.is_dir():
        yield read_side(mine), read_side(other)
        return
    names = [{path.name for path in folder.glob("*.parquet")} for folder in (mine, other)]
    if not names[0] & names[1]:
        raise UserError(f"{mine} and {other} have no run in common; name two files to compare different runs.")
    for name in sorted(names[0] & names[1]):
        yield read_side(mine / name), read_side(other / name)


def _page(mine: Side, other: Side, bootstrap: BootstrapConfig) -> str:
    if mine.dataset != other.dataset:
        raise UserError(f"{mine.path} has scores of {mine.dataset}, and {other.path} of {other.dataset}.")
    for old, new in ((mine, other), (other, mine)):
        if not old.rows["version"].any() and new.rows["version"].any():
            raise UserError(f"{old.path} does not say the version of its metrics, as {new.path} does; score it again.")

    # What both have: clips, then metrics.
    common = common_clips(mine, other)
    if not common.clips:
        raise UserError(f"{mine.path} and {other.path} have no clip in common.")
    found = rows(mine, other, common.clips, bootstrap)
    if not found:
        raise UserError(f"{mine.path} and {other.path} have no metric in common under one protocol.")

    # The page: a title, how much is common, and a table.
    counts = (
        f"{len(common.clips)} clips and pairs are common, {len(common.verified)} known to have the same frames. "
        f"Left out: {len(common.mine_alone)} that A alone has, {len(common.other_alone)} that B alone has, "
        f"{len(common.unlike)} of one name with other frames."
    )
    table = ["| | A | B | A - B | clips | |", "|---|--:|--:|--:|--:|---|"]
    table += [
        f"| {_title(row)} | {row.mine.mean:.4g} | {row.other.mean:.4g} | {row.difference.mean:+.4g}"
        f"{_interval(row.difference)} | {row.difference.clips} | {_verdict(row)} |"
        for row in found
    ]
    head = (
        f"## {mine.dataset}: {mine.run} and {other.run}\n\nA is {mine.path}, B is {other.path}. The means are of "
        "the frames that count on each side, A - B of those that count on both. Its intervals draw "
        f"{'identities' if bootstrap.unit == 'identity' else 'clips'} anew."
    )
    return "\n\n".join([head, counts, "\n".join(table)])


def _interval(estimate: Estimate) -> str:
    """Nothing for a single unit, which has none."""
    return "" if math.isnan(estimate.low) else f" [{estimate.low:+.4g}, {estimate.high:+.4g}]"


def _title(row: MetricDifference) -> str:
    shown = metrics.load(row.metric)[0].title if row.metric in metrics.names() else row.metric
    return " ".join(filter(None, [shown, row.task if row.mode else "", row.mode, row.protocol]))


def _verdict(row: MetricDifference) -> str:
    """Which side is better, where the interval of the paired difference excludes zero."""
    if not row.difference.excludes_zero:
        return "no difference shown"
    if row.metric not in metrics.names():
        return "differ"
    return f"{'A' if metrics.load(row.metric)[0].is_better(row.difference.mean) else 'B'} better"
