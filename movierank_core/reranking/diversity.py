"""Diversity: maximal marginal relevance over content (Carbonell and Goldstein 1998)."""

import numpy as np
from numpy.typing import NDArray

POOL_FACTOR = 4
"""Size of the pool of best-scored movies, in multiples of `k`."""


def diversify(
    scores: NDArray[np.float64], vectors: NDArray[np.float32], k: int, diversity: float
) -> NDArray[np.int64]:
    """The ranks of up to `k` movies, in the order of the list.

    `scores` [n] descends; `vectors` [n, d] has rows of length 1. Each step takes the rank with the largest
    (1 - diversity) * relevance - diversity * (largest similarity to a movie taken before). Relevance is the
    score scaled to [0, 1] over the pool. A `diversity` of 0 keeps the order.
    """
    n = min(len(scores), k * POOL_FACTOR)
    k = min(k, n)
    if diversity <= 0 or k == 0:
        return np.arange(min(k, len(scores)))
    pool = scores[:n]
    spread = pool[0] - pool[-1]
    relevance = (pool - pool[-1]) / spread if spread > 0 else np.ones(n)
    taken = np.empty(k, np.int64)
    nearest = np.zeros(n)
    free = np.ones(n, np.bool_)
    for step in range(k):
        value = np.where(free, (1 - diversity) * relevance - diversity * nearest, -np.inf)
        taken[step] = int(np.argmax(value))
        free[taken[step]] = False
        nearest = np.maximum(nearest, vectors[:n] @ vectors[taken[step]])
    return taken
