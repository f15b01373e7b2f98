"""What the item-to-item sources share: storage, scoring, attribution and the two forms of a fit.

Each source is one sparse matrix W of neighbours and a rule for weighting the history h:
score(j) = sum over history items i of h(i) * W[i, j]. W has a row per movie of the catalogue and a column per
movie of the source's support.
"""

from abc import abstractmethod
from functools import lru_cache
from typing import ClassVar, Final, Self

import numpy as np
from numba import njit
from numpy.typing import NDArray

from movierank_core.config import ModelConfig
from movierank_core.errors import ConfigError
from movierank_core.kernels.sparse_rows import SparseRows, find_entry, strongest_per_row
from movierank_core.retrieval.fit_context import FitContext
from movierank_core.retrieval.query import Query
from movierank_core.retrieval.source import Arrays, Source, Support

MIN_RECENCY_WEIGHT: Final = 1e-3
"""Minimum recency weight of a history item that is added up; smaller weights count as 0.

It bounds the time of a request with a long history. With it the 99th percentile fell from 15 to 8 ms."""
DISLIKE_WEIGHT: Final = 0.5
"""Weight of a disliked movie where another chosen movie has 1.

People go on to watch films like one that they disliked, but seldom like them. On ml-latest-small, split 75/25
at random, a weight of 0.5 instead of 1 left the nDCG@10 of `ease_presence` at 0.410 (+0.000 +- 0.003) where
each later film counts, and raised it by 0.008 +- 0.005 where later likes count. A weight of -0.5 gave
-0.011 +- 0.006 and +0.007 +- 0.008."""
MAX_RECENCY_ITEMS: Final = 100_000
"""Maximum number of history items with a recency weight: the bound of `max_history`."""


