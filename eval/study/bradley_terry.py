"""Strengths behind paired comparisons: run i is preferred to run j with probability p_i / (p_i + p_j).

Bradley and Terry (1952), Rank analysis of incomplete block designs; fitted by maximum likelihood with the MM algorithm
of Hunter (2004), MM algorithms for generalized Bradley-Terry models.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float64

TOLERANCE = 1e-9
STEPS = 20_000


def has_maximum(wins: Float64[np.ndarray, "m m"]) -> bool:
    """Whether finite strengths fit best (Ford 1957): whatever the runs are parted in two, each side has won something
    from the other. Else one side is infinitely stronger, or was never compared."""
    from scipy.sparse.csgraph import connected_components  # Here: SciPy takes long to load.

    return bool(connected_components(wins > 0, connection="strong", return_labels=False) == 1)


def have_maximum(wins: Float64[np.ndarray, "n m m"]) -> Bool[np.ndarray, " n"]:
    """`has_maximum` of each."""
    patterns, which = np.unique(wins > 0, axis=0, return_inverse=True)
    return np.array([has_maximum(pattern.astype(np.float64)) for pattern in patterns], bool)[which.ravel()]


def log_strengths(wins: Float64[np.ndarray, "n m m"]) -> Float64[np.ndarray, "n m"]:
    """log p of each of `n` tables (row beat column), of mean 0. A difference of 1 is odds of e.

    Raises:
        ValueError: a table has no finite maximum; `have_maximum` tells which.
    """
    if not have_maximum(wins).all():
        raise ValueError("wins: a run has won or lost everything against the others")
    won, met = wins.sum(axis=2), wins + wins.swapaxes(1, 2)
    theta = np.zeros(won.shape)
    going = np.arange(len(wins))
    for _ in range(STEPS):
        p = np.exp(theta[going])
        # Hunter's equation (3): p_i <- W_i / sum over j of N_ij / (p_i + p_j).
        new = np.log(won[going]) - np.log((met[going] / (p[:, :, None] + p[:, None, :])).sum(axis=2))
        new -= new.mean(axis=1, keepdims=True)
        moved = np.abs(new - theta[going]).max(axis=1)
        theta[going] = new
        going = going[moved > TOLERANCE]
        if not len(going):
            break
    return theta


def chance_over_others(theta: Float64[np.ndarray, "n m"]) -> Float64[np.ndarray, "n m"]:
    """The probability that a run is preferred to another, averaged over the others."""
    against = 1 / (1 + np.exp(theta[:, None, :] - theta[:, :, None]))
    return (against.sum(axis=2) - 0.5) / (theta.shape[1] - 1)
