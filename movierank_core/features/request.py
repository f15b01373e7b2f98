"""What the feature blocks share for one request."""

from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numba import njit
from numpy.typing import NDArray

from movierank_core.data.timestamps import DAY_SECONDS
from movierank_core.retrieval.candidates import Candidates
from movierank_core.retrieval.query import Query

MAX_IDLE_DAYS: Final = 365.0
"""Maximum days since the last event, in the user feature; also the value for an empty history."""


@dataclass(frozen=True, slots=True)
class FeatureRequest:
    """One query with its candidates, and facts of the history that several blocks use."""

    query: Query
    candidates: Candidates
    history_log_events: NDArray[np.float32]
    """Per movie of the history, log(1 + events); oldest first, as in `query`."""
    history_mean_ratings: NDArray[np.float32]
    """Per movie of the history, its mean rating by all users, shrunken."""
    history_years: NDArray[np.float32]
    """Per movie of the history, its release year; NaN if unknown."""
    idle_days: float
    """Days from the last event of the history to the request; `MAX_IDLE_DAYS` for an empty history."""
    mean_log_events: float
    """Mean of `history_log_events`; NaN for an empty history."""
    mean_year: float
    """Mean of the known `history_years`; NaN if none is known."""

    @classmethod
    def of(
        cls,
        query: Query,
        candidates: Candidates,
        *,
        log_events: NDArray[np.float32],
        mean_ratings: NDArray[np.float32],
        release_years: NDArray[np.float32],
    ) -> Self:
        """The request, with facts of the history taken from arrays that have one entry per catalogue row."""
        history_log_events, history_years = log_events[query.rows], release_years[query.rows]
        return cls(
            query=query,
            candidates=candidates,
            history_log_events=history_log_events,
            history_mean_ratings=mean_ratings[query.rows],
            history_years=history_years,
            idle_days=(query.as_of - int(query.timestamps[-1])) / DAY_SECONDS
            if len(query)
            else MAX_IDLE_DAYS,
            mean_log_events=mean_of(history_log_events, 1.0),
            mean_year=mean_of(history_years, 1.0),
        )


@njit(cache=True, nogil=True)
def mean_of(values, decay):  # type: ignore[no-untyped-def]  # numba
    """Weighted mean of the known values: the last has weight 1, each earlier one `decay` times the next.

    NaN if no value is known. An unknown value (NaN) still takes its step of the decay.
    """
    total, weights, weight = 0.0, 0.0, 1.0
    for k in range(len(values) - 1, -1, -1):
        if not np.isnan(values[k]):
            total += weight * values[k]
            weights += weight
        weight *= decay
    return total / weights if weights > 0 else np.nan


@njit(cache=True, nogil=True)
def deviation_of(values):  # type: ignore[no-untyped-def]  # numba
    """Standard deviation of the known values (divisor n), NaN if none is known; and the number known."""
    # Step 1: the mean.
    n, mean = 0, 0.0
    for value in values:
        if not np.isnan(value):
            mean += value
            n += 1
    mean /= max(n, 1)
    # Step 2: squared distances from it. Sums of squares would lose digits to cancellation.
    squares = 0.0
    for value in values:
        if not np.isnan(value):
            squares += (value - mean) ** 2
    return np.sqrt(squares / n) if n else np.nan, n
