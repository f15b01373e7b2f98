"""The movie alone: its events and ratings by all users before the fit, its age, length and genres."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from movierank_core.data.catalogue import Catalogue
from movierank_core.data.interactions import InteractionArrays
from movierank_core.data.timestamps import DAY_SECONDS, YEAR_SECONDS
from movierank_core.features.block import Block
from movierank_core.features.columns import floats
from movierank_core.features.feature import MOVIE, Feature
from movierank_core.features.request import FeatureRequest
from movierank_core.retrieval.source import Arrays

RATING_PRIOR_WEIGHT: Final = 10.0
"""Number of pseudo-ratings at the global mean, added to the ratings of every movie."""


class Movie(Block):
    """Facts of every movie at the moment of the fit.

    Arrays with one float32 entry per catalogue row: `n_events`, `n_events_365d`, `n_events_30d`,
    `mean_rating` and `like_share` (shrunken), `rating_std` (NaN below two ratings), `age_years` (NaN if the
    year is unknown), `days_known` (NaN without events), `release_year`, `runtime_minutes` (NaN if unknown).
    `globals` is [mean rating, share of likes] over all ratings; 3.5 and 0.5 if there are none. An event that
    hides a movie counts nowhere.
    """

    NAME = "movie"
    FEATURES = tuple(
        Feature(name, MOVIE, family, unit, meaning)
        for name, family, unit, meaning in (
            ("movie_log_events", "high_popularity", "log(1 + events)", "Events of all time."),
            ("movie_log_events_365d", "popular_lately", "log(1 + events)", "Events of the last 365 days."),
            ("movie_log_events_30d", "popular_lately", "log(1 + events)", "Events of the last 30 days."),
            (
                "movie_trend",
                "popular_lately",
                "log ratio",
                "Events of the last 365 days against all time: log((1 + recent) / (1 + all)).",
            ),
            ("movie_mean_rating", "highly_rated", "stars", "Mean rating, shrunken by 10 ratings."),
            ("movie_like_share", "highly_rated", "share", "Share of ratings that are likes, shrunken."),
            ("movie_rating_std", "highly_rated", "stars", "Standard deviation of ratings; NaN below two."),
            (
                "movie_age_years",
                "era_match",
                "years",
                "Years from release to the state's moment; NaN if the year is unknown.",
            ),
            (
                "movie_log_days_known",
                "fresh_release",
                "log(1 + days)",
                "Days from the movie's first event to the state's moment; NaN if it has none.",
            ),
            ("movie_n_genres", "genre_match", "genres", "Number of genres."),
            ("movie_runtime_minutes", "runtime", "minutes", "Runtime; NaN if unknown."),
        )
    )

    @classmethod
    def fit(cls, data: InteractionArrays, catalogue: Catalogue, as_of: int) -> Arrays:
        n = len(catalogue)
        present = data.presence()
        rated = ~np.isnan(present.ratings)
        rows, ratings = present.rows[rated], present.ratings[rated].astype(np.float64)
        n_ratings = np.bincount(rows, minlength=n)
        total = np.bincount(rows, ratings, minlength=n)
        squares = np.bincount(rows, ratings**2, minlength=n)
        likes = np.bincount(present.rows[present.is_like], minlength=n)
        mean_of_all = float(ratings.mean()) if len(ratings) else 3.5
        share_of_all = float(present.is_like[rated].mean()) if len(ratings) else 0.5
        with np.errstate(invalid="ignore", divide="ignore"):
            variance = np.where(n_ratings > 1, squares / n_ratings - (total / n_ratings) ** 2, np.nan)
        first_event = np.full(n, np.iinfo(np.int64).max)
        np.minimum.at(first_event, present.rows, present.first_timestamps)
        n_events = np.bincount(present.rows, minlength=n)
        year = floats(catalogue.frame["release_year"])
        weight = n_ratings + RATING_PRIOR_WEIGHT
        return {
            "n_events": n_events.astype(np.float32),
            "n_events_365d": _recent(present, as_of, 365, n),
            "n_events_30d": _recent(present, as_of, 30, n),
            "mean_rating": ((total + RATING_PRIOR_WEIGHT * mean_of_all) / weight).astype(np.float32),
            "like_share": ((likes + RATING_PRIOR_WEIGHT * share_of_all) / weight).astype(np.float32),
            "rating_std": np.sqrt(np.maximum(variance, 0)).astype(np.float32),
            "age_years": (1970 + as_of / YEAR_SECONDS - year).astype(np.float32),
            "days_known": np.where(n_events > 0, (as_of - first_event) / DAY_SECONDS, np.nan).astype(
                np.float32
            ),
            "release_year": year,
            "runtime_minutes": floats(catalogue.frame["runtime_minutes"]),
            "globals": np.array([mean_of_all, share_of_all]),
        }

    def __init__(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        events, recent = np.log1p(arrays["n_events"]), np.log1p(arrays["n_events_365d"])
        columns = (
            events,
            recent,
            np.log1p(arrays["n_events_30d"]),
            recent - events,
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


def _recent(data: InteractionArrays, as_of: int, days: int, n_movies: int) -> NDArray[np.float32]:
    """Events per movie of the last `days` before `as_of`."""
    is_recent = data.timestamps >= as_of - days * DAY_SECONDS
    return np.bincount(data.rows[is_recent], minlength=n_movies).astype(np.float32)


@njit(cache=True, nogil=True)
def take_facts(facts, rows, out):  # type: ignore[no-untyped-def]  # numba
    """Writes out [n_facts, n]: the facts [n_movies, n_facts] of the catalogue `rows`, transposed."""
    for candidate in range(len(rows)):
        of_movie = facts[rows[candidate]]
        for fact in range(len(of_movie)):
            out[fact, candidate] = of_movie[fact]
