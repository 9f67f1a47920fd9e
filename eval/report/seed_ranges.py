"""What the training seed changes in a comparison of two runs, in words made from the scores."""

from __future__ import annotations

from dataclasses import dataclass

from eval.metrics import Metric
from eval.tables.results import Results, Series
from eval.tables.table import number


@dataclass(frozen=True)
class SeedRanges:
    """The ranges of two runs' means over their training seeds; `overlap` says that some seeds turn the order round."""

    sentence: str
    overlap: bool


def seed_ranges(results: Results, metric: Metric, first: Series, second: Series) -> SeedRanges | None:
    """None where either run was trained from a single seed, or a repeat of it was not scored."""
    means = [seed_means(results, metric, series) for series in (first, second)]
    if not all(means):
        return None
    (low, high), (other_low, other_high) = ((min(values), max(values)) for values in means)
    overlap = low < other_high and other_low < high
    spans = [
        f"{results.label(series.run)}'s {len(values)} give {number(min(values), metric.decimals)} to "
        f"{number(max(values), metric.decimals)} (mean {number(sum(values) / len(values), metric.decimals)})"
        for series, values in zip((first, second), means, strict=True)
    ]
    verdict = "overlap" if overlap else "lie apart"
    return SeedRanges(f"Training seeds: {', '.join(spans)}; they {verdict}.", overlap)


def seed_means(results: Results, metric: Metric, series: Series) -> list[float]:
    """One for each seed of a run, or none."""
    runs = results.seeds.get(series.run, {}) if series.task == "reconstruction" else {}
    found = [results.estimate(Series(run, protocol=series.protocol), metric.name) for run in runs]
    return [] if None in found else [estimate.mean for estimate in found if estimate is not None]
