"""The best rows of each source, and their weighted reciprocal rank fusion."""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from movierank_core.kernels.top_k import add_reciprocal_ranks, best_rows, first_rows
from movierank_core.retrieval.source import Source

RANK_OFFSET: Final = 60.0
"""The constant added to each rank, as in Cormack, Clarke and Büttcher (2009)."""


def proposals_of(
    source: Source, scores: NDArray[np.float32], eligible: NDArray[np.bool_], n: int
) -> NDArray[np.int64]:
    """The `n` eligible catalogue rows with the highest scores above 0, best first, ties by row.

    `scores` are the source's own, one per row of its support; `eligible` has one entry per catalogue row.
    Returns fewer rows where fewer are eligible and above 0.
    """
    if not source.is_personal:
        return first_rows(source.support.rows, eligible, n)
    return best_rows(scores, source.support.rows, eligible, n)


class Fused(NamedTuple):
    """Proposed rows, best first."""

    rows: NDArray[np.int64]
    scores: NDArray[np.float32]
    n_sources: NDArray[np.float32]
    """The number of sources that propose each row."""


def fuse(proposals: dict[str, NDArray[np.int64]], weights: dict[str, float], n: int) -> Fused:
    """Up to `n` rows by weighted reciprocal rank fusion of ranked proposals, ties by row.

    score(j) = sum over the sources that propose j of weight / (60 + rank of j), with ranks from 1. A source
    missing from `weights` has weight 1; a source with weight 0 proposes nothing.
    """
    lists = {name: rows for name, rows in proposals.items() if weights.get(name, 1.0) > 0}
    starts = np.concatenate([[0], np.cumsum([len(rows) for rows in lists.values()])]).astype(np.int64)
    proposed = np.concatenate([np.zeros(0, np.int64), *lists.values()])
    rows, scores, n_sources = add_reciprocal_ranks(
        proposed,
        starts,
        np.array([weights.get(name, 1.0) for name in lists], np.float64),
        RANK_OFFSET,
        int(proposed.max(initial=-1)) + 1,
    )
    best = np.lexsort((rows, -scores))[:n]
    return Fused(rows[best], scores[best], n_sources[best])
