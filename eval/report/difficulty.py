"""How hard test clips and pairs are for the runs, and which of them are shown: from the hardest to the easiest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from eval.report.modes import common_mode
from eval.scoring.pairs import common_pairs
from eval.tables.results import Results, Series
from tpsm.data.clip import spread


@dataclass(frozen=True)
class Ranked:
    """`order` has all, the hardest first; `shown` are a few of them, evenly spread over it."""

    order: tuple[str, ...]
    shown: tuple[str, ...]

    @property
    def middle(self) -> str:
        """The one in the middle of those shown, for where there is room for one. There must be one."""
        return self.shown[len(self.shown) // 2]

    def note(self, name: str, what: str) -> str:
        return f"{self.order.index(name) + 1} of {len(self.order)} {what} by difficulty"


@dataclass(frozen=True)
class Comparison:
    """What is shown where there is room for one: the files of a source, of which the first frame counts, of the clip
    that drives it, and of every method's result, by label."""

    source: Path
    driving: Path
    made: dict[str, Path]


def ranked_clips(results: Results) -> Ranked:
    """Test clips, by the runs of the table of reconstruction."""
    main = results.config.tables.reconstruction
    order = hardest(results, [Series(run, protocol=results.protocol) for run in main])
    return Ranked(tuple(order), tuple(spread(order, results.config.videos.clips)))


def animated(results: Results) -> list[Series]:
    """The animations whose frames are there."""
    return [one for one in results.animations if results.layout.has_frames(one.run, one.mode)]


def ranked_pairs(results: Results) -> Ranked:
    """The pairs that all animations have."""
    series = animated(results)
    pairs = [set(common_pairs(results.layout, [one.run], one.mode)["pair"]) for one in series]
    common = set.intersection(*pairs) if pairs else set()
    order = [pair for pair in hardest(results, series) if pair in common]
    return Ranked(tuple(order), tuple(spread(order, results.config.videos.pairs)))


def comparison(results: Results) -> Comparison | None:
    """The middle pair in the first mode that every method animates in, else the middle clip as it was rebuilt; None
    where there are no frames."""
    layout, label = results.layout, results.label

    # Across identities.
    series, ranked = animated(results), ranked_pairs(results)
    if ranked.shown and (mode := common_mode([(one.run, one.mode) for one in series])):
        about = common_pairs(layout, [series[0].run], series[0].mode).set_index("pair")
        source, driving = (layout.test_clip(str(about.loc[ranked.middle, end])) for end in ("source", "driving"))
        runs = [one.run for one in series if one.mode == mode]
        return Comparison(source, driving, {label(run): layout.generated(run, ranked.middle, mode) for run in runs})

    # Within a clip.
    runs = [run for run in results.config.tables.reconstruction if run in results.scored and layout.has_frames(run)]
    ranked = ranked_clips(results)
    if not runs or not ranked.shown:
        return None
    real = layout.test_clip(ranked.middle)
    return Comparison(real, real, {label(run): layout.generated(run, ranked.middle) for run in runs})


def hardest(results: Results, series: Sequence[Series]) -> list[str]:
    """Clips or pairs of any of the series, the hardest first: by the mean of their ranks over series and metrics."""
    ranks = []
    for one in series:
        for metric in results.metrics.values():
            values = results.by_clip(one, metric.name)
            if len(values) and not metric.detection:
                ranks.append(values.rank(ascending=metric.lower_is_better, pct=True))
    if not ranks:
        return []
    mean = pd.concat(ranks, axis=1).mean(axis=1)
    return [str(name) for name in mean.sort_index().sort_values(ascending=False, kind="stable").index]
