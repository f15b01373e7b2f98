"""Sources that know the order of events: directed transitions, and a regression of the next movie."""

from typing import Self

import numpy as np
from numba import njit
from numpy.typing import NDArray

from movierank_core.config import ModelConfig
from movierank_core.kernels.sparse_rows import SparseRows
from movierank_core.retrieval.fit_context import FitContext
from movierank_core.retrieval.query import Query
from movierank_core.retrieval.source import Arrays
from movierank_core.retrieval.sources.item_to_item import RecencyWeighted, not_positive_definite


class Transitions(RecencyWeighted):
    """What tends to follow the last few movies, relative to popularity.

    W[i, j] = log(1 + T[i, j] / (smoothing * p(j))): how much more often j follows i than its popularity
    p says, from transitions T counted over `transition_lags` following events with decaying weight and
    smoothed towards p. The history weighs `transition_history_decay` per step back. A movie that follows
    any movie of the history scores log p(j) on top, up to a constant: the sum is then the logarithm of a
    product of transition probabilities.
    """

    name = "transitions"
    label = "What followed what"
    family = "watched_next"
    meaning = "what tends to follow the latest movies of the history"

    def __init__(
        self,
        neighbours: SparseRows,
        movies: NDArray[np.int64],
        log_popularity: NDArray[np.float32],
        decay: float,
    ) -> None:
        super().__init__(neighbours, movies, decay)
        self.log_popularity = log_popularity
        """log p per movie of the support, shifted so that the minimum is 0."""

    @classmethod
    def of_neighbours(
        cls,
        neighbours: SparseRows,
        movies: NDArray[np.int64],
        n_events: NDArray[np.int64],
        config: ModelConfig,
    ) -> Self:
        counts = n_events[movies]
        log_popularity = np.log(counts / counts.min(initial=np.iinfo(np.int64).max)).astype(np.float32)
        return cls(neighbours, movies, log_popularity, cls.history_decay(config))

    @classmethod
    def max_movies(cls, config: ModelConfig) -> int | None:
        return config.max_sequence_movies

    @classmethod
    def history_decay(cls, config: ModelConfig) -> float:
        return config.transition_history_decay

    @classmethod
    def weights(cls, context: FitContext, movies: NDArray[np.int64]) -> NDArray[np.floating]:
        config, data = context.config, context.data
        transitions = np.zeros((len(movies), len(movies)), np.float32)
        lags = (config.transition_lag_decay ** np.arange(config.transition_lags)).astype(np.float32)
        _count_transitions(data.users, context.columns(movies), lags, transitions)
        expected = config.transition_smoothing * context.n_events[movies] / len(data)
        lift = np.log1p(np.divide(transitions, expected.astype(np.float32), out=transitions))
        np.fill_diagonal(lift, 0.0)
        return lift

    def scores(self, query: Query) -> NDArray[np.float32]:
        scores = super().scores(query)
        _add_where_positive(scores, self.log_popularity)
        return scores

    def arrays(self) -> Arrays:
        return {**super().arrays(), "log_popularity": self.log_popularity}

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Self:
        neighbours = SparseRows(arrays["offsets"], arrays["indices"], arrays["values"])
        return cls(neighbours, arrays["movies"], arrays["log_popularity"], float(arrays["decay"][0]))


class ContextNeighbours(RecencyWeighted):
    """What people watch within `context_lags` events after each of the latest movies.

    W[i, j] = sum over events with i before j of context_lag_decay^(steps between - 1) / sqrt(n_i n_j). It
    sums over the viewers of i what they watched afterwards, as session neighbours do (Jannach and Ludewig
    2017). The matrix holds no user. The history weighs `context_history_decay` per step back.
    """

    name = "context_neighbours"
    label = "Watched some time after"
    family = "watched_next"
    meaning = "what people watch some time after the latest movies of the history"
    decay_before_stored = 0.8

    @classmethod
    def max_movies(cls, config: ModelConfig) -> int | None:
        return config.max_sequence_movies

    @classmethod
    def history_decay(cls, config: ModelConfig) -> float:
        return config.context_history_decay

    @classmethod
    def weights(cls, context: FitContext, movies: NDArray[np.int64]) -> NDArray[np.floating]:
        config = context.config
        following = np.zeros((len(movies), len(movies)), np.float32)
        lags = (config.context_lag_decay ** np.arange(config.context_lags)).astype(np.float32)
        _count_transitions(context.data.users, context.columns(movies), lags, following)
        n_viewers = context.n_events[movies]
        following /= np.sqrt(np.outer(n_viewers, n_viewers)).astype(np.float32)
        np.fill_diagonal(following, 0.0)
        return following


