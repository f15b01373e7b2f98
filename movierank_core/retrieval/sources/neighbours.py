"""Neighbourhood sources: movies with the same audience, and movies of people with a similar history."""

from functools import partial

import numpy as np
from numba import njit
from numpy.typing import NDArray

from movierank_core.kernels.row_blocks import in_row_blocks
from movierank_core.kernels.square import divide_by_roots
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

    @classmethod
    def weights(cls, context: FitContext, movies: NDArray[np.int64]) -> NDArray[np.floating]:
        similarity, config = context.take_shared_viewers(movies), context.config
        in_row_blocks(
            len(movies),
            config.n_threads,
            partial(
                _to_similarities, similarity, np.diag(similarity).copy(), np.float32(config.item_shrinkage)
            ),
        )
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
        every_event, n_threads = np.ones(len(data), np.bool_), context.config.n_threads
        walk = co_occurrence(data, every_event, movies, context.n_movies, n_threads, user_weights)
        divide_by_roots(walk, context.n_events[movies], n_threads)
        return walk


@njit(cache=True, nogil=True, error_model="numpy")
def _to_similarities(shared, n_viewers, shrinkage, first, stop):  # type: ignore[no-untyped-def]  # numba
    """Replaces rows `first` to `stop` of the shared viewers by similarities; 0 where no viewer is shared."""
    for i in range(first, stop):
        for j in range(len(shared)):
            count = shared[i, j]
            cosine = count / np.sqrt(n_viewers[i] * n_viewers[j])
            shared[i, j] = cosine * (count / (count + shrinkage)) if count > 0 else np.float32(0)
        shared[i, i] = 0.0
