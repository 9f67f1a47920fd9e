"""How far two sets of feature vectors lie apart: the distances behind FID and KID."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
from jaxtyping import Float64
from scipy import stats

from eval.statistics import LEVEL, Estimate

Features = Float64[np.ndarray, "_ d"]
ByClip = Mapping[str, Features]


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


def kernel_distance(x: ByClip, y: ByClip) -> Estimate:
    """Squared maximum mean discrepancy by the kernel (x.y / d + 1)^3, unbiased (Bińkowski et al. 2018).

    Features come by clip. The interval is Student's by the jackknife over clips, as frames of a clip are alike: each
    name in turn is left out on both sides. It is NaN where a side has fewer than three clips.
    """
    names = sorted({*x, *y})
    sums = _Sums(x, y)
    whole, frames = sums.distance(()), sum(map(len, y.values()))
    if min(len(x), len(y)) < 3:
        return Estimate(whole, np.nan, np.nan, len(y), frames)
    without = np.array([sums.distance((name,)) for name in names])
    error = float(np.sqrt((len(names) - 1) * without.var()))
    reach = float(stats.t.ppf((1 + LEVEL) / 2, len(names) - 1)) * error
    return Estimate(whole, whole - reach, whole + reach, len(y), frames, error, len(names))


class _Sums:
    """The kernel summed over every two clips, from which any choice of clips has its distance at once."""

    def __init__(self, x: ByClip, y: ByClip) -> None:
        self.names = [list(side) for side in (x, y)]
        self.counts = [np.array([len(f) for f in side.values()]) for side in (x, y)]
        self.within = [_between(side, side) for side in (x, y)]
        for sums, side in zip(self.within, (x, y), strict=True):
            # An unbiased mean leaves out each vector's kernel with itself.
            sums[np.diag_indices(len(side))] -= [(((f**2).mean(1) + 1) ** 3).sum() for f in side.values()]
        self.across = _between(x, y)

    def distance(self, left_out: Collection[str]) -> float:
        one, other = ([i for i, name in enumerate(names) if name not in left_out] for names in self.names)
        n, m = self.counts[0][one].sum(), self.counts[1][other].sum()
        first = self.within[0][np.ix_(one, one)].sum() / (n * (n - 1))
        second = self.within[1][np.ix_(other, other)].sum() / (m * (m - 1))
        return float(first + second - 2 * self.across[np.ix_(one, other)].sum() / (n * m))


def _between(x: ByClip, y: ByClip) -> Float64[np.ndarray, "c e"]:
    columns = np.concatenate(list(y.values()))
    starts = np.cumsum([0, *map(len, y.values())])[:-1]
    rows = [((f @ columns.T / f.shape[1] + 1) ** 3).sum(0) for f in x.values()]
    return np.add.reduceat(np.stack(rows), starts, axis=1)
