"""Item-to-item sources: EASE, cosine neighbours and directed transitions.

Each is one sparse matrix W of neighbours and a rule for weighting the history h:
score(j) = sum over history items i of h(i) * W[i, j].
"""

from typing import ClassVar, Self

import numpy as np
from numba import njit
from numpy.typing import NDArray

from movierank_core.config import ModelConfig
from movierank_core.interaction_arrays import InteractionArrays
from movierank_core.retrieval.query import Query
from movierank_core.retrieval.source import Arrays
from movierank_core.retrieval.sparse_rows import SparseRows, strongest_per_row


class ItemToItem:
    """What the item-to-item sources share: storage, scoring and naming the history item that counted."""

    name: ClassVar[str]
    is_personal: ClassVar[bool] = True

    def __init__(self, neighbours: SparseRows) -> None:
        self.neighbours = neighbours

    def history_weights(self, query: Query) -> NDArray[np.float32]:
        """One weight per item of the history."""
        raise TypeError(f"{type(self).__name__} does not weight histories")

    def scores(self, query: Query) -> NDArray[np.float32]:
        return self.neighbours.weighted_sum(query.rows, self.history_weights(query), len(self.neighbours))

    def arrays(self) -> Arrays:
        return {
            "offsets": self.neighbours.offsets,
            "indices": self.neighbours.indices,
            "values": self.neighbours.values,
        }

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Self:
        return cls(SparseRows(arrays["offsets"], arrays["indices"], arrays["values"]))


def movies_with_events(data: InteractionArrays, n_movies: int, config: ModelConfig) -> NDArray[np.int64]:
    """Rows of the movies that collaborative sources keep, ascending."""
    counts = np.bincount(data.rows, minlength=n_movies)
    eligible = np.flatnonzero(counts >= config.min_movie_events)
    if len(eligible) > config.max_collaborative_movies:
        most = np.argsort(-counts[eligible], kind="stable")[: config.max_collaborative_movies]
        eligible = np.sort(eligible[most])
    return eligible


def co_occurrence(
    data: InteractionArrays, mask: NDArray[np.bool_], movies: NDArray[np.int64], n_movies: int
) -> NDArray[np.float32]:
    """How many users have both movies, over the events of `mask`: dense, [len(movies), len(movies)]."""
    from scipy.sparse import csr_array

    position = np.full(n_movies, -1, np.int64)
    position[movies] = np.arange(len(movies))
    columns = position[data.rows[mask]]
    kept = columns >= 0
    users = data.users[mask][kept]
    seen = csr_array(
        (np.ones(int(kept.sum()), np.float32), (users, columns[kept])),
        shape=(len(data.user_ids), len(movies)),
    )
    return (seen.T @ seen).toarray().astype(np.float32)


def ease_weights(gram: NDArray[np.float32], l2: float) -> NDArray[np.float32]:
    """B of EASE (Steck 2019, eq. 8): the item-item regression with a zero diagonal, in closed form."""
    from scipy.linalg.lapack import spotrf, spotri

    penalised = np.array(gram, order="F")
    penalised[np.diag_indices_from(penalised)] += np.float32(l2)
    # The matrix is symmetric and positive definite, so Cholesky does at a third of the cost of LU.
    factor, _ = spotrf(penalised, lower=True, overwrite_a=True, clean=False)
    triangle, _ = spotri(factor, lower=True, overwrite_c=True)
    inverse = np.tril(triangle)
    inverse += np.tril(triangle, -1).T
    weights = -inverse / np.diag(inverse)
    np.fill_diagonal(weights, 0.0)
    return weights.astype(np.float32, copy=False)


class EaseLikes(ItemToItem):
    """EASE on likes: what people who liked these movies like as well."""

    name = "ease_likes"

    @classmethod
    def fit(cls, data: InteractionArrays, n_movies: int, config: ModelConfig) -> Self:
        return cls(_fit_ease(data, data.is_like, n_movies, config))

    def history_weights(self, query: Query) -> NDArray[np.float32]:
        return query.is_liked.astype(np.float32)


class EasePresence(ItemToItem):
    """EASE on presence: what people who watched these movies watch as well, liked or not."""

    name = "ease_presence"

    @classmethod
    def fit(cls, data: InteractionArrays, n_movies: int, config: ModelConfig) -> Self:
        return cls(_fit_ease(data, np.ones(len(data), np.bool_), n_movies, config))

    def history_weights(self, query: Query) -> NDArray[np.float32]:
        return query.is_presence.astype(np.float32)


def _fit_ease(
    data: InteractionArrays, mask: NDArray[np.bool_], n_movies: int, config: ModelConfig
) -> SparseRows:
    movies = movies_with_events(data, n_movies, config)
    if len(movies) == 0 or not mask.any():
        return SparseRows.empty(n_movies)
    gram = co_occurrence(data, mask, movies, n_movies)
    l2 = config.ease_l2 * np.sqrt(mask.sum() / 100_000)
    return strongest_per_row(ease_weights(gram, float(l2)), movies, n_movies, config.n_neighbours)


