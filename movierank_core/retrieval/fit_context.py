"""What every candidate source is fitted from, and the counts that several sources share."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from movierank_core.config import ModelConfig
from movierank_core.data.catalogue import Catalogue
from movierank_core.data.interactions import InteractionArrays
from movierank_core.kernels.square import gram_matrix
from movierank_core.retrieval.source import Source, columns_of

S = TypeVar("S", bound=Source)


@dataclass(eq=False)
class FitContext:
    """The events before one moment, with the catalogue and the configuration."""

    data: InteractionArrays
    """Events strictly before `as_of`, at most one per user and movie of the catalogue; no hidden movies."""
    catalogue: Catalogue
    as_of: int
    """Exclusive upper bound of the events, in seconds since 1970."""
    config: ModelConfig
    _fitted: dict[type[Source], Source] = field(default_factory=dict)
    _movies: dict[int, NDArray[np.int64]] = field(default_factory=dict)
    _shared_viewers: tuple[NDArray[np.int64], NDArray[np.float32]] | None = None

    @property
    def n_movies(self) -> int:
        """Movies in the catalogue."""
        return len(self.catalogue)

    @cached_property
    def n_events(self) -> NDArray[np.int64]:
        """Events per catalogue row."""
        return np.bincount(self.data.rows, minlength=self.n_movies)

    def fitted(self, source: type[S]) -> S:
        """The source of this type, fitted on the first call: a source may build on another."""
        if source not in self._fitted:
            self._fitted[source] = source.fit(self)
        return cast(S, self._fitted[source])

    def movies(self, limit: int) -> NDArray[np.int64]:
        """Ascending rows of the `limit` most-rated movies with at least `min_movie_events` events.

        Equal counts keep the lower row. The same limit gives the same array, so a saved state stores it once.
        """
        if limit not in self._movies:
            rows = np.flatnonzero(self.n_events >= self.config.min_movie_events)
            if len(rows) > limit:
                most_rated = np.argsort(-self.n_events[rows], kind="stable")[:limit]
                rows = np.sort(rows[most_rated])
            self._movies[limit] = rows
        return self._movies[limit]

    def columns(self, movies: NDArray[np.int64]) -> NDArray[np.int32]:
        """Per event the index of its movie in `movies`, -1 for a movie that is not in it."""
        return columns_of(movies, self.n_movies)[self.data.rows]

    def shared_viewers(self, movies: NDArray[np.int64]) -> NDArray[np.float32]:
        """[len(movies), len(movies)] users with an event for both movies; read-only.

        The last matrix is kept for the next source with the same movies, until one takes it
        (`take_shared_viewers`): it is the largest array of a fit, 1.6 GB for 20,000 movies.
        """
        if self._shared_viewers is None or self._shared_viewers[0] is not movies:
            self._shared_viewers = None  # Freed before the next one is made.
            every_event = np.ones(len(self.data), np.bool_)
            counts = co_occurrence(self.data, every_event, movies, self.n_movies, self.config.n_threads)
            counts.flags.writeable = False
            self._shared_viewers = movies, counts
        return self._shared_viewers[1]

    def take_shared_viewers(self, movies: NDArray[np.int64]) -> NDArray[np.float32]:
        """`shared_viewers` for its last reader, who may overwrite the matrix: it is kept no longer."""
        counts = self.shared_viewers(movies)
        self._shared_viewers = None
        counts.flags.writeable = True
        return counts


def co_occurrence(
    data: InteractionArrays,
    mask: NDArray[np.bool_],
    movies: NDArray[np.int64],
    n_movies: int,
    n_threads: int,
    user_weights: NDArray[np.float64] | None = None,
) -> NDArray[np.float32]:
    """[len(movies), len(movies)] users with an event of `mask` for both movies.

    `data` holds at most one event per user and movie. With `user_weights`, one per dense user, each entry is
    the sum of the weights of those users. The result does not depend on the number of threads.
    """
    columns = columns_of(movies, n_movies)[data.rows]
    kept = mask & (columns >= 0)
    n_users = len(data.user_ids)
    weights = np.ones(n_users, np.float32) if user_weights is None else user_weights.astype(np.float32)
    return gram_matrix(data.users[kept], columns[kept], n_users, len(movies), weights, n_threads)
