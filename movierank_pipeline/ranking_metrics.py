"""Ranking metrics over many requests at once, with binary relevance or with gains.

Input is a matrix of hits [n_requests, depth]: `hits[r, p]` says whether the movie at rank p, from 0, of
request r's list is a target. `n_relevant[r]` counts all targets of the request, in the list or not. A request
without targets has the value NaN. All values per request are in [0, 1]. Definitions are those of trec_eval,
cut at k. Metrics with gains take a matrix of gains instead of hits (see `gains_of`), and every gain of each
request, in the list or not.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Hits = NDArray[np.bool_]


def hits_of(ranked: NDArray[np.int64], targets: Sequence[NDArray[np.int64]]) -> Hits:
    """Hits [n_requests, depth] of ranked rows, best first (-1 pads short lists), given each request's
    targets.

    Raises ValueError if a list holds a movie twice.
    """
    return gains_of(ranked, targets, [np.ones(len(rows)) for rows in targets]) > 0


def gains_of(
    ranked: NDArray[np.int64], movies: Sequence[NDArray[np.int64]], gains: Sequence[NDArray[np.float64]]
) -> NDArray[np.float64]:
    """[n_requests, depth]: the gain of the movie at each rank of `ranked` (rows, best first; -1 pads).

    `movies` has the rows with a gain per request, each row once, and `gains` their gains in the same order.
    Other movies have the gain 0; a row of -1 is in no list. Raises ValueError if a list holds a movie twice.
    """
    if not ranked.size:
        return np.zeros(ranked.shape)
    wanted, gain = np.concatenate(movies), np.concatenate(gains)
    # Each request has its own range of keys, so one search compares all requests at once.
    stride = max(int(ranked.max()), int(wanted.max(initial=0))) + 2
    keys = ranked + np.arange(len(ranked))[:, None] * stride
    is_shown = ranked >= 0
    shown = np.sort(keys[is_shown])
    if bool((shown[1:] == shown[:-1]).any()):
        raise ValueError("a ranked list holds the same movie twice")
    owner = np.repeat(np.arange(len(movies)), [len(rows) for rows in movies])
    wanted_keys = (wanted + owner * stride)[wanted >= 0]
    if not len(wanted_keys):
        return np.zeros(ranked.shape)
    order = np.argsort(wanted_keys)
    wanted_keys, gain = wanted_keys[order], gain[wanted >= 0][order]
    found = np.minimum(np.searchsorted(wanted_keys, keys), len(wanted_keys) - 1)
    return np.where(is_shown & (wanted_keys[found] == keys), gain[found], 0.0)


def ndcg(hits: Hits, n_relevant: NDArray[np.int64], k: int) -> NDArray[np.float64]:
    """Sum of 1/log2(rank + 1) over the hits at ranks 1 to k, divided by the sum for a perfect list."""
    discount = 1.0 / np.log2(np.arange(2, k + 2))
    gained = hits[:, :k] @ discount[: hits.shape[1]]
    ideal = np.concatenate([[0.0], np.cumsum(discount)])[np.minimum(n_relevant, k)]
    return _ratio(gained, ideal)


def gain_ndcg(
    gains: NDArray[np.float64], all_gains: Sequence[NDArray[np.float64]], k: int
) -> NDArray[np.float64]:
    """Sum of gain/log2(rank + 1) over ranks 1 to k, divided by the same sum for the best possible list.

    `gains` [n_requests, depth] are not negative; `all_gains` has every gain of each request. With equal gains
    it is `ndcg`. NaN without a positive gain.
    """
    discount = 1.0 / np.log2(np.arange(2, k + 2))
    gained = gains[:, :k] @ discount[: gains.shape[1]]
    best = (np.sort(of_request)[::-1][:k] for of_request in all_gains)
    return _ratio(gained, np.array([of_request @ discount[: len(of_request)] for of_request in best]))


def gain_recall(
    gains: NDArray[np.float64], all_gains: Sequence[NDArray[np.float64]], k: int
) -> NDArray[np.float64]:
    """Sum of the gains in the first k ranks, divided by the sum of all gains of the request."""
    return _ratio(gains[:, :k].sum(axis=1), np.array([of_request.sum() for of_request in all_gains]))


def choice_ndcg(
    ranked: NDArray[np.int64], choices: Sequence[NDArray[np.int64]], k: int
) -> dict[str, NDArray[np.float64]]:
    """`worst` and `best`: nDCG@k per request if the worst or best ranked of its choices is the only target.

    NaN without a choice.
    """
    hits = hits_of(ranked, choices)[:, :k]
    n_choices = np.array([len(rows) for rows in choices], np.int64)
    discount = 1.0 / np.log2(np.arange(2, hits.shape[1] + 2))
    best = (hits * discount).max(axis=1, initial=0.0)
    worst = np.where(hits, discount, np.inf).min(axis=1, initial=np.inf)
    worst = np.where(hits.sum(axis=1) == n_choices, worst, 0.0)  # Else one choice is below rank k.
    return {name: np.where(n_choices > 0, each, np.nan) for name, each in (("worst", worst), ("best", best))}


def precision(hits: Hits, n_relevant: NDArray[np.int64], k: int) -> NDArray[np.float64]:
    """Number of targets in the first k ranks, divided by k."""
    return np.where(n_relevant > 0, hits[:, :k].sum(axis=1) / k, np.nan)


def recall(hits: Hits, n_relevant: NDArray[np.int64], k: int) -> NDArray[np.float64]:
    """Number of targets in the first k ranks, divided by the number of all targets."""
    return _ratio(hits[:, :k].sum(axis=1), n_relevant)


def average_precision(hits: Hits, n_relevant: NDArray[np.int64], k: int) -> NDArray[np.float64]:
    """Sum of the precision at each target in the first k ranks, divided by the number of all targets."""
    cut = hits[:, :k]
    precisions = np.cumsum(cut, axis=1) / np.arange(1, cut.shape[1] + 1)
    return _ratio((precisions * cut).sum(axis=1), n_relevant)


def reciprocal_rank(hits: Hits, n_relevant: NDArray[np.int64]) -> NDArray[np.float64]:
    """One divided by the rank, from 1, of the first target; 0 if no target is in the list."""
    found = hits.any(axis=1)
    return np.where(n_relevant > 0, found / (np.argmax(hits, axis=1) + 1.0), np.nan)


def bpref(
    hits: Hits, is_judged: Hits, n_relevant: NDArray[np.int64], n_judged: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Binary preference (Buckley and Voorhees 2004), which ignores movies without a judgment.

    With R relevant and N judged movies that are not relevant, the sum over the relevant movies in the list of
    1 - min(n, R) / min(R, N), divided by R, where n judged movies that are not relevant are above. The first
    part is 1 if n is 0. `is_judged` [n_requests, depth] marks judged movies, relevant or not, and `n_judged`
    counts them, in the list or not.
    """
    above = np.cumsum(is_judged & ~hits, axis=1)
    others = n_judged - n_relevant
    limit = np.maximum(np.minimum(n_relevant, others), 1)[:, None]
    preferred = 1.0 - np.minimum(above, n_relevant[:, None]) / limit
    return _ratio((preferred * hits).sum(axis=1), n_relevant)


