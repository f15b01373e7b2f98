"""Sources that know the order of events: directed transitions, and a regression of the next movie."""

from typing import Final, Self

import numpy as np
from numba import njit
from numpy.typing import NDArray

from movierank_core.config import ModelConfig
from movierank_core.data.interactions import InteractionArrays
from movierank_core.kernels.sparse_rows import SparseRows, strongest_per_row
from movierank_core.retrieval.query import Query
from movierank_core.retrieval.source import Arrays, columns_of
from movierank_core.retrieval.sources.item_to_item import (
    ItemToItem,
    movies_with_events,
    n_neighbours_kept,
    recency_weights,
)


class Transitions(ItemToItem):
    """What tends to follow the last few movies, relative to popularity.

    W[i, j] = log(1 + T[i, j] / (smoothing * p(j))): how much more often j follows i than its popularity
    p says, from transitions T counted over `transition_lags` following events with decaying weight and
    smoothed towards p. The history weighs `transition_history_decay` per step back. A movie that follows
    anything in the history scores log p(j) on top, up to a constant: the sum is then the logarithm of a
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
        super().__init__(neighbours, movies)
        self.log_popularity = log_popularity
        """Per movie of the support log p, shifted so that the least is 0."""
        self.decay = decay

    @classmethod
    def fit(cls, data: InteractionArrays, n_movies: int, config: ModelConfig) -> Self:
        decay = config.transition_history_decay
        movies = movies_with_events(data, n_movies, config, config.max_sequence_movies)
        if len(movies) == 0:
            return cls(SparseRows.empty(n_movies), movies, np.zeros(0, np.float32), decay)
        transitions = np.zeros((len(movies), len(movies)), np.float32)
        lags = (config.transition_lag_decay ** np.arange(config.transition_lags)).astype(np.float32)
        _count_transitions(data.users, columns_of(movies, n_movies)[data.rows], lags, transitions)
        counts = np.bincount(data.rows, minlength=n_movies)
        expected = config.transition_smoothing * counts[movies] / len(data)
        lift = np.log1p(np.divide(transitions, expected.astype(np.float32), out=transitions))
        np.fill_diagonal(lift, 0.0)
        log_popularity = np.log(counts[movies] / counts[movies].min()).astype(np.float32)
        kept = n_neighbours_kept(len(movies), config)
        return cls(strongest_per_row(lift, movies, n_movies, kept), movies, log_popularity, decay)

    def scores(self, query: Query) -> NDArray[np.float32]:
        scores = super().scores(query)
        _add_where_positive(scores, self.log_popularity)
        return scores

    def history_weights(self, query: Query) -> NDArray[np.float32]:
        return recency_weights(query, self.decay)

    def arrays(self) -> Arrays:
        return {
            **super().arrays(),
            "log_popularity": self.log_popularity,
            "decay": np.array([self.decay]),
        }

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Self:
        neighbours = SparseRows(arrays["offsets"], arrays["indices"], arrays["values"])
        return cls(neighbours, arrays["movies"], arrays["log_popularity"], float(arrays["decay"][0]))


class ContextNeighbours(ItemToItem):
    """What people watch within SPAN events after each of the latest movies.

    W[i, j] = sum over events with i before j of LAG_DECAY^(steps between - 1) / sqrt(n_i n_j). It sums over
    viewers of i what they watched afterwards, as session neighbours do (Jannach and Ludewig 2017), and as a
    matrix over movies it needs nobody in the bundle. The history weighs DECAY per step back.
    """

    name = "context_neighbours"
    label = "Watched some time after"
    family = "watched_next"
    meaning = "what people watch some time after the latest movies of the history"
    DECAY: Final = 0.8
    LAG_DECAY: Final = 0.95
    SPAN: Final = 60

    @classmethod
    def fit(cls, data: InteractionArrays, n_movies: int, config: ModelConfig) -> Self:
        movies = movies_with_events(data, n_movies, config, config.max_sequence_movies)
        if len(movies) == 0:
            return cls(SparseRows.empty(n_movies), movies)
        following = np.zeros((len(movies), len(movies)), np.float32)
        lags = (cls.LAG_DECAY ** np.arange(cls.SPAN)).astype(np.float32)
        _count_transitions(data.users, columns_of(movies, n_movies)[data.rows], lags, following)
        viewers = np.bincount(data.rows, minlength=n_movies)[movies]
        following /= np.sqrt(np.outer(viewers, viewers)).astype(np.float32)
        np.fill_diagonal(following, 0.0)
        kept = n_neighbours_kept(len(movies), config)
        return cls(strongest_per_row(following, movies, n_movies, kept), movies)

    def history_weights(self, query: Query) -> NDArray[np.float32]:
        return recency_weights(query, self.DECAY)


class NextItem(ItemToItem):
    """The next movie, by ridge regression on the history so far, older movies counting less and less.

    With x_t the history before event t, weighted by DECAY per step back, and y_t the movie of event t as
    an indicator, W = (sum x_t x_t' + l2 I)^-1 sum x_t y_t' is the closed form of least squares.
    """

    name = "next_item"
    label = "The next film (linear)"
    family = "watched_next"
    meaning = "a regression of the next movie on the history so far"
    DECAY: Final = 0.9
    SPAN: Final = 50
    """Steps back that count in the fit; 0.9 to the 50th is half a percent."""

    @classmethod
    def fit(cls, data: InteractionArrays, n_movies: int, config: ModelConfig) -> Self:
        from scipy.linalg import cho_factor, cho_solve

        movies = movies_with_events(data, n_movies, config, config.max_sequence_movies)
        if len(movies) == 0:
            return cls(SparseRows.empty(n_movies), movies)
        gram = np.zeros((len(movies), len(movies)), np.float32)
        targets = np.zeros((len(movies), len(movies)), np.float32)
        columns = columns_of(movies, n_movies)[data.rows]
        kept = columns >= 0
        _next_item_sums(data.users[kept], columns[kept], cls.DECAY, cls.SPAN, gram, targets)
        l2 = config.next_item_l2 * np.sqrt(kept.sum() / 100_000)
        gram += np.triu(gram, 1).T  # Only the upper half was summed, and the lower is zero.
        gram[np.diag_indices_from(gram)] += np.float32(l2)
        weights = cho_solve(cho_factor(gram, overwrite_a=True), targets, overwrite_b=True)
        n_kept = n_neighbours_kept(len(movies), config)
        return cls(strongest_per_row(weights, movies, n_movies, n_kept), movies)

    def history_weights(self, query: Query) -> NDArray[np.float32]:
        return recency_weights(query, self.DECAY)


@njit(cache=True, nogil=True)
def _add_where_positive(scores, added):  # type: ignore[no-untyped-def]  # numba
    """Adds to the scores that are above 0; the others become 0."""
    for place in range(len(scores)):
        scores[place] = scores[place] + added[place] if scores[place] > 0 else np.float32(0)


@njit(cache=True, nogil=True)
def _count_transitions(users, columns, lag_weights, out):  # type: ignore[no-untyped-def]  # numba
    """Adds to out[i, j] the weight of the lag for every j that follows i within the lags."""
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
def _next_item_sums(users, columns, decay, span, gram, targets):  # type: ignore[no-untyped-def]  # numba
    """Adds sum x x' to the upper half of `gram` and sum x y' to `targets`, in one pass over pairs of events.

    Of a pair at places a <= b of a user with n events, every history from b + 1 to n - 1 holds both, with
    weights decay^(t - 1 - a) and decay^(t - 1 - b): a geometric series in decay^2.
    """
    start = 0
    ratio = decay * decay
    while start < len(users):
        stop = start
        while stop < len(users) and users[stop] == users[start]:
            stop += 1
        for b in range(start, stop):
            n_histories = min(stop - 1 - b, span)
            series = (1.0 - ratio**n_histories) / (1.0 - ratio)
            for a in range(max(start, b - span), b + 1):
                i, j = columns[a], columns[b]
                shared = decay ** (b - a) * series
                if i <= j:
                    gram[i, j] += shared
                else:
                    gram[j, i] += shared
                if a < b:
                    targets[i, j] += decay ** (b - a - 1)
        start = stop
