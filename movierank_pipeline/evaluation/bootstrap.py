"""Percentile bootstrap over users (Efron 1979): how far a mean may be off, given who happened to be asked."""

import msgspec
import numpy as np
from numpy.typing import NDArray

N_RESAMPLES = 2000


class Interval(msgspec.Struct, frozen=True):
    """A mean with the bounds of its 95 % interval; all NaN without users."""

    mean: float
    low: float
    high: float


def bootstrap_interval(
    values: NDArray[np.float64], seed: int, n_resamples: int = N_RESAMPLES, level: float = 0.95
) -> Interval:
    """The mean of one value per user, users with NaN left out, and its interval.

    The same seed and number of users give the same resamples, so that two systems are compared on the
    same draws; for their difference, pass the paired differences.
    """
    values = values[~np.isnan(values)]
    if not len(values):
        return Interval(float("nan"), float("nan"), float("nan"))
    rng = np.random.default_rng(seed)
    weights = rng.multinomial(len(values), np.full(len(values), 1 / len(values)), n_resamples)
    means = weights @ values / len(values)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(values.mean()), float(low), float(high))
