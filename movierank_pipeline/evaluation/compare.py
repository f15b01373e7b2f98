"""From one value per request to means with intervals, and to differences paired by user.

Nothing here depends on how requests were made or answered.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from movierank_pipeline.evaluation.bootstrap import (
    Difference,
    Interval,
    bootstrap_intervals,
    bootstrap_p_values,
    holm,
)
from movierank_pipeline.ranking_metrics import (
    Hits,
    average_precision,
    mean_by_group,
    ndcg,
    precision,
    recall,
    reciprocal_rank,
)

MAIN: Final = "movierank"
HEADLINE: Final = "ndcg@10"
RECALL: Final = "recall@100"

Values = Mapping[str, Mapping[str, NDArray[np.float64]]]
"""One value per request, by metric, by system. NaN: the request has no target."""


def request_values(hits: Hits, n_relevant: NDArray[np.int64], k: int = 10) -> dict[str, NDArray[np.float64]]:
    """Per metric one value per request; `hits` are [n_requests, depth], at least 100 deep for recall@100."""
    return {
        f"ndcg@{k}": ndcg(hits, n_relevant, k),
        f"precision@{k}": precision(hits, n_relevant, k),
        f"recall@{k}": recall(hits, n_relevant, k),
        RECALL: recall(hits, n_relevant, 100),
        f"map@{k}": average_precision(hits, n_relevant, k),
        "mrr": reciprocal_rank(hits, n_relevant),
    }


def system_intervals(
    values: Values, user_ids: NDArray[np.int64], seed: int
) -> dict[str, dict[str, Interval]]:
    """Mean and 95 % interval of every metric of every system. Requests are averaged per user first."""
    keys = [(name, metric) for name, of_system in values.items() for metric in of_system]
    found = bootstrap_intervals(
        _means_by_user([values[name][metric] for name, metric in keys], user_ids), seed
    )
    systems: dict[str, dict[str, Interval]] = {name: {} for name in values}
    for (name, metric), interval in zip(keys, found, strict=True):
        systems[name][metric] = interval
    return systems


def paired_differences(
    values: Values,
    user_ids: NDArray[np.int64],
    seed: int,
    *,
    main: str = MAIN,
    metrics: Sequence[str] = (HEADLINE, RECALL),
) -> dict[str, dict[str, Difference]]:
    """By metric, then other system: `main` minus that system, as a mean over users with its 95 % interval.

    A user's differences are averaged over their requests first, so each user has the same weight. The p
    values of a metric are corrected for its number of systems.
    """
    others = [name for name in values if name != main]
    pairs = [(metric, name) for metric in metrics for name in others]
    theirs = _means_by_user([values[name][metric] for metric, name in pairs], user_ids)
    ours = _means_by_user([values[main][metric] for metric, _ in pairs], user_ids)
    differences: dict[str, dict[str, Difference]] = {metric: {} for metric in metrics}
    intervals = bootstrap_intervals(ours - theirs, seed)
    p_values = bootstrap_p_values(ours - theirs, seed)
    for (metric, name), interval, column, p in zip(pairs, intervals, theirs.T, p_values, strict=True):
        differences[metric][name] = _relative_to(interval, column, float(p))
    return {metric: holm_corrected(of_metric) for metric, of_metric in differences.items()}


def holm_corrected(differences: Mapping[str, Difference]) -> dict[str, Difference]:
    """The differences with `p_holm`, corrected for their number."""
    corrected = holm(np.array([each.p_value for each in differences.values()]))
    return {
        name: msgspec.structs.replace(each, p_holm=float(p))
        for (name, each), p in zip(differences.items(), corrected, strict=True)
    }


def _means_by_user(
    columns: Sequence[NDArray[np.float64]], user_ids: NDArray[np.int64]
) -> NDArray[np.float64]:
    """[n_users, n_columns]: per user the mean over their requests."""
    _, users = np.unique(user_ids, return_inverse=True)
    means = [mean_by_group(column, users) for column in columns]
    return np.stack(means, axis=1) if means else np.zeros((0, 0))


def _relative_to(interval: Interval, theirs: NDArray[np.float64], p_value: float) -> Difference:
    theirs = theirs[~np.isnan(theirs)]
    mean = float(theirs.mean()) if len(theirs) else 0.0
    share, share_low = (value / mean if mean > 0 else float("nan") for value in (interval.mean, interval.low))
    return Difference(interval.mean, interval.low, interval.high, share, share_low, p_value)
