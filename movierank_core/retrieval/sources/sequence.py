"""Sources that know the order of events: a Markov model of hazards, and a regression of the next movie."""

from typing import Final, Self

import numpy as np
from numba import njit
from numpy.typing import NDArray

from movierank_core.config import ModelConfig
from movierank_core.kernels.sparse_rows import SparseRows, strongest_per_row
from movierank_core.kernels.square import divide_by_roots
from movierank_core.retrieval.fit_context import FitContext
from movierank_core.retrieval.query import Query
from movierank_core.retrieval.source import Arrays, Detail
from movierank_core.retrieval.sources.item_to_item import (
    ItemToItem,
    RecencyWeighted,
    n_neighbours_kept,
    not_positive_definite,
    recency_weights,
)

N_LATEST: Final = 5
"""Number of latest history movies whose log odds are details of `hazard_markov`."""
N_COMPARED: Final = 10
"""Number of latest history movies whose largest log odds are a detail. Others hardly count in the score."""


class HazardMarkov(ItemToItem):
    """What tends to follow the latest movies, relative to how readily a movie is chosen at all.

    A movie is watched once, so a rate per opportunity (a hazard) describes it better than a share of events.
    hazard_j is proportional to (n_j + 0.1) / (N - A_j + 1): n_j events of j over N events of all, less the
    A_j events at or after j within the histories of its viewers.
    T[i, j] counts transitions from i to j over `transition_lags` following events with decaying weight.
    D[i, j] = max(sum_j T[i, j] - c n_ji, 0) leaves out those who had seen j already, with n_ji the users with
    j before i and c the sum of the lag weights. With s = `transition_smoothing`,
    M[i, j] = log((T[i, j] + s hazard_j) / ((D[i, j] + s) hazard_j)) - log(s / (sum_j T[i, j] + s)).
    The last term is constant in j. It makes M[i, j] = 0 where j neither followed nor preceded i, and at
    least 0 elsewhere. score(j) = log hazard_j + sum over history items i of the recency weight times M[i, j],
    up to a constant. The weight is `transition_history_decay` to the power of the steps back, from
    `transition_history_decay` itself.

    Each row keeps the entries of largest M[i, j] + log hazard_j: the sum decides what follows, and a cut by M
    alone would drop popular successors.
    """

    name = "hazard_markov"
    label = "What followed what"
    family = "watched_next"
    meaning = "what tends to follow the latest movies of the history"
    details = (
        *(
            Detail(
                f"after_{back}",
                "log odds",
                f"M of hazard_markov from movie {back} of the history, counted back, to the candidate;"
                " NaN in a shorter history, or if the source does not have the candidate.",
            )
            for back in range(1, N_LATEST + 1)
        ),
        Detail(
            "after_any",
            "log odds",
            f"Largest such M of the latest {N_COMPARED} movies; NaN as after_1.",
        ),
        Detail(
            "before",
            "log odds",
            "M of hazard_markov from the candidate to the history's latest movie; NaN as after_1.",
        ),
    )

    def __init__(
        self,
        neighbours: SparseRows,
        movies: NDArray[np.int64],
        log_hazard: NDArray[np.float32],
        decay: float,
    ) -> None:
        """`log_hazard`: one value above 0 per movie of the support, up to a constant."""
        super().__init__(neighbours, movies)
        self.log_hazard = log_hazard
        self.decay = decay

    @classmethod
    def max_movies(cls, config: ModelConfig) -> int | None:
        return config.max_sequence_movies

    @classmethod
    def fit(cls, context: FitContext) -> Self:
        config, data, n_movies = context.config, context.data, context.n_movies
        movies = context.movies(config.max_sequence_movies)
        decay = config.transition_history_decay
        if not len(movies):
            return cls(SparseRows.empty(n_movies), movies, np.zeros(0, np.float32), decay)
        columns = context.columns(movies)
        # 1. Transitions, and users with a movie before another, over pairs of events.
        lags = (config.transition_lag_decay ** np.arange(config.transition_lags)).astype(np.float32)
        transitions = np.zeros((len(movies), len(movies)), np.float32)
        count_transitions(data.users, columns, lags, transitions)
        before = np.zeros((len(movies), len(movies)), np.float32)
        count_before(data.users, columns, before)
        # 2. Hazards.
        hazard = hazards(data.offsets, columns, len(movies))
        log_hazard = np.log(hazard / hazard.min() * 2.0).astype(np.float32)
        # 3. M in place of the transitions, and M + log hazard in place of the users.
        _to_log_odds(transitions, before, hazard, log_hazard, float(lags.sum()), config.transition_smoothing)
        # 4. The entries with the largest sums, with M as their values.
        n_kept = n_neighbours_kept(len(movies), config)
        neighbours = strongest_per_row(before, movies, n_movies, n_kept)
        row_of_entry = np.repeat(np.arange(len(movies)), np.diff(neighbours.offsets)[movies])
        values = transitions[row_of_entry, neighbours.indices]
        return cls(SparseRows(neighbours.offsets, neighbours.indices, values), movies, log_hazard, decay)

    def history_weights(self, query: Query) -> NDArray[np.float32]:
        return np.float32(self.decay) * recency_weights(query, self.decay)

    def scores(self, query: Query) -> NDArray[np.float32]:
        weights = self.history_weights(query)
        if not weights.any():
            return np.zeros(len(self.support), np.float32)
        return self.log_hazard + self.neighbours.weighted_sum(query.rows, weights, len(self.support))

    def describe(self, query: Query, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        latest = query.rows[query.is_presence][: -N_COMPARED - 1 : -1]
        columns = self.support.columns[rows]
        out = np.full((N_LATEST + 2, len(rows)), np.nan, np.float32)
        if len(latest):
            after = self.neighbours.at(latest, columns, len(self.support))
            out[: min(len(latest), N_LATEST)] = after[:N_LATEST]
            out[N_LATEST] = after.max(axis=0)
            out[N_LATEST + 1] = self.neighbours.column(rows, int(self.support.columns[latest[0]]))
        out[:, columns < 0] = np.nan
        return out

    def arrays(self) -> Arrays:
        return {**super().arrays(), "log_hazard": self.log_hazard, "decay": np.array([self.decay])}

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Self:
        neighbours = SparseRows(arrays["offsets"], arrays["indices"], arrays["values"])
        return cls(neighbours, arrays["movies"], arrays["log_hazard"], float(arrays["decay"][0]))


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
        count_transitions(context.data.users, context.columns(movies), lags, following)
        divide_by_roots(following, context.n_events[movies], config.n_threads)
        return following


class NextItem(ItemToItem):
    """The next movie, by one ridge regression on two histories: the latest movies, and all movies.

    Before event t the history is x_t = (near, far): `next_item_near_decay` and `next_item_far_decay` to the
    power of the steps back, per movie. With y_t the movie of event t as an indicator, the weights are
    (sum x_t x_t' + l2 I)^-1 sum x_t y_t', the closed form of least squares for both blocks together. A far
    history alone forgets what was watched last, a near one what the user is like.
    """

    name = "next_item"
    label = "The next film (linear)"
    family = "watched_next"
    meaning = "a regression of the next movie on the history so far"

    def __init__(
        self,
        near: SparseRows,
        far: SparseRows,
        movies: NDArray[np.int64],
        decays: tuple[float, float],
    ) -> None:
        super().__init__(near, movies)
        self.far = far
        self.decays = decays
        """Decays of the near and of the far history."""

    @classmethod
    def max_movies(cls, config: ModelConfig) -> int | None:
        return config.max_regression_movies

    @classmethod
    def fit(cls, context: FitContext) -> Self:
        config, n_movies = context.config, context.n_movies
        movies = context.movies(config.max_regression_movies)
        movies = movies[context.n_events[movies] >= config.min_regression_events]
        decays = (config.next_item_near_decay, config.next_item_far_decay)
        if not len(movies):
            return cls(SparseRows.empty(n_movies), SparseRows.empty(n_movies), movies, decays)
        weights = cls.weights(context, movies)
        n_kept = n_neighbours_kept(len(movies), config)
        near, far = (strongest_per_row(block, movies, n_movies, n_kept) for block in weights)
        return cls(near, far, movies, decays)

    @classmethod
    def weights(cls, context: FitContext, movies: NDArray[np.int64]) -> NDArray[np.float32]:
        """[2, len(movies), len(movies)]: the weights of the near and of the far history."""
        from scipy.linalg import LinAlgError, cho_factor, cho_solve

        config, data, n = context.config, context.data, len(movies)
        # 1. Sum both sides of the normal equations over all events of the kept movies. The near block comes
        # first. Column order is what LAPACK overwrites without a copy.
        gram = np.zeros((2 * n, 2 * n), np.float32, order="F")
        targets = np.zeros((2 * n, n), np.float32, order="F")
        columns = context.columns(movies)
        kept = columns >= 0
        decays = (config.next_item_near_decay, config.next_item_far_decay)
        lags = [int(np.ceil(np.log(MIN_LAG_WEIGHT) / np.log(decay))) for decay in decays]
        for block, (decay, max_lag) in enumerate(zip(decays, lags, strict=True)):
            part = slice(block * n, (block + 1) * n)
            _add_targets(data.users[kept], columns[kept], decay, max_lag, targets[part])
            for other in range(block + 1):
                _add_products(
                    *(data.users[kept], columns[kept]),
                    *(decays[other], lags[other], decay, max_lag),
                    gram[other * n : (other + 1) * n, part],
                )
        # 2. Add the penalty; only the upper triangle is read.
        l2 = float(config.next_item_l2 * np.sqrt(kept.sum() / 100_000))
        gram[np.diag_indices_from(gram)] += np.float32(l2)
        # 3. Solve by Cholesky.
        try:
            factor = cho_factor(gram, lower=False, overwrite_a=True, check_finite=False)
        except LinAlgError:
            raise not_positive_definite(cls.name, "next_item_l2", l2) from None
        solved: NDArray[np.float32] = cho_solve(factor, targets, overwrite_b=True, check_finite=False)
        blocks = np.stack([solved[:n], solved[n:]])
        blocks[:, np.arange(n), np.arange(n)] = 0.0
        return blocks

    def scores(self, query: Query) -> NDArray[np.float32]:
        near, far = (recency_weights(query, decay) for decay in self.decays)
        n = len(self.support)
        return self.neighbours.weighted_sum(query.rows, near, n) + self.far.weighted_sum(query.rows, far, n)

    def history_weights(self, query: Query) -> NDArray[np.float32]:
        return recency_weights(query, self.decays[0])

    def arrays(self) -> Arrays:
        return {
            **super().arrays(),
            "far_offsets": self.far.offsets,
            "far_indices": self.far.indices,
            "far_values": self.far.values,
            "decays": np.array(self.decays),
        }

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Self:
        near_decay, far_decay = arrays["decays"].tolist()
        return cls(
            SparseRows(arrays["offsets"], arrays["indices"], arrays["values"]),
            SparseRows(arrays["far_offsets"], arrays["far_indices"], arrays["far_values"]),
            arrays["movies"],
            (near_decay, far_decay),
        )


MIN_LAG_WEIGHT: Final = 1e-3
"""Minimum weight of a history item in the fit of `next_item`; smaller weights count as 0."""


def hazards(offsets: NDArray[np.int64], columns: NDArray[np.int32], n_movies: int) -> NDArray[np.float64]:
    """[n_movies] rates at which movies are chosen by those who have not seen them, with sum 1.

    Proportional to (n_j + 0.1) / (N - A_j + 1), as `HazardMarkov` explains. `columns` has one entry per event
    (-1: not kept), sorted by user and time; the events of user u are offsets[u]:offsets[u + 1].
    """
    lengths = np.diff(offsets)
    n_from_here = np.repeat(offsets[1:], lengths) - np.arange(len(columns))
    kept = columns >= 0
    n_events = np.bincount(columns[kept], minlength=n_movies)
    after = np.bincount(columns[kept], n_from_here[kept], n_movies)
    rates = (n_events + 0.1) / (len(columns) - after + 1.0)
    return rates / rates.sum()


@njit(cache=True, nogil=True)
def count_transitions(users, columns, lag_weights, out):  # type: ignore[no-untyped-def]  # numba
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
def count_before(users, columns, out):  # type: ignore[no-untyped-def]  # numba
    """Adds to out[i, j] the number of users with an event of j before one of i."""
    start = 0
    for later in range(len(users)):
        if users[later] != users[start]:
            start = later
        if columns[later] < 0:
            continue
        row = out[columns[later]]
        for earlier in range(start, later):
            if columns[earlier] >= 0:
                row[columns[earlier]] += np.float32(1)


@njit(cache=True, nogil=True)
def _to_log_odds(transitions, before, hazard, log_hazard, lag_sum, smoothing):  # type: ignore[no-untyped-def]  # numba
    """Replaces transitions[i, j] by M[i, j], and before[i, j] by M[i, j] + log_hazard[j], or 0 where M is."""
    for i in range(len(hazard)):
        total = transitions[i].sum() + smoothing
        for j in range(len(hazard)):
            at_risk = max(total - smoothing - lag_sum * before[i, j], 0.0) + smoothing
            lift = transitions[i, j] / (smoothing * hazard[j]) + 1.0
            log_odds = np.log(lift * total / at_risk) if i != j else 0.0
            transitions[i, j] = log_odds
            before[i, j] = log_odds + log_hazard[j] if log_odds > 0 else 0.0


@njit(cache=True, nogil=True)
def _add_targets(users, columns, decay, max_lag, targets):  # type: ignore[no-untyped-def]  # numba
    """Adds sum over t of x_t y_t' to `targets`: decay^(steps between - 1) for each pair of events."""
    for later in range(len(users)):
        weight = 1.0
        for earlier in range(later - 1, max(later - max_lag, 0) - 1, -1):
            if users[earlier] != users[later]:
                break
            targets[columns[earlier], columns[later]] += weight
            weight *= decay


@njit(cache=True, nogil=True)
def _add_products(users, columns, decay, max_lag, other_decay, other_max_lag, gram):  # type: ignore[no-untyped-def]  # numba
    """Adds sum over t of x_t z_t' to `gram`, for histories x and z that decay differently.

    Take a user's events a and b. Every history after the later event holds both, with weights
    decay^(t - 1 - a) and other_decay^(t - 1 - b). With d steps between them and n later events of the user
    this is a geometric series: the power d of the decay of the earlier one, times
    (1 - ratio^n) / (1 - ratio) with ratio = decay * other_decay.
    """
    ratio = decay * other_decay
    stop = 0
    for later in range(len(users)):
        # 1. The events of the user end before `stop`.
        if later == stop:
            while stop < len(users) and users[stop] == users[later]:
                stop += 1
            first = later
        series = (1.0 - ratio ** (stop - 1 - later)) / (1.0 - ratio)
        gram[columns[later], columns[later]] += series
        # 2. x holds the earlier event, z the later one.
        weight = series * decay
        for earlier in range(later - 1, max(later - max_lag, first) - 1, -1):
            gram[columns[earlier], columns[later]] += weight
            weight *= decay
        # 3. The other way round.
        weight = series * other_decay
        for earlier in range(later - 1, max(later - other_max_lag, first) - 1, -1):
            gram[columns[later], columns[earlier]] += weight
            weight *= other_decay
