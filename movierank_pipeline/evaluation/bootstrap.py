"""Percentile bootstrap over users (Efron 1979): intervals of means over a random sample of users."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

N_RESAMPLES: Final = 2000
"""Number of bootstrap resamples."""
_CHUNK: Final = 16_000_000
"""Maximum number of counts held at a time, 8 bytes each. A smaller matrix is cached for the next call,
which is often about another metric of the same users."""


class Interval(msgspec.Struct, frozen=True):
    """A mean with the bounds of its 95 % interval; all NaN without users."""

    mean: float
    low: float
    high: float


class Difference(Interval, frozen=True):
    """The mean difference between two systems, paired by user, with its interval."""

    relative: float
    """The mean difference as a share of the other system's mean; NaN where that mean is 0 or unknown."""
    relative_low: float
    """The lower bound as the same share."""
    p_value: float = float("nan")
    """Two-sided bootstrap p value of no difference; see `bootstrap_p_values`. NaN if it was not computed."""
    p_holm: float = float("nan")
    """The p value after Holm's correction for all differences that it is reported with."""


def bootstrap_interval(
    values: NDArray[np.float64], seed: int, n_resamples: int = N_RESAMPLES, level: float = 0.95
) -> Interval:
    """The mean of `values`, one per user, with its interval. Users with NaN are left out.

    The same seed and number of users give the same resamples, so two systems are compared on the same draws.
    For their difference, pass the paired differences.
    """
    return bootstrap_intervals(values[:, None], seed, n_resamples, level)[0]


def bootstrap_intervals(
    columns: NDArray[np.float64], seed: int, n_resamples: int = N_RESAMPLES, level: float = 0.95
) -> list[Interval]:
    """The interval of each column of [n_users, n], on the same resamples. See `bootstrap_interval`."""
    known = ~np.isnan(columns)
    if not columns.shape[1]:
        return []
    if not (known == known[:, :1]).all():
        return [bootstrap_interval(column, seed, n_resamples, level) for column in columns.T]
    columns = columns[known[:, 0]]
    if not len(columns):
        return [Interval(float("nan"), float("nan"), float("nan"))] * columns.shape[1]
    means = _resampled_means(columns, seed, n_resamples)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return [
        Interval(float(mean), float(below), float(above))
        for mean, below, above in zip(columns.mean(axis=0), low, high, strict=True)
    ]


def bootstrap_ratios(
    numerators: Sequence[NDArray[np.float64]], denominator: NDArray[np.float64], seed: int
) -> list[Interval]:
    """The ratio of the sum of each numerator to the sum of the denominator, with its 95 % interval.

    All have one value per user, none NaN, and the denominator is positive. A resample has the numerator and
    the denominator of the same users. NaN without users.
    """
    if not numerators:
        return []
    if not len(denominator):
        return [Interval(float("nan"), float("nan"), float("nan"))] * len(numerators)
    means = _resampled_means(np.stack([*numerators, denominator], axis=1), seed, N_RESAMPLES)
    low, high = np.quantile(means[:, :-1] / means[:, -1:], [0.025, 0.975], axis=0)
    return [
        Interval(float(column.sum() / denominator.sum()), float(below), float(above))
        for column, below, above in zip(numerators, low, high, strict=True)
    ]


def bootstrap_p_values(
    columns: NDArray[np.float64], seed: int, n_resamples: int = N_RESAMPLES
) -> NDArray[np.float64]:
    """Per column of [n_users, n] the two-sided p value of a mean of 0; NaN without users.

    Twice the share of resamples whose mean is on the far side of 0, with one added to numerator and
    denominator (Davison and Hinkley 1997, section 4.2.3), at most 1. Users with NaN are left out.
    """
    values = np.full(columns.shape[1], np.nan)
    for index, column in enumerate(columns.T):
        known = column[~np.isnan(column)]
        if len(known):
            means = _resampled_means(known[:, None], seed, n_resamples)[:, 0]
            fewer = min(int((means <= 0).sum()), int((means >= 0).sum()))
            values[index] = min(1.0, 2 * (fewer + 1) / (n_resamples + 1))
    return values


def holm(p_values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The p values after Holm's step-down correction (Holm 1979), in the same order.

    NaN stays and is not counted.
    With m values in ascending order, the i-th (from 0) becomes the maximum of (m - j) p_j over j <= i, at
    most 1. Rejecting those at most 0.05 errs at all with a probability of at most 5 %.
    """
    corrected = np.full(len(p_values), np.nan)
    order = np.argsort(p_values, kind="stable")[: int((~np.isnan(p_values)).sum())]
    factors = np.arange(len(order), 0, -1)
    corrected[order] = np.minimum(np.maximum.accumulate(factors * p_values[order]), 1.0)
    return corrected


def _resampled_means(columns: NDArray[np.float64], seed: int, n_resamples: int) -> NDArray[np.float64]:
    """[n_resamples, n]: the mean of each column of [n_users, n] over each resample of the users."""
    n = len(columns)
    per_chunk = max(1, _CHUNK // n)
    if n_resamples <= per_chunk:
        means: NDArray[np.float64] = _counts(n, seed, n_resamples) @ columns / n
        return means
    rng = np.random.default_rng(seed)
    sizes = [min(per_chunk, n_resamples - done) for done in range(0, n_resamples, per_chunk)]
    return np.concatenate([_draw(rng, n, size) @ columns / n for size in sizes])


@lru_cache(maxsize=2)
def _counts(n: int, seed: int, n_resamples: int) -> NDArray[np.float64]:
    return _draw(np.random.default_rng(seed), n, n_resamples)


def _draw(rng: np.random.Generator, n: int, n_resamples: int) -> NDArray[np.float64]:
    """[n_resamples, n]: the number of times that each of n users is in each resample."""
    return rng.multinomial(n, np.full(n, 1 / n), n_resamples).astype(np.float64)
