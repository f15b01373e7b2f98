"""Figures that correct for popularity by inverse propensity.

Test events are not a random sample of what people like: popular movies are seen more, so they are rated more.
A metric that averages over test events favours systems that list popular movies. Inverse propensity scoring
weights each target by the inverse of the probability that it was observed.

Propensities follow Yang et al. 2018, "Unbiased offline recommender evaluation for missing-not-at-random
implicit feedback": p_i is proportional to n_i^((γ + 1) / 2), with n_i the number of observed events of movie
i. γ says how strongly the chance of being shown grows with popularity. With γ = 0, shown evenly, p_i is
proportional to the square root of n_i, also the choice of Saito et al. 2020. It is the weakest correction of
the family and has the least variance. γ cannot be estimated from MovieLens, which does not log what it shows.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from movierank_pipeline.evaluation.bootstrap import Interval, bootstrap_ratios
from movierank_pipeline.evaluation.compare import Values
from movierank_pipeline.ranking_metrics import gain_ndcg, gain_recall, gains_of, mean_by_group

GAMMA: Final = 0.0
"""γ of the propensity model: the power of popularity in the probability that a movie is shown."""
PREFIX: Final = "debiased_"
"""Prefix of the names of debiased metrics."""


def inverse_propensities(n_events: NDArray[np.floating]) -> NDArray[np.float64]:
    """n^(-(γ + 1) / 2) per movie, up to a constant factor, which cancels in every metric here.

    `n_events` counts the events of each movie before the request. 0 counts as 1.
    """
    return np.maximum(np.asarray(n_events, np.float64), 1.0) ** (-(GAMMA + 1) / 2)


def mean_weight(weights: NDArray[np.float64]) -> float:
    """The weight of a request: the mean inverse propensity of its targets; 0 without a target."""
    return float(weights.mean()) if len(weights) else 0.0


def debiased_values(
    ranked: NDArray[np.int64],
    targets: Sequence[NDArray[np.int64]],
    weights: Sequence[NDArray[np.float64]],
    k: int,
) -> dict[str, NDArray[np.float64]]:
    """Debiased nDCG@k, recall@k and recall@100, one value per request; NaN without a target.

    `weights` are the inverse propensities of `targets`. With w_i the weight of target i, debiased recall is
    the sum of w_i over the targets in the list, divided by the sum over all targets. Debiased nDCG is DCG
    with w_i as gains, divided by that of the best possible list, so that 1 is a perfect list. With equal
    weights both are the plain metrics. `debiased_intervals` has the mean over requests.
    """
    gains = gains_of(ranked, targets, weights)
    return {
        f"{PREFIX}ndcg@{k}": gain_ndcg(gains, weights, k),
        f"{PREFIX}recall@{k}": gain_recall(gains, weights, k),
        f"{PREFIX}recall@100": gain_recall(gains, weights, 100),
    }


def debiased_intervals(
    values: Values, weights: NDArray[np.float64], user_ids: NDArray[np.int64], seed: int
) -> dict[str, dict[str, Interval]]:
    """The weighted mean of every metric of every system, with its interval over users.

    `values` are those of `debiased_values` per system; `weights` those of `mean_weight`, one per request.
    Requests are averaged per user first, values times weights and weights alike. The mean over users is
    sum(values times weights) / sum(weights): the self-normalised estimator. Yang et al. 2018 normalise
    within each user, which changes nothing for a user with one target; over all users the bias vanishes with
    their number. With equal weights it is the plain mean over users.
    """
    keys = [(name, metric) for name, of_system in values.items() for metric in of_system]
    used = weights > 0
    users, weight = user_ids[used], weights[used]
    columns = [mean_by_group(values[name][metric][used] * weight, users) for name, metric in keys]
    found = bootstrap_ratios(columns, mean_by_group(weight, users), seed)
    systems: dict[str, dict[str, Interval]] = {name: {} for name in values}
    for (name, metric), interval in zip(keys, found, strict=True):
        systems[name][metric] = interval
    return systems
