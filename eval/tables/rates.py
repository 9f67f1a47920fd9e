"""Rates lie between 0 and 1, and no bound of an interval that is shown lies beyond."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from eval.metrics import Metric
from eval.stats.intervals import Estimate

SHARE = "share, 0 to 1"
"""The unit of a rate, such as MKR and the joints found."""


def within_range(estimate: Estimate, metric: Metric) -> Estimate:
    """The estimate of a metric, a rate's bounds drawn back to 0 and 1; where there is no interval they stay NaN."""
    if metric.unit != SHARE:
        return estimate
    low, high = np.clip((estimate.low, estimate.high), 0, 1)
    return replace(estimate, low=float(low), high=float(high))
