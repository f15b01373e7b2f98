"""Neighbourhood sources: movies with the same audience, and what people of the same history watch."""

from typing import Final, Self

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
)


class ItemNeighbours(ItemToItem):
    """Cosine neighbours by shared audience, weighted by how much the history liked each movie."""

    name = "item_neighbours"
    label = "Neighbouring films"
    family = "watched_together"
    meaning = "cosine neighbours of the history, weighted by rating"
    SHRINKAGE: Final = 10.0
    """Shared viewers that a similarity must outweigh, so that two chance viewers do not make a pair."""

    @classmethod
    def fit(cls, data: InteractionArrays, n_movies: int, config: ModelConfig) -> Self:
        movies = movies_with_events(data, n_movies, config)
        if len(movies) == 0:
            return cls(SparseRows.empty(n_movies), movies)
        shared = co_occurrence(data, np.ones(len(data), np.bool_), movies, n_movies)
        viewers = np.diag(shared).copy()
        similarity = shared / np.sqrt(np.outer(viewers, viewers)) * (shared / (shared + cls.SHRINKAGE))
        np.fill_diagonal(similarity, 0.0)
        kept = n_neighbours_kept(len(movies), config)
        return cls(strongest_per_row(similarity, movies, n_movies, kept), movies)

    def history_weights(self, query: Query) -> NDArray[np.float32]:
        return np.where(query.is_presence, np.maximum(1.0 + 0.5 * query.centred, 0.0), 0.0).astype(np.float32)


class UserNeighbours(ItemToItem):
    """What everybody who shares part of the history watched, the more they share the more they say.

    A walk from the history's movies to their viewers and on to what those watched (RP3-beta, Paudel et al.
    2017): W[i, j] = sum over users u with both of 1 / sqrt(|u|), over sqrt(n_i n_j). Summed over the
    history this is user-based collaborative filtering with every user as a neighbour, weighted by shared
    movies over the square root of their number; as a matrix over movies it needs nobody in the bundle.
    """

    name = "user_neighbours"
    label = "Neighbouring people"
    family = "watched_together"
    meaning = "people who share part of the history"

    @classmethod
    def fit(cls, data: InteractionArrays, n_movies: int, config: ModelConfig) -> Self:
        movies = movies_with_events(data, n_movies, config)
        if len(movies) == 0:
            return cls(SparseRows.empty(n_movies), movies)
        n_watched = np.diff(data.offsets)
        everything = np.ones(len(data), np.bool_)
        weights = 1.0 / np.sqrt(np.maximum(n_watched, 1))
        walk = co_occurrence(data, everything, movies, n_movies, user_weights=weights)
        viewers = np.bincount(data.rows, minlength=n_movies)[movies]
        walk /= np.sqrt(np.outer(viewers, viewers)).astype(np.float32)
        np.fill_diagonal(walk, 0.0)
        kept = n_neighbours_kept(len(movies), config)
        return cls(strongest_per_row(walk, movies, n_movies, kept), movies)