class ItemToItem(Source):
    """A sparse matrix of neighbours: one row per catalogue movie, one column per movie of the support."""

    shares_neighbours_of: "ClassVar[type[ItemToItem] | None]" = None
    """The source whose matrix this one reads with other history weights; None for a matrix of its own."""

    def __init__(self, neighbours: SparseRows, movies: NDArray[np.int64]) -> None:
        """`movies`: ascending catalogue rows, one per column of `neighbours`."""
        self.neighbours = neighbours
        self.support = Support(movies, len(neighbours))

    @classmethod
    def of_neighbours(
        cls,
        neighbours: SparseRows,
        movies: NDArray[np.int64],
        n_events: NDArray[np.int64],
        config: ModelConfig,
    ) -> Self:
        """The source with these weights. `n_events` are the events per catalogue row."""
        return cls(neighbours, movies)

    @classmethod
    def max_movies(cls, config: ModelConfig) -> int | None:
        """Maximum number of movies in the support, the most-rated ones; None keeps the whole catalogue."""
        return config.max_collaborative_movies

    def history_weights(self, query: Query) -> NDArray[np.float32]:
        """One weight per history item; by default 1 for each movie that the user chose, else 0.

        A disliked movie has `DISLIKE_WEIGHT`.
        """
        weights = query.is_presence.astype(np.float32)
        weights[query.is_disliked] = DISLIKE_WEIGHT
        return weights

    def scores(self, query: Query) -> NDArray[np.float32]:
        return self.neighbours.weighted_sum(query.rows, self.history_weights(query), len(self.support))

    def attribute(self, query: Query, rows: NDArray[np.int64], items: NDArray[np.int64]) -> NDArray[np.int64]:
        found = items.copy()
        _attribute(
            self.neighbours.offsets,
            self.neighbours.indices,
            self.neighbours.values,
            query.rows,
            np.where(query.is_liked, self.history_weights(query), 0).astype(np.float32),
            self.support.columns[rows],
            found,
        )
        return found

    def similar_to(self, row: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        columns, values = self.neighbours.row(row)
        return self.support.rows[columns], values

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


class Collaborative(ItemToItem):
    """An item-to-item source whose weights are a dense matrix over the most-rated movies.

    A subclass defines `weights`; the strongest weights of each row are stored.
    """

    @classmethod
    @abstractmethod
    def weights(cls, context: FitContext, movies: NDArray[np.int64]) -> NDArray[np.floating]:
        """W as a dense [len(movies), len(movies)] matrix with a diagonal of 0; `movies` is not empty."""

    @classmethod
    def fit(cls, context: FitContext) -> Self:
        n_movies, config = context.n_movies, context.config
        if cls.shares_neighbours_of is not None:
            shared = context.fitted(cls.shares_neighbours_of)
            return cls.of_neighbours(shared.neighbours, shared.support.rows, context.n_events, config)
        movies = context.movies(cls.max_movies(config) or n_movies)
        if len(movies) == 0:
            neighbours = SparseRows.empty(n_movies)
        else:
            n_kept = n_neighbours_kept(len(movies), config)
            weights = cls.weights(context, movies)
            neighbours = strongest_per_row(weights, movies, n_movies, n_kept, config.n_threads)
        return cls.of_neighbours(neighbours, movies, context.n_events, config)


class RecencyWeighted(Collaborative):
    """A collaborative source whose history weighs `decay` to the power of the steps back."""

    decay_before_stored: ClassVar[float]
    """Decay of models whose arrays do not hold it: it was a constant when they were written."""

    def __init__(self, neighbours: SparseRows, movies: NDArray[np.int64], decay: float) -> None:
        super().__init__(neighbours, movies)
        self.decay = decay

    @classmethod
    @abstractmethod
    def history_decay(cls, config: ModelConfig) -> float:
        """Factor by which the weight of a history item falls per step back."""

    @classmethod
    def of_neighbours(
        cls,
        neighbours: SparseRows,
        movies: NDArray[np.int64],
        n_events: NDArray[np.int64],
        config: ModelConfig,
    ) -> Self:
        return cls(neighbours, movies, cls.history_decay(config))

    def history_weights(self, query: Query) -> NDArray[np.float32]:
        return recency_weights(query, self.decay)

    def arrays(self) -> Arrays:
        return {**super().arrays(), "decay": np.array([self.decay])}

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Self:
        neighbours = SparseRows(arrays["offsets"], arrays["indices"], arrays["values"])
        return cls(neighbours, arrays["movies"], cls.decay_of(arrays))

    @classmethod
    def decay_of(cls, arrays: Arrays) -> float:
        """The stored decay, or the constant of models that were written before it was stored."""
        return float(arrays["decay"][0]) if "decay" in arrays else cls.decay_before_stored


def n_neighbours_kept(n_movies: int, config: ModelConfig) -> int:
    """Neighbours per movie: its share of `neighbour_budget`, from `n_neighbours` to `max_neighbours`.

    Cutting weights costs accuracy, so a small catalogue keeps more neighbours per movie than a large one.
    """
    affordable = config.neighbour_budget // max(n_movies, 1)
    return int(np.clip(affordable, config.n_neighbours, config.max_neighbours))


def recency_weights(query: Query, decay: float) -> NDArray[np.float32]:
    """One weight per history item: `decay` per movie chosen later; 0 below 0.001 and for hidden movies."""
    powers = _recency_powers(decay)
    latest = np.flatnonzero(query.is_presence)[-len(powers) :]
    weights = np.zeros(len(query.is_presence), np.float32)
    weights[latest] = powers[len(powers) - len(latest) :]
    return weights


@lru_cache(maxsize=16)
def _recency_powers(decay: float) -> NDArray[np.float32]:
    """The powers of `decay` (above 0, at most 1) from `MIN_RECENCY_WEIGHT` up to 1, ascending."""
    powers = decay ** np.arange(MAX_RECENCY_ITEMS, dtype=np.int64)
    return powers[powers >= MIN_RECENCY_WEIGHT][::-1].astype(np.float32)


def not_positive_definite(source: str, setting: str, l2: float) -> ConfigError:
    """The error for a regression whose penalised Gram matrix has no Cholesky factor in single precision."""
    return ConfigError(
        f"The regression of {source} has no solution in single precision: its Gram matrix plus {l2:g} on the"
        " diagonal is not positive definite",
        expected=f"a larger {setting}",
        remedy=f"raise {setting}, for example tenfold",
    )


@njit(cache=True, nogil=True)
def _attribute(offsets, indices, values, rows, weights, columns, items):  # type: ignore[no-untyped-def]  # numba
    """For each of `columns` (-1: outside the support) whose entry of `items` is below 0, the index of the
    history item with the largest weight * value above 0.

    The indices of a sparse row ascend. A page of results needs few, so each is found by bisection.
    """
    most = np.zeros(len(columns), np.float32)
    is_open = items < 0
    for item in range(len(rows)):
        if weights[item] <= 0:
            continue
        first, end = offsets[rows[item]], offsets[rows[item] + 1]
        for result in range(len(columns)):
            if not is_open[result] or columns[result] < 0:
                continue
            entry = find_entry(indices, first, end, columns[result])
            if entry >= 0:
                added = weights[item] * values[entry]
                if added > most[result]:
                    most[result] = added
                    items[result] = item
