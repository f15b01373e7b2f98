"""EASE (Steck 2019) on likes, on presence, and on presence with the latest counting most."""

from typing import Self

import numpy as np
from numpy.typing import NDArray

from movierank_core.config import ModelConfig
from movierank_core.data.interactions import InteractionArrays
from movierank_core.kernels.sparse_rows import SparseRows, strongest_per_row
from movierank_core.retrieval.query import Query
from movierank_core.retrieval.sources.item_to_item import (
    ItemToItem,
    co_occurrence,
    movies_with_events,
    n_neighbours_kept,
    recency_weights,
)


class EaseLikes(ItemToItem):
    """What people who liked these movies like as well."""

    name = "ease_likes"
    label = "Liked together (EASE)"
    family = "liked_together"
    meaning = "EASE on the history's likes"

    @classmethod
    def fit(cls, data: InteractionArrays, n_movies: int, config: ModelConfig) -> Self:
        return cls(*_fit(data, data.is_like, n_movies, config))

    def history_weights(self, query: Query) -> NDArray[np.float32]:
        return query.is_liked.astype(np.float32)


class EasePresence(ItemToItem):
    """What people who watched these movies watch as well, liked or not."""

    name = "ease_presence"
    label = "Watched together (EASE)"
    family = "watched_together"
    meaning = "EASE on the whole history"

    @classmethod
    def fit(cls, data: InteractionArrays, n_movies: int, config: ModelConfig) -> Self:
        return cls(*_fit(data, np.ones(len(data), np.bool_), n_movies, config))


class EaseRecent(ItemToItem):
    """The weights of `EasePresence`, with a history whose older movies count less and less."""

    name = "ease_recent"
    label = "Watched together lately (EASE)"
    family = "watched_next"
    meaning = "EASE on the history, the latest counting most"
    DECAY = 0.9
    """Per step back."""

    @classmethod
    def of(cls, presence: EasePresence) -> Self:
        return cls(presence.neighbours, presence.support.rows)

    def history_weights(self, query: Query) -> NDArray[np.float32]:
        return recency_weights(query, self.DECAY)


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


def _fit(
    data: InteractionArrays, mask: NDArray[np.bool_], n_movies: int, config: ModelConfig
) -> tuple[SparseRows, NDArray[np.int64]]:
    movies = movies_with_events(data, n_movies, config)
    if len(movies) == 0 or not mask.any():
        return SparseRows.empty(n_movies), movies
    gram = co_occurrence(data, mask, movies, n_movies)
    l2 = config.ease_l2 * np.sqrt(mask.sum() / 100_000)
    weights = ease_weights(gram, float(l2))
    return strongest_per_row(weights, movies, n_movies, n_neighbours_kept(len(movies), config)), movies
