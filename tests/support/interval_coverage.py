"""Prints the coverage table of docs/statistics.md: the chosen interval beside others. Takes two minutes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import stats

from eval.stats.config import BootstrapConfig
from eval.stats.intervals import interval, standard_error

CONFIG = BootstrapConfig(samples=2000)
SAMPLES = 4000
OTHERS = ("percentile", "BCa", "Student", "bootstrap-t")
Draw = Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]
# What an identity adds, what each of its clips multiplies that by, and the mean in truth.
HARD: dict[str, tuple[Draw, Draw, float]] = {
    "normal": (lambda g, s: g.normal(1, 1, s), lambda g, s: g.normal(1, 0.5, s), 1.0),
    "gamma": (lambda g, s: g.gamma(4, 1 / 4, s), lambda g, s: g.gamma(8, 1 / 8, s), 1.0),
    "lognormal": (
        lambda g, s: g.lognormal(-0.125, 0.5, s),
        lambda g, s: g.lognormal(-0.045, 0.3, s),
        1.0,
    ),
    "shares": (lambda g, s: g.beta(1.5, 13.5, s), lambda g, s: g.gamma(8, 1 / 8, s), 0.1),
}


def others(sums: np.ndarray, counts: np.ndarray) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Written without the package's resampling, from their textbooks' formulas."""
    n, total = len(counts), counts.sum()
    value, error = sums.sum(axis=1) / total, standard_error(sums, counts)
    drawn = np.random.default_rng(5).integers(n, size=(CONFIG.samples, n))
    often = np.stack([(drawn == j).sum(axis=1) for j in range(n)], axis=1).astype(float)
    means = sums @ often.T / (often @ counts)
    spread = np.sqrt(
        np.maximum(
            np.square(sums) @ often.T
            - 2 * means * ((sums * counts) @ often.T)
            + np.square(means) * (often @ np.square(counts)),
            1e-18,
        )
    )
    factor = np.sqrt(n / (n - 1)) / (often @ counts)
    t_low, t_high = np.quantile((means - value[:, None]) / (spread * factor), [0.025, 0.975], axis=1)
    linear = np.sqrt(np.square(sums - value[:, None] * counts).sum(axis=1) * n / (n - 1)) / total
    reach = stats.t.ppf(0.975, n - 1)
    percentile = np.quantile(means, [0.025, 0.975], axis=1)
    bias = stats.norm.ppf(np.mean(means < value[:, None], axis=1).clip(1e-3, 1 - 1e-3))
    left_out = (sums.sum(axis=1, keepdims=True) - sums) / (total - counts)
    away = left_out.mean(axis=1, keepdims=True) - left_out
    skew = (away**3).sum(axis=1) / (6 * np.square(away).sum(axis=1) ** 1.5)
    means.sort(axis=1)
    corrected = []
    for z in (-1.96, 1.96):
        share = stats.norm.cdf(bias + (bias + z) / (1 - skew * (bias + z)))
        at = (share * (CONFIG.samples - 1)).round().astype(int)
        corrected.append(np.take_along_axis(means, at[:, None], axis=1)[:, 0])
    return {
        "percentile": (percentile[0], percentile[1]),
        "BCa": (corrected[0], corrected[1]),
        "Student": (value - reach * error, value + reach * error),
        "bootstrap-t": (value - t_high * linear, value - t_low * linear),
    }


def main() -> None:
    print(f"| data | identities | clips each | {' | '.join(OTHERS)} | chosen | chosen: width over Student's |")
    print(f"| :-- | {'--: | ' * (len(OTHERS) + 4)}")
    for identities in (6, 14, 30):
        for most in (1, 3):
            for kind, (_, _, truth) in HARD.items():
                clips = clips_of(identities, most)
                sums, counts = simulate(kind, clips, SAMPLES, seed=23), clips.astype(float)
                bounds = others(sums, counts) | {"chosen": interval(sums, counts, CONFIG)}
                found = [f"{100 * np.mean((low <= truth) & (truth <= high)):.1f}" for low, high in bounds.values()]
                widths = [np.median(bounds[name][1] - bounds[name][0]) for name in ("chosen", "Student")]
                row = (kind, identities, "1" if most == 1 else f"1 to {most}", *found, f"{widths[0] / widths[1]:.2f}")
                print(f"| {' | '.join(map(str, row))} |", flush=True)


def clips_of(identities: int, most: int) -> np.ndarray:
    """1, 2, ... `most` clips of the identities, in turn."""
    return 1 + np.arange(identities) % most


def simulate(kind: str, clips: np.ndarray, samples: int, seed: int) -> np.ndarray:
    """Sums of clip means by identity, `samples` times."""
    rng = np.random.default_rng(seed)
    identity, clip, _ = HARD[kind]
    owner = np.repeat(np.arange(len(clips)), clips)
    values = identity(rng, (samples, len(clips)))[:, owner] * clip(rng, (samples, len(owner)))
    return np.add.reduceat(values, np.concatenate([[0], np.cumsum(clips)[:-1]]), axis=1)


if __name__ == "__main__":
    main()
