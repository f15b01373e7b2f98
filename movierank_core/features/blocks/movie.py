"""The movie alone: its events and ratings by all users, its age, length and genres."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from movierank_core.data.catalogue import Catalogue
from movierank_core.data.interactions import InteractionArrays
from movierank_core.data.timestamps import DAY_SECONDS, YEAR_SECONDS
from movierank_core.features.block import Block
from movierank_core.features.columns import floats
from movierank_core.features.feature import MOVIE, Feature
from movierank_core.features.movie_facts import WINDOW_DAYS, FactsOverTime, MovieFacts, count_name
from movierank_core.features.request import FeatureRequest
from movierank_core.retrieval.source import Arrays


class Movie(Block):
    """Facts of every movie at the moment of the fit, or at the later moment of newer facts.

    Arrays with one entry per catalogue row: those of `MovieFacts`; `release_year`, `runtime_minutes` (NaN if
    unknown); at the moment of the facts, `age_years` (NaN if the year is unknown) and `days_known` (NaN
    without events). All are float32 except `first_event`.
    """

    NAME = "movie"
    READS_FACTS = True
    FEATURES = tuple(
        Feature(name, MOVIE, family, unit, meaning)
        for name, family, unit, meaning in (
            ("movie_log_events", "high_popularity", "log(1 + events)", "Events of all time."),
            ("movie_log_events_1095d", "popular_lately", "log(1 + events)", "Events of the last 1,095 days."),
            ("movie_log_events_365d", "popular_lately", "log(1 + events)", "Events of the last 365 days."),
            ("movie_log_events_90d", "popular_lately", "log(1 + events)", "Events of the last 90 days."),
            ("movie_log_events_30d", "popular_lately", "log(1 + events)", "Events of the last 30 days."),
            ("movie_log_events_7d", "popular_lately", "log(1 + events)", "Events of the last 7 days."),
            ("movie_log_events_1d", "popular_lately", "log(1 + events)", "Events of the last day."),
            (
                "movie_trend",
                "popular_lately",
                "log ratio",
                "Events of the last 365 days against all time: log((1 + recent) / (1 + all)).",
            ),
            (
                "movie_trend_30d",
                "popular_lately",
                "log ratio",
                "Events of the last 30 days against 365 days, as movie_trend.",
            ),
            (
                "movie_trend_7d",
                "popular_lately",
                "log ratio",
                "Events of the last 7 days against 90 days, as movie_trend.",
            ),
            ("movie_mean_rating", "highly_rated", "stars", "Mean rating, shrunken by 10 ratings."),
            ("movie_like_share", "highly_rated", "share", "Share of ratings that are likes, shrunken."),
            ("movie_rating_std", "highly_rated", "stars", "Standard deviation of ratings; NaN below two."),
            (
                "movie_age_years",
                "era_match",
                "years",
                "Years from release to the facts' moment; NaN if the year is unknown.",
            ),
            (
                "movie_log_days_known",
                "fresh_release",
                "log(1 + days)",
                "Days from the movie's first event to the facts' moment; NaN if it has none.",
            ),
            ("movie_n_genres", "genre_match", "genres", "Number of genres."),
            ("movie_runtime_minutes", "runtime", "minutes", "Runtime; NaN if unknown."),
        )
    )

    @classmethod
    def fit(cls, data: InteractionArrays, catalogue: Catalogue, as_of: int) -> Arrays:
        facts = FactsOverTime.of(data, len(catalogue)).at(as_of)
        of_catalogue = {
            "release_year": floats(catalogue.frame["release_year"]),
            "runtime_minutes": floats(catalogue.frame["runtime_minutes"]),
        }
        return {**of_catalogue, **cls.at(facts, of_catalogue["release_year"])}

    @classmethod
    def at(cls, facts: MovieFacts, release_year: NDArray[np.float32]) -> Arrays:
        """The arrays that change with the facts: those of `facts`, and the ages at its moment."""
        days_known = (facts.as_of - facts.arrays["first_event"]) / DAY_SECONDS
        return {
            **facts.arrays,
            "age_years": (1970 + facts.as_of / YEAR_SECONDS - release_year).astype(np.float32),
            "days_known": days_known.astype(np.float32),
        }

    def __init__(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        events = {days: np.log1p(arrays[count_name(days)]) for days in (np.inf, *WINDOW_DAYS)}
        columns = (
            events[np.inf],
            events[1_095],
            events[365],
            events[90],
            events[30],
            events[7],
            events[1],
            events[365] - events[np.inf],
            events[30] - events[365],
            events[7] - events[90],
            arrays["mean_rating"],
            arrays["like_share"],
            arrays["rating_std"],
            arrays["age_years"],
            np.log1p(arrays["days_known"]),
            arrays["n_genres"],
            arrays["runtime_minutes"],
        )
        # The features of one movie side by side: a request reads all of some hundred movies.
        self._facts = np.stack(columns, axis=1)

    def fill(self, out: NDArray[np.float32], request: FeatureRequest) -> None:
        take_facts(self._facts, request.candidates.rows, out)


@njit(cache=True, nogil=True)
def take_facts(facts, rows, out):  # type: ignore[no-untyped-def]  # numba
    """Writes out [n_facts, n]: the facts [n_movies, n_facts] of the catalogue `rows`, transposed."""
    for candidate in range(len(rows)):
        of_movie = facts[rows[candidate]]
        for fact in range(len(of_movie)):
            out[fact, candidate] = of_movie[fact]
