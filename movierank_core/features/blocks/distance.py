"""How far a movie is from the history in time, popularity and ratings."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from movierank_core.data.timestamps import DAY_SECONDS, YEAR_SECONDS
from movierank_core.features.block import Block
from movierank_core.features.feature import CROSS, Feature
from movierank_core.features.request import FeatureRequest, mean_of

RECENT_DECAY: Final = 0.7
"""Weight of a movie of the history relative to the next, in the means of the latest movies."""
ERA_WIDTH_YEARS: Final = 5.0
"""Standard deviation of the Gaussian kernel of `era_share`, in years."""
_MAX_DISTANCE: Final = 40
"""Maximum distance in years that counts for `era_share`; the Gaussian is below 1e-13 beyond it."""
_GAUSSIAN: Final = np.exp(-0.5 * (np.arange(_MAX_DISTANCE + 1) / ERA_WIDTH_YEARS) ** 2)
_YEAR, _LOG_EVENTS, _MEAN_RATING = range(3)
"""Columns of the facts."""


class Distance(Block):
    """Distances of a movie's facts from the history's; fits no array, reads those of the block `movie`."""

    NAME = "distance"
    READS_FACTS = True
    FEATURES = tuple(
        Feature(name, CROSS, family, unit, meaning)
        for name, family, unit, meaning in (
            (
                "era_share",
                "era_match",
                "share",
                "Share of the history within about five years (Gaussian); NaN if the year is unknown.",
            ),
            (
                "era_distance",
                "era_match",
                "years",
                "Years between release and the history's mean release year; NaN if either is unknown.",
            ),
            (
                "popularity_distance",
                "high_popularity",
                "log ratio",
                "Movie's log events minus the history's mean log events; NaN for an empty history.",
            ),
            (
                "rating_distance",
                "highly_rated",
                "stars",
                "Movie's shrunken mean rating minus the user's shrunken mean rating.",
            ),
            (
                "era_recent_distance",
                "era_match",
                "years",
                "As era_distance, to the mean of the latest movies (0.7 per step back); NaN as there.",
            ),
            (
                "popularity_recent_distance",
                "high_popularity",
                "log ratio",
                "As popularity_distance, to the latest movies (0.7 per step back); NaN as there.",
            ),
            (
                "rating_recent_distance",
                "highly_rated",
                "stars",
                "Movie's mean rating minus the latest movies' (0.7 per step back); NaN if there are none.",
            ),
            (
                "age_at_latest",
                "era_match",
                "years",
                "Years from release to the history's latest event, may be below 0; NaN if either is unknown.",
            ),
            (
                "days_known_at_latest",
                "fresh_release",
                "±log(1 + days)",
                "Days from the movie's first event to the history's latest, may be below 0; NaN if unknown.",
            ),
        )
    )

    def __init__(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        columns = (
            arrays["release_year"],
            np.log1p(arrays["n_events"]),
            arrays["mean_rating"],
        )
        self._facts = np.stack(columns, axis=1)
        self._first_events = arrays["first_event"]

    def fill(self, out: NDArray[np.float32], request: FeatureRequest) -> None:
        facts = self._facts[request.candidates.rows]
        era_shares(facts[:, _YEAR], request.history_years, out[0])
        fill_distances(
            facts,
            np.float32(request.mean_year),
            np.float32(request.mean_log_events),
            np.float32(request.query.mean_rating),
            np.float32(mean_of(request.history_years, RECENT_DECAY)),
            np.float32(mean_of(request.history_log_events, RECENT_DECAY)),
            np.float32(mean_of(request.history_mean_ratings, RECENT_DECAY)),
            out,
        )
        # Moments, not ages: an age depends on when it is measured, and these two must not.
        latest = float(request.query.timestamps[-1]) if len(request.query) else np.nan
        fill_ages(facts[:, _YEAR], self._first_events[request.candidates.rows], latest, out)


@njit(cache=True, nogil=True)
def fill_distances(  # type: ignore[no-untyped-def]  # numba
    facts,
    mean_year,
    mean_log_events,
    mean_rating,
    recent_year,
    recent_log_events,
    recent_mean_rating,
    out,
):
    """Writes rows 1 to 6 of `out` [9, n], all in single precision; an unknown fact or mean gives NaN.

    `facts` is [n, 3].
    """
    for candidate in range(len(facts)):
        of_movie = facts[candidate]
        # The whole history.
        out[1, candidate] = abs(of_movie[_YEAR] - mean_year)
        out[2, candidate] = of_movie[_LOG_EVENTS] - mean_log_events
        out[3, candidate] = of_movie[_MEAN_RATING] - mean_rating
        # Its latest movies.
        out[4, candidate] = abs(of_movie[_YEAR] - recent_year)
        out[5, candidate] = of_movie[_LOG_EVENTS] - recent_log_events
        out[6, candidate] = of_movie[_MEAN_RATING] - recent_mean_rating


@njit(cache=True, nogil=True)
def fill_ages(years, first_events, latest, out):  # type: ignore[no-untyped-def]  # numba
    """Writes rows 7 and 8 of `out` [9, n]: age and days known at the history's `latest` event.

    `first_events` and `latest` are seconds since 1970. NaN where one is unknown.
    """
    for candidate in range(len(years)):
        out[7, candidate] = 1970 + latest / YEAR_SECONDS - years[candidate]
        # The logarithm keeps the sign: below 0 if the movie was not known yet.
        days = (latest - first_events[candidate]) / DAY_SECONDS
        out[8, candidate] = np.copysign(np.log1p(np.abs(days)), days)


@njit(cache=True, nogil=True)
def era_shares(years, history_years, out):  # type: ignore[no-untyped-def]  # numba
    """Fills out [n]: share of the history per candidate year, by a Gaussian of the distance in whole years.

    NaN for an unknown year; 0 if no year of the history is known.
    """
    # Step 1: how often each year occurs in the history, in a table that reaches `_MAX_DISTANCE` beyond.
    known = history_years[~np.isnan(history_years)].astype(np.int64)
    n = len(known)
    first = (known.min() if n else 0) - _MAX_DISTANCE
    share = np.zeros((known.max() if n else 0) + _MAX_DISTANCE + 1 - first)
    counts = np.zeros(len(share))
    for year in known:
        counts[year - first] += 1.0
    # Step 2: every year spreads its count over the years around it.
    for year in range(_MAX_DISTANCE, len(share) - _MAX_DISTANCE):
        if counts[year] > 0:
            for distance in range(-_MAX_DISTANCE, _MAX_DISTANCE + 1):
                share[year + distance] += counts[year] * _GAUSSIAN[abs(distance)]
    # Step 3: one look-up per candidate.
    for candidate in range(len(years)):
        if np.isnan(years[candidate]):
            out[candidate] = np.nan
        else:
            year = int(years[candidate]) - first
            out[candidate] = share[year] / max(n, 1) if 0 <= year < len(share) else 0.0
