"""The rule by which a version is not worse than another, and its operating characteristics.

With d the mean difference of nDCG@10 between two versions, paired by user, as a share of the other's mean, s
its standard error and m the margin (a loss that must not pass), a version passes if

    d >= max(-z(0.90) s, -m + z(0.95) s),

with z(p) the quantile of the normal distribution. An equally good version then passes with a probability of
90 % while the first term decides, and a version that is worse by m with at most 5 %. Both hold while the
second term lets equally good ones pass at least 80 % of the time: s <= m / (z(0.95) + z(0.80)), which is
2.0 % for a margin of 5 %. Above it there are too few users to tell, and d must not be below 0.
"""

import math
from statistics import NormalDist
from typing import Final

from movierank_core.config import GateLimits
from movierank_pipeline.evaluation.bootstrap import Difference, Interval

EQUAL_PASSES: Final = 0.90
"""Probability with which an equally good version passes where there are many users."""
EQUAL_PASSES_AT_LEAST: Final = 0.80
"""The same probability where there are just enough users."""
LOSS_PASSES: Final = 0.05
"""Maximum probability with which a version that loses the margin passes."""
_Z: Final = {p: NormalDist().inv_cdf(p) for p in (EQUAL_PASSES, EQUAL_PASSES_AT_LEAST, 1 - LOSS_PASSES)}
_INTERVAL_WIDTH: Final = 2 * NormalDist().inv_cdf(0.975)
"""Width of a 95 % interval in standard errors."""


def standard_error(interval: Interval) -> float:
    """The standard error of a mean, from its 95 % interval; NaN without users."""
    return (interval.high - interval.low) / _INTERVAL_WIDTH


def relative_error(difference: Difference) -> float:
    """The standard error as a share of the other version's mean; NaN where that mean is 0.

    0 if the versions give every user the same.
    """
    if math.isnan(difference.relative):
        return math.nan
    if difference.mean == 0:
        # relative_low = low / mean of the other version.
        scale = difference.relative_low / difference.low if difference.low else 0.0
    else:
        scale = difference.relative / difference.mean
    return standard_error(difference) * scale


def largest_error(margin: float) -> float:
    """The largest relative standard error at which a loss of `margin` can be told from none."""
    return margin / (_Z[1 - LOSS_PASSES] + _Z[EQUAL_PASSES_AT_LEAST])


def least_difference(error: float, n_users: int, limits: GateLimits) -> float:
    """The smallest relative difference that passes, at most 0; NaN for an error of NaN."""
    margin = limits.production_margin
    if n_users < limits.min_users or error > largest_error(margin):
        return 0.0
    return max(-_Z[EQUAL_PASSES] * error, -margin + _Z[1 - LOSS_PASSES] * error)


def pass_probability(true_difference: float, error: float, n_users: int, limits: GateLimits) -> float:
    """Probability that a version passes whose true relative difference is `true_difference`.

    The estimate is taken as normal with the standard error `error`, above 0.
    """
    least = least_difference(error, n_users, limits)
    return 1.0 - NormalDist(true_difference, error).cdf(least)
