"""What the training seed changes in a comparison of two runs, in words made from the scores."""

from __future__ import annotations

from dataclasses import dataclass

from eval.metrics import Metric
from eval.tables.results import Results, Series
from eval.tables.seeds import seed_means
from eval.tables.table import number


@dataclass(frozen=True)
class SeedRanges:
    """The ranges of two runs' means over their training seeds; `overlap` says that some seeds turn the order round."""

    words: str
    overlap: bool


def seed_ranges(results: Results, metric: Metric, first: Series, second: Series) -> SeedRanges | None:
    """None where either run was trained from a single seed, or a repeat of it was not scored."""
    means = [seed_means(results, metric, series) for series in (first, second)]
    if not all(means):
        return None
    (low, high), (other_low, other_high) = ((min(values), max(values)) for values in means)
    overlap = low < other_high and other_low < high
    spans = [
        f"{results.label(series.run)} {number(min(values), metric.decimals)} to {number(max(values), metric.decimals)}"
        for series, values in zip((first, second), means, strict=True)
    ]
    return SeedRanges(f"{'overlap' if overlap else 'apart'}: {', '.join(spans)}", overlap)
