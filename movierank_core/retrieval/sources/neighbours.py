"""Neighbourhood sources: movies with the same audience, and movies of people with a similar history."""

import numpy as np
from numpy.typing import NDArray

from movierank_core.retrieval.fit_context import FitContext, co_occurrence
from movierank_core.retrieval.query import Query
from movierank_core.retrieval.sources.item_to_item import Collaborative


class ItemNeighbours(Collaborative):
    """Cosine neighbours by shared audience, weighted by how much the history liked each movie.

    W[i, j] = n_ij / sqrt(n_i n_j) * n_ij / (n_ij + s), with n_ij the users with both movies and s the setting
    `item_shrinkage`: without s a pair that shares two viewers by chance would look alike.
    """

    name = "item_neighbours"
    label = "Neighbouring films"
    family = "watched_together"
    meaning = "cosine neighbours of the history, weighted by rating"
    is_similarity = True
    uses_shared_viewers = True

    @classmethod
    def weights(cls, context: FitContext, movies: NDArray[np.int64]) -> NDArray[np.floating]:
        shared = context.shared_viewers(movies)
        n_viewers = np.diag(shared).copy()
        shrinkage = np.float32(context.config.item_shrinkage)
        similarity = shared / np.sqrt(np.outer(n_viewers, n_viewers)) * (shared / (shared + shrinkage))
        np.fill_diagonal(similarity, 0.0)
        return similarity

    def history_weights(self, query: Query) -> NDArray[np.float32]:
        return np.where(query.is_presence, np.maximum(1.0 + 0.5 * query.centred, 0.0), 0.0).astype(np.float32)


class UserNeighbours(Collaborative):
    """What the users who share part of the history watched; more shared movies weigh more.

    A random walk from the history's movies to their viewers and on to the viewers' movies (RP3-beta, Paudel
    et al. 2017): W[i, j] = sum over users u with both movies of 1 / sqrt(|u|), over sqrt(n_i n_j). Summed
    over the history this is user-based collaborative filtering with every user as a neighbour, weighted by
    shared movies over the square root of the user's number of movies. The matrix holds no user.
    """

    name = "user_neighbours"
    label = "Neighbouring people"
    family = "watched_together"
    meaning = "people who share part of the history"

    @classmethod
    def weights(cls, context: FitContext, movies: NDArray[np.int64]) -> NDArray[np.floating]:
        data = context.data
        user_weights = 1.0 / np.sqrt(np.maximum(np.diff(data.offsets), 1))
        every_event = np.ones(len(data), np.bool_)
        walk = co_occurrence(data, every_event, movies, context.n_movies, user_weights)
        n_viewers = context.n_events[movies]
        walk /= np.sqrt(np.outer(n_viewers, n_viewers)).astype(np.float32)
        np.fill_diagonal(walk, 0.0)
        return walk
