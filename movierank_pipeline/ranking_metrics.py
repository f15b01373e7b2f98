"""Ranking metrics over many requests at once, with binary relevance.

Input is a matrix of hits [n_requests, depth]: `hits[r, p]` says whether the movie at rank p, from 0, of
request r's list is a target. `n_relevant[r]` counts all targets of the request, in the list or not. A request
without targets has the value NaN. All values per request are in [0, 1]. Definitions are those of trec_eval,
cut at k.

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
    if not ranked.size:
        return np.zeros(ranked.shape, np.bool_)
    wanted = np.concatenate(targets)
    # Each request has its own range of keys, so one `isin` compares all requests at once.
    stride = max(int(ranked.max()), int(wanted.max(initial=0))) + 2
    keys = ranked + np.arange(len(ranked))[:, None] * stride
    owner = np.repeat(np.arange(len(targets)), [len(rows) for rows in targets])
    is_shown = ranked >= 0
    shown = np.sort(keys[is_shown])
    if bool((shown[1:] == shown[:-1]).any()):
        raise ValueError("a ranked list holds the same movie twice")
    return np.isin(keys, (wanted + owner * stride)[wanted >= 0]) & is_shown


def ndcg(hits: Hits, n_relevant: NDArray[np.int64], k: int) -> NDArray[np.float64]:
    """Sum of 1/log2(rank + 1) over the hits at ranks 1 to k, divided by the sum for a perfect list."""
    discount = 1.0 / np.log2(np.arange(2, k + 2))
    gained = hits[:, :k] @ discount[: hits.shape[1]]
    ideal = np.concatenate([[0.0], np.cumsum(discount)])[np.minimum(n_relevant, k)]
    return _ratio(gained, ideal)


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