def judged_share(ranked: NDArray[np.int64], is_judged: Hits, k: int) -> NDArray[np.float64]:
    """Per request the share of judged movies in the first k ranks of `ranked`; NaN for an empty list."""
    return _ratio(is_judged[:, :k].sum(axis=1), (ranked[:, :k] >= 0).sum(axis=1))


def mean_by_group(values: NDArray[np.float64], groups: NDArray[np.int64]) -> NDArray[np.float64]:
    """The mean of the values of each distinct group, in ascending order. NaN is ignored; all NaN gives
    NaN."""
    _, group = np.unique(groups, return_inverse=True)
    usable = ~np.isnan(values)
    n = np.bincount(group, usable)
    return _ratio(np.bincount(group, np.where(usable, values, 0.0)), n)


def coverage(ranked: NDArray[np.int64], n_movies: int, k: int) -> float:
    """The number of distinct movies in the first k ranks of all lists, divided by `n_movies`."""
    shown = np.unique(ranked[:, :k])
    return float((shown >= 0).sum() / n_movies) if n_movies else float("nan")


def novelty(ranked: NDArray[np.int64], popularity: NDArray[np.floating], k: int) -> float:
    """Mean self-information -log2(share of all events) of the listed movies, in bits.

    Zhou et al. 2010 take the share of all people instead, which is smaller by the same number of bits for
    every movie. `popularity` counts events per movie; 0 counts as 1. NaN without a listed movie.
    """
    shown = ranked[:, :k]
    shown = shown[shown >= 0]
    if not len(shown):
        return float("nan")
    counts = np.maximum(popularity, 1.0)
    return float(-np.log2(counts[shown] / counts.sum()).mean())


def intra_list_diversity(
    ranked: NDArray[np.int64], vectors: NDArray[np.float32], k: int
) -> NDArray[np.float64]:
    """Per request, one minus the mean cosine of all pairs of its first k movies; NaN below two movies.

    `vectors` [n_movies, d] has rows of length 1, or 0 for a movie without known values.
    """
    out = np.full(len(ranked), np.nan)
    for request, rows in enumerate(ranked[:, :k]):
        shown = vectors[rows[rows >= 0]]
        n = len(shown)
        if n > 1:
            similarity = shown @ shown.T
            out[request] = 1.0 - (similarity.sum() - np.trace(similarity)) / (n * (n - 1))
    return out


def _ratio(numerator: NDArray[Any], denominator: NDArray[Any]) -> NDArray[np.float64]:
    divisor = np.asarray(denominator, np.float64)
    return np.where(divisor > 0, numerator / np.where(divisor > 0, divisor, 1.0), np.nan)