class NextItem(RecencyWeighted):
    """The next movie, by ridge regression on the history so far, in which older movies weigh less.

    With x_t the history before event t, weighted by `next_item_decay` per step back, and y_t the movie of
    event t as an indicator, W = (sum x_t x_t' + l2 I)^-1 sum x_t y_t' is the closed form of least squares.
    """

    name = "next_item"
    label = "The next film (linear)"
    family = "watched_next"
    meaning = "a regression of the next movie on the history so far"
    decay_before_stored = 0.9

    @classmethod
    def max_movies(cls, config: ModelConfig) -> int | None:
        return config.max_sequence_movies

    @classmethod
    def history_decay(cls, config: ModelConfig) -> float:
        return config.next_item_decay

    @classmethod
    def weights(cls, context: FitContext, movies: NDArray[np.int64]) -> NDArray[np.floating]:
        from scipy.linalg import LinAlgError, cho_factor, cho_solve

        config, data = context.config, context.data
        # 1. Sum both sides of the normal equations over all events of the kept movies.
        gram = np.zeros((len(movies), len(movies)), np.float32)
        targets = np.zeros((len(movies), len(movies)), np.float32)
        columns = context.columns(movies)
        kept = columns >= 0
        _next_item_sums(
            data.users[kept], columns[kept], config.next_item_decay, config.next_item_lags, gram, targets
        )
        # 2. Only the upper half of the Gram matrix was summed; mirror it and add the penalty.
        l2 = float(config.next_item_l2 * np.sqrt(kept.sum() / 100_000))
        gram += np.triu(gram, 1).T
        gram[np.diag_indices_from(gram)] += np.float32(l2)
        # 3. Solve by Cholesky.
        try:
            factor = cho_factor(gram, overwrite_a=True)
        except LinAlgError:
            raise not_positive_definite(cls.name, "next_item_l2", l2) from None
        weights: NDArray[np.float32] = cho_solve(factor, targets, overwrite_b=True)
        return weights


@njit(cache=True, nogil=True)
def _add_where_positive(scores, added):  # type: ignore[no-untyped-def]  # numba
    """Adds to the scores above 0; sets every other score to 0."""
    for column in range(len(scores)):
        scores[column] = scores[column] + added[column] if scores[column] > 0 else np.float32(0)


@njit(cache=True, nogil=True)
def _count_transitions(users, columns, lag_weights, out):  # type: ignore[no-untyped-def]  # numba
    """Adds to out[i, j] the weight of the lag for every j that follows i within the lags.

    Events are sorted by user and time; a column of -1 is a movie that is not kept.
    """
    for later in range(len(users)):
        if columns[later] < 0:
            continue
        for lag in range(1, len(lag_weights) + 1):
            earlier = later - lag
            if earlier < 0 or users[earlier] != users[later]:
                break
            if columns[earlier] >= 0:
                out[columns[earlier], columns[later]] += lag_weights[lag - 1]


@njit(cache=True, nogil=True)
def _next_item_sums(users, columns, decay, max_lag, gram, targets):  # type: ignore[no-untyped-def]  # numba
    """Adds sum x x' to the upper half of `gram` and sum x y' to `targets`, in one pass over pairs of events.

    Take a user with n events and two events at steps a <= b. Every history from b + 1 to n - 1 holds
    both, with weights decay^(t - 1 - a) and decay^(t - 1 - b): a geometric series in decay^2, cut after
    `max_lag` terms.
    """
    ratio = decay * decay
    start = 0
    while start < len(users):
        # 1. The events of one user are start to stop - 1.
        stop = start
        while stop < len(users) and users[stop] == users[start]:
            stop += 1
        for b in range(start, stop):
            # 2. The sum of the series for this b, without the factor for the distance to a.
            n_histories = min(stop - 1 - b, max_lag)
            series = (1.0 - ratio**n_histories) / (1.0 - ratio)
            for a in range(max(start, b - max_lag), b + 1):
                i, j = columns[a], columns[b]
                # 3. Add to the upper half: the row is the lower column.
                shared = decay ** (b - a) * series
                if i <= j:
                    gram[i, j] += shared
                else:
                    gram[j, i] += shared
                # 4. Event b is the target of the history that ends before it.
                if a < b:
                    targets[i, j] += decay ** (b - a - 1)
        start = stop
