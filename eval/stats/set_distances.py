"""How far two sets of feature vectors lie apart: the distances behind FID and KID."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float64

from eval.stats.intervals import LEVEL, Estimate

Features = Float64[np.ndarray, "_ d"]
ByIdentity = Mapping[str, Features]


def frechet(x: Float64[np.ndarray, "n d"], y: Float64[np.ndarray, "m d"]) -> float:
    """Squared Fréchet distance of the normal distributions with the sets' means and covariances (Heusel et al. 2017).

    Two vectors and more in each set. It is biased upwards where they are few: samples of one distribution are not at 0.
    """
    a, b = _root(x), _root(y)
    # The trace of (C D)^(1/2) is the sum of the singular values of A B^T, where C = A^T A and D = B^T B: no matrix root
    # is taken, so that covariances of less than full rank, as of fewer vectors than dimensions, do no harm.
    shared = np.linalg.svd(a @ b.T, compute_uv=False).sum()
    moved = ((x.mean(0) - y.mean(0)) ** 2).sum()
    return max(float(moved + (a**2).sum() + (b**2).sum() - 2 * shared), 0.0)


def _root(x: Features) -> Float64[np.ndarray, "k d"]:
    """A with A^T A the covariance; k is the lesser of n and d."""
    return np.linalg.qr(x - x.mean(0), mode="r") / np.sqrt(len(x) - 1)


def kernel_distance(x: ByIdentity, y: ByIdentity) -> Estimate | None:
    """Squared maximum mean discrepancy by the kernel (x.y / d + 1)^3 (Bińkowski et al. 2018).

    As published it leaves out each vector's kernel with itself, and is unbiased for independent vectors. Frames of one
    identity are not, so here all pairs within an identity are left out, between the two sides as well. The interval is
    Student's by the jackknife over identities, each left out on both sides, and NaN where a side has fewer than three;
    with fewer than two there is no distance.
    """
    if min(len(x), len(y)) < 2:
        return None
    blocks = _Block(x, x), _Block(y, y), _Block(x, y)

    def distance(left_out: str | None = None) -> float:
        first, second, across = (block.mean(left_out) for block in blocks)
        return first + second - 2 * across

    names = sorted({*x, *y})
    whole, frames = distance(), sum(map(len, y.values()))
    if min(len(x), len(y)) < 3:
        return Estimate(whole, np.nan, np.nan, len(y), frames)
    error = float(np.sqrt((len(names) - 1) * np.var([distance(name) for name in names])))
    from scipy import stats  # Here: it takes long to load.

    # The smaller side may make all of the error, and knows it by so few degrees of freedom.
    reach = float(stats.t.ppf((1 + LEVEL) / 2, min(len(x), len(y)) - 1)) * error
    return Estimate(whole, whole - reach, whole + reach, len(y), frames, error, len(names))


class _Block:
    """The kernel summed over every two different identities, and how many pairs of frames they have."""

    def __init__(self, x: ByIdentity, y: ByIdentity) -> None:
        self.rows, self.columns = np.array(list(x)), np.array(list(y))
        strangers = self.rows[:, None] != self.columns
        self.sums = _between(x, y) * strangers
        self.pairs = np.outer([len(f) for f in x.values()], [len(f) for f in y.values()]) * strangers

    def mean(self, left_out: str | None) -> float:
        chosen = np.ix_(self.rows != left_out, self.columns != left_out)
        return float(self.sums[chosen].sum() / self.pairs[chosen].sum())


def _between(x: ByIdentity, y: ByIdentity) -> Float64[np.ndarray, "c e"]:
    columns = np.concatenate(list(y.values()))
    starts = np.cumsum([0, *map(len, y.values())])[:-1]
    rows = [((f @ columns.T / f.shape[1] + 1) ** 3).sum(0) for f in x.values()]
    return np.add.reduceat(np.stack(rows), starts, axis=1)
