"""How much a number moves between honest re-runs, from a few of them: variances that borrow strength of their kind."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from jaxtyping import Float64


def moderated(
    kinds: Sequence[Float64[np.ndarray, " _"]], freedom: float
) -> list[tuple[Float64[np.ndarray, " _"], float]]:
    """Sample variances (above 0) of `freedom` degrees each, drawn towards what those of a kind have in common, and the
    degrees of freedom that they then have.

    The empirical Bayes estimate of Smyth (2004, "Linear models and empirical Bayes methods", section 6.2): the true
    variances of a kind follow a scaled inverse chi-squared distribution, which is fitted to the samples' logarithms.
    Its scale is each kind's own; how far its members differ is estimated over all kinds together. Where they vary no
    more than chance makes them, all of a kind get its pooled variance.
    """
    from scipy.special import digamma, polygamma  # Here, as below: SciPy takes long to load.

    logs = [np.log(variances) - digamma(freedom / 2) + np.log(freedom / 2) for variances in kinds]
    compared = sum(len(variances) - 1 for variances in kinds)
    scatter = sum(float(np.square(values - values.mean()).sum()) for values in logs)
    spread = scatter / max(compared, 1) - float(polygamma(1, freedom / 2))
    if spread <= 0:
        return [(np.full_like(v, v.mean()), len(v) * freedom) for v in kinds]
    prior = 2 * inverse_trigamma(spread)
    shift = float(digamma(prior / 2) - np.log(prior / 2))
    return [
        ((prior * np.exp(log.mean() + shift) + freedom * v) / (prior + freedom), min(prior + freedom, len(v) * freedom))
        for v, log in zip(kinds, logs, strict=True)
    ]


def inverse_trigamma(value: float) -> float:
    """x with polygamma(1, x) = value, within [1e-6, 1e8]."""
    from scipy.optimize import brentq
    from scipy.special import polygamma

    low, high = -6.0, 8.0
    if polygamma(1, 10**high) >= value:
        return 10**high
    if polygamma(1, 10**low) <= value:
        return 10**low
    return 10 ** float(brentq(lambda power: float(polygamma(1, 10**power)) - value, low, high))


@lru_cache(maxsize=1024)
def quantile(false_alarms: float, freedom: float | None) -> float:
    """Student's t that an honest re-run exceeds with this probability; None is infinite freedom, a known spread."""
    from scipy.stats import t as student

    return float(student.isf(false_alarms, np.inf if freedom is None else freedom))
