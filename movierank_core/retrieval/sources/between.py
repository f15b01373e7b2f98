"""A source for events that are missing within a history: what is watched close to what it holds."""

from typing import Final, Self

import numpy as np
from numba import njit
from numpy.typing import NDArray

from movierank_core.config import ModelConfig
from movierank_core.kernels.sparse_rows import SparseRows, strongest_per_row
from movierank_core.retrieval.fit_context import FitContext
from movierank_core.retrieval.query import Query
from movierank_core.retrieval.source import Arrays
from movierank_core.retrieval.sources.item_to_item import ItemToItem
from movierank_core.retrieval.sources.sequence import count_transitions

N_BESIDE: Final = 3
"""Number of events on each side of a gap that count. The weight of a fourth would be a sixteenth."""


class WatchedBetween(ItemToItem):
    """What belongs into a gap between two events of the history, or before the first or after the last.

    T[i, j] counts how often i and j are at most `transition_lags` events apart, in either order, with
    decaying weight. With s = `transition_smoothing` and p_j the share of j among all events,
    M[i, j] = log((T[i, j] + s p_j) / ((sum_j T[i, j] + s) p_j)): how much likelier j is close to i. With the
    events beside a gap weighing d, d^2, d^3 on each side (d = `transition_history_decay`), the score is
    log p_j + log(mean over gaps of exp(sum over the events i beside the gap of weight * M[i, j])), up to a
    constant: the log of the probability that an event missing from a random gap is j, if the events beside
    it were independent.

    Only requests for missing events use it (`missing_events`): the other sequence sources do the same for
    the one gap that a service asks about, the last. A history of 100 events takes about a millisecond.
    """

    name = "watched_between"
    label = "Between films of the history"
    family = "watched_next"
    meaning = "what people watch close to neighbouring movies of the history"

    def __init__(
        self,
        neighbours: SparseRows,
        movies: NDArray[np.int64],
        log_share: NDArray[np.float32],
        log_base: NDArray[np.float32],
        decay: float,
    ) -> None:
        """`log_share`: log p_j up to a constant, above 0, one per movie of the support. `log_base`: per
        catalogue row i, M[i, j] of the movies j that were never close to it; `neighbours` hold M - log_base.
        """
        super().__init__(neighbours, movies)
        self.log_share = log_share
        self.log_base = log_base
        self.decay = decay
        self.weights = (decay ** np.arange(1, N_BESIDE + 1)).astype(np.float32)

    @classmethod
    def is_used(cls, config: ModelConfig) -> bool:
        return config.missing_events

    @classmethod
    def max_movies(cls, config: ModelConfig) -> int | None:
        return config.max_sequence_movies

    @classmethod
    def fit(cls, context: FitContext) -> Self:
        config, n_movies = context.config, context.n_movies
        movies = context.movies(config.max_sequence_movies)
        decay, smoothing = config.transition_history_decay, np.float32(config.transition_smoothing)
        log_base = np.zeros(n_movies, np.float32)
        if not len(movies):
            return cls(SparseRows.empty(n_movies), movies, np.zeros(0, np.float32), log_base, decay)
        # 1. How often two movies are close, in either order.
        lags = (config.transition_lag_decay ** np.arange(config.transition_lags)).astype(np.float32)
        close = np.zeros((len(movies), len(movies)), np.float32)
        count_transitions(context.data.users, context.columns(movies), lags, close)
        _add_transpose(close)
        # 2. M, less its value for movies that were never close.
        n_events = context.n_events[movies] + 0.1
        share = (n_events / n_events.sum()).astype(np.float32)
        log_base[movies] = np.log(smoothing / (close.sum(axis=1) + smoothing))
        close /= smoothing * share
        np.log1p(close, out=close)
        neighbours = strongest_per_row(close, movies, n_movies, config.n_neighbours, config.n_threads)
        return cls(neighbours, movies, np.log(share / share.min() * 2), log_base, decay)

    def scores(self, query: Query) -> NDArray[np.float32]:
        rows = query.rows[query.is_presence]
        if not len(rows):
            return np.zeros(len(self.support), np.float32)
        matrix = self.neighbours
        lift = np.empty(len(self.support), np.float32)
        _lift_in_gaps(matrix.offsets, matrix.indices, matrix.values, rows, self.log_base, self.weights, lift)
        return self.log_share + lift

    def arrays(self) -> Arrays:
        return {
            **super().arrays(),
            "log_share": self.log_share,
            "log_base": self.log_base,
            "decay": np.array([self.decay]),
        }

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Self:
        return cls(
            SparseRows(arrays["offsets"], arrays["indices"], arrays["values"]),
            arrays["movies"],
            arrays["log_share"],
            arrays["log_base"],
            float(arrays["decay"][0]),
        )


@njit(cache=True, nogil=True)
def _add_transpose(matrix):  # type: ignore[no-untyped-def]  # numba
    """Replaces a square matrix by the sum of it and its transpose, with a diagonal of 0."""
    for i in range(len(matrix)):
        for j in range(i):
            matrix[i, j] += matrix[j, i]
            matrix[j, i] = matrix[i, j]
        matrix[i, i] = 0.0


@njit(cache=True, nogil=True)
def _lift_in_gaps(offsets, indices, values, rows, log_base, weights, out):  # type: ignore[no-untyped-def]  # numba
    """Writes the logarithm in the score, less its value for a movie that was never close to the history.

    Gap g lies before event g of `rows`; one more comes after the last.
    """
    n_gaps = len(rows) + 1
    # 1. Per gap the exponential for a movie that was never close, as a share of the largest.
    base = np.zeros(n_gaps)
    for gap in range(n_gaps):
        for step in range(len(weights)):
            if gap - 1 - step >= 0:
                base[gap] += weights[step] * log_base[rows[gap - 1 - step]]
            if gap + step < len(rows):
                base[gap] += weights[step] * log_base[rows[gap + step]]
    base = np.exp(base - base.max())
    # 2. What the movies close to a gap have more than that. Few movies are, so only these are visited.
    more = np.zeros(len(out))
    sums = np.zeros(len(out), np.float32)
    close = np.empty(len(out), np.int64)
    for gap in range(n_gaps):
        n_close = 0
        for event in range(max(gap - len(weights), 0), min(gap + len(weights), len(rows))):
            weight = weights[gap - 1 - event if event < gap else event - gap]
            for entry in range(offsets[rows[event]], offsets[rows[event] + 1]):
                column = indices[entry]
                if sums[column] == 0:
                    close[n_close] = column
                    n_close += 1
                sums[column] += weight * values[entry]
        for k in range(n_close):
            more[close[k]] += base[gap] * np.expm1(np.float64(sums[close[k]]))
            sums[close[k]] = 0.0
    # 3. The logarithm of their ratio.
    total = base.sum()
    for column in range(len(out)):
        out[column] = np.log1p(more[column] / total)
