"""What the item-to-item sources share.

Each is one sparse matrix W of neighbours and a rule for weighting the history h:
score(j) = sum over history items i of h(i) * W[i, j]. W has a row per movie of the catalogue and a column per
place of the source's support.
"""

from typing import Final, Self

import numpy as np
from numba import njit
from numpy.typing import NDArray

from movierank_core.config import ModelConfig
from movierank_core.data.interactions import InteractionArrays
from movierank_core.kernels.sparse_rows import SparseRows
from movierank_core.retrieval.query import Query
from movierank_core.retrieval.source import Arrays, Source, Support, columns_of

FAINTEST: Final = 1e-3
"""Of recency weights, those that are worth adding up."""


class ItemToItem(Source):
    """What the item-to-item sources share: storage, scoring and naming the history item that counted."""

    def __init__(self, neighbours: SparseRows, movies: NDArray[np.int64]) -> None:
        """`movies`: the catalogue rows, ascending, that the columns of `neighbours` stand for."""
        self.neighbours = neighbours
        self.support = Support(movies, len(neighbours))

    def history_weights(self, query: Query) -> NDArray[np.float32]:
        """One weight per item of the history; here 1 for what the user chose."""
        return query.is_presence.astype(np.float32)

    def scores(self, query: Query) -> NDArray[np.float32]:
        return self.neighbours.weighted_sum(query.rows, self.history_weights(query), len(self.support))

    def arrays(self) -> Arrays:
        return {
            "offsets": self.neighbours.offsets,
            "indices": self.neighbours.indices,
            "values": self.neighbours.values,
            "movies": self.support.rows,
        }

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Self:
        return cls(SparseRows(arrays["offsets"], arrays["indices"], arrays["values"]), arrays["movies"])

    def neighbours_of(self, row: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """The catalogue rows of a movie's neighbours, and their values."""
        places, values = self.neighbours.row(row)
        return self.support.rows[places], values


def movies_with_events(
    data: InteractionArrays, n_movies: int, config: ModelConfig, limit: int | None = None
) -> NDArray[np.int64]:
    """Rows of the movies that collaborative sources keep, ascending; the `limit` most-rated ones at most."""
    limit = config.max_collaborative_movies if limit is None else limit
    counts = np.bincount(data.rows, minlength=n_movies)
    eligible = np.flatnonzero(counts >= config.min_movie_events)
    if len(eligible) > limit:
        most = np.argsort(-counts[eligible], kind="stable")[:limit]
        eligible = np.sort(eligible[most])
    return eligible


def co_occurrence(
    data: InteractionArrays,
    mask: NDArray[np.bool_],
    movies: NDArray[np.int64],
    n_movies: int,
    user_weights: NDArray[np.float64] | None = None,
) -> NDArray[np.float32]:
    """How many users have both movies, over the events of `mask`: dense, [len(movies), len(movies)].

    With `user_weights` (one per dense user), the sum of the weights of those users.
    """
    from scipy.sparse import csr_array

    columns = columns_of(movies, n_movies)[data.rows[mask]]
    kept = columns >= 0
    users = data.users[mask][kept]
    seen = csr_array(
        (np.ones(int(kept.sum()), np.float32), (users, columns[kept])),
        shape=(len(data.user_ids), len(movies)),
    )
    if user_weights is None:
        return (seen.T @ seen).toarray().astype(np.float32)
    weighted = seen.multiply(user_weights.astype(np.float32)[:, None]).tocsr()
    return (seen.T @ weighted).toarray().astype(np.float32)


def n_neighbours_kept(n_movies: int, config: ModelConfig) -> int:
    """Neighbours stored per movie: all the memory that `neighbour_budget` allows, within bounds.

    Cutting weights costs accuracy, so a small catalogue keeps more of them than a large one can.
    """
    affordable = config.neighbour_budget // max(n_movies, 1)
    return int(np.clip(affordable, config.n_neighbours, config.max_neighbours))


def recency_weights(query: Query, decay: float) -> NDArray[np.float32]:
    """`decay` to the number of steps back, for what the user chose; 0 for the rest, and below `FAINTEST`."""
    n_later: NDArray[np.int64] = np.cumsum(query.is_presence[::-1])[::-1] - query.is_presence
    weights = decay**n_later
    return np.where(query.is_presence & (weights >= FAINTEST), weights, 0.0).astype(np.float32)


@njit(cache=True, nogil=True)
def strongest_history_item(offsets, indices, values, rows, weights, n_columns, wanted, best):  # type: ignore[no-untyped-def]  # numba
    """For each column of `wanted` (-1: none) whose `best` is below 0, the position in the history that adds
    most to its score, put into `best`; it stays where none adds anything."""
    open_at = np.full(n_columns, -1, np.int16)  # Per column, its place in `wanted`.
    n_open = 0
    for k in range(len(wanted)):
        if best[k] < 0 and wanted[k] >= 0:
            open_at[wanted[k]] = k
            n_open += 1
    if n_open == 0:
        return
    most = np.zeros(len(wanted), np.float32)
    for i in range(len(rows)):
        if weights[i] <= 0:
            continue
        for j in range(np.uint64(offsets[rows[i]]), np.uint64(offsets[rows[i] + 1])):
            k = open_at[np.uint64(np.uint32(indices[j]))]
            if k >= 0:
                value = weights[i] * values[j]
                if value > most[k]:
                    most[k] = value
                    best[k] = i