class ItemNeighbours(ItemToItem):
    """Cosine neighbours by shared audience, weighted by how much the history liked each movie."""

    name = "item_neighbours"
    SHRINKAGE = 10.0
    """Shared viewers that a similarity must outweigh, so that two chance viewers do not make a pair."""

    @classmethod
    def fit(cls, data: InteractionArrays, n_movies: int, config: ModelConfig) -> Self:
        movies = movies_with_events(data, n_movies, config)
        if len(movies) == 0:
            return cls(SparseRows.empty(n_movies))
        shared = co_occurrence(data, np.ones(len(data), np.bool_), movies, n_movies)
        viewers = np.diag(shared).copy()
        similarity = shared / np.sqrt(np.outer(viewers, viewers)) * (shared / (shared + cls.SHRINKAGE))
        np.fill_diagonal(similarity, 0.0)
        return cls(strongest_per_row(similarity, movies, n_movies, config.n_neighbours))

    def history_weights(self, query: Query) -> NDArray[np.float32]:
        return np.where(query.is_presence, np.maximum(1.0 + 0.5 * query.centred, 0.0), 0.0).astype(np.float32)


class Transitions(ItemToItem):
    """What tends to follow the last few movies, relative to popularity.

    W[i, j] = log(1 + T[i, j] / (smoothing * p(j))): how much more often j follows i than its popularity
    p says, from transitions T counted over `transition_lags` following events with decaying weight and
    smoothed towards p. The history weighs `transition_history_decay` per step back.
    """

    name = "transitions"

    def __init__(self, neighbours: SparseRows, decay: float) -> None:
        super().__init__(neighbours)
        self.decay = decay

    @classmethod
    def fit(cls, data: InteractionArrays, n_movies: int, config: ModelConfig) -> Self:
        decay = config.transition_history_decay
        if len(data) == 0:
            return cls(SparseRows.empty(n_movies), decay)
        lag_weights = config.transition_lag_decay ** np.arange(config.transition_lags)
        sources, targets, weights = [], [], []
        for lag in range(1, config.transition_lags + 1):
            same_user = data.users[lag:] == data.users[:-lag]
            sources.append(data.rows[:-lag][same_user])
            targets.append(data.rows[lag:][same_user])
            weights.append(np.full(int(same_user.sum()), lag_weights[lag - 1], np.float32))
        pairs = np.concatenate(sources).astype(np.int64) * n_movies + np.concatenate(targets)
        unique, inverse = np.unique(pairs, return_inverse=True)
        counts = np.bincount(inverse, np.concatenate(weights), minlength=len(unique))
        popularity = np.bincount(data.rows, minlength=n_movies) / len(data)
        source, target = unique // n_movies, unique % n_movies
        lift = np.log1p(counts / (config.transition_smoothing * np.maximum(popularity[target], 1e-9)))
        kept = _strongest_by_group(source, lift, config.n_neighbours)
        return cls(SparseRows.from_triples(source[kept], target[kept], lift[kept], n_movies), decay)

    def history_weights(self, query: Query) -> NDArray[np.float32]:
        steps_back = np.arange(len(query) - 1, -1, -1)
        weights = (self.decay**steps_back).astype(np.float32)
        return np.where(query.is_presence, weights, np.float32(0))

    def arrays(self) -> Arrays:
        return {**super().arrays(), "decay": np.array([self.decay])}

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Self:
        neighbours = SparseRows(arrays["offsets"], arrays["indices"], arrays["values"])
        return cls(neighbours, float(arrays["decay"][0]))


def _strongest_by_group(
    groups: NDArray[np.int64], strength: NDArray[np.float64], keep: int
) -> NDArray[np.int64]:
    """Positions of the `keep` strongest entries of each group; `groups` is ascending."""
    order = np.lexsort((-strength, groups))
    starts = np.searchsorted(groups, groups)  # Position of each group's first entry, per entry.
    return np.sort(order[np.arange(len(groups)) - starts < keep])


@njit(cache=True, nogil=True)
def strongest_history_item(offsets, indices, values, rows, weights, wanted, n_columns):  # type: ignore[no-untyped-def]  # numba
    """For each row of `wanted`, the position in the history that adds most to its score; -1 if none does."""
    position = np.full(n_columns, -1, np.int32)
    for k in range(len(wanted)):
        position[wanted[k]] = k
    best = np.full(len(wanted), -1, np.int64)
    best_value = np.zeros(len(wanted), np.float32)
    for i in range(len(rows)):
        for j in range(offsets[rows[i]], offsets[rows[i] + 1]):
            k = position[indices[j]]
            if k >= 0 and weights[i] * values[j] > best_value[k]:
                best_value[k] = weights[i] * values[j]
                best[k] = i
    return best
