"""What is known of every movie at one moment: aggregates of the events strictly before it, and its facts."""

from dataclasses import dataclass, fields
from functools import cached_property
from typing import Final, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from movierank_core.data.catalogue import Catalogue
from movierank_core.data.interactions import InteractionArrays
from movierank_core.kernels.sparse_rows import SparseRows
from movierank_core.retrieval.source import Arrays

RATING_PRIOR_WEIGHT = 10.0
"""Pseudo-ratings at the global mean in every movie's mean."""
DAY = 86_400
YEAR_SECONDS = 365.25 * DAY
FACTS: Final = (
    "movie_log_events",
    "movie_log_events_365d",
    "movie_log_events_30d",
    "movie_trend",
    "movie_mean_rating",
    "movie_like_share",
    "movie_rating_std",
    "movie_age_years",
    "movie_log_days_known",
    "movie_n_genres",
    "movie_runtime_minutes",
    "tmdb_vote_average_snapshot",
    "tmdb_log_vote_count_snapshot",
)
"""The features that are of the movie alone."""


@dataclass(frozen=True)
class MovieState:
    """One entry per catalogue row unless said otherwise; float32 with NaN for unknown."""

    n_events: NDArray[np.float32]
    n_events_365d: NDArray[np.float32]
    n_events_30d: NDArray[np.float32]
    mean_rating: NDArray[np.float32]
    like_share: NDArray[np.float32]
    rating_std: NDArray[np.float32]
    age_years: NDArray[np.float32]
    days_known: NDArray[np.float32]
    release_year: NDArray[np.float32]
    runtime_minutes: NDArray[np.float32]
    genres: NDArray[np.float32]
    """[n_movies, n_genres], rows of length 1 (0 for a movie without genres)."""
    n_genres: NDArray[np.float32]
    language: NDArray[np.int32]
    """A number per language; -1 for unknown."""
    director_offsets: NDArray[np.int64]
    directors: NDArray[np.int32]
    """Director numbers of row i are `directors[director_offsets[i]:director_offsets[i + 1]]`."""
    tmdb_vote_average_snapshot: NDArray[np.float32]
    tmdb_vote_count_snapshot: NDArray[np.float32]
    globals: NDArray[np.float64]
    """[mean rating, share of likes] over all ratings; 3.5 and 0.5 where there are none."""

    @cached_property
    def facts(self) -> NDArray[np.float32]:
        """[n_movies, len(FACTS)]: a movie's features together, in one place in memory."""
        events, recent = np.log1p(self.n_events), np.log1p(self.n_events_365d)
        columns = (
            events,
            recent,
            np.log1p(self.n_events_30d),
            recent - events,
            self.mean_rating,
            self.like_share,
            self.rating_std,
            self.age_years,
            np.log1p(self.days_known),
            self.n_genres,
            self.runtime_minutes,
            self.tmdb_vote_average_snapshot,
            np.log1p(self.tmdb_vote_count_snapshot),
        )
        return np.stack(columns, axis=1)

    @cached_property
    def genre_offsets(self) -> NDArray[np.int64]:
        """The genres of row i are `genre_numbers[genre_offsets[i]:genre_offsets[i + 1]]`."""
        return np.concatenate([[0], np.cumsum((self.genres > 0).sum(axis=1))]).astype(np.int64)

    @cached_property
    def genre_numbers(self) -> NDArray[np.int32]:
        """Columns of `genres`, of one movie after another."""
        return np.nonzero(self.genres)[1].astype(np.int32)

    @cached_property
    def n_directors(self) -> int:
        return int(self.directors.max(initial=-1)) + 1

    @cached_property
    def n_languages(self) -> int:
        return int(self.language.max(initial=-1)) + 1

    @property
    def mean_rating_of_all(self) -> float:
        return float(self.globals[0])

    @property
    def like_share_of_all(self) -> float:
        return float(self.globals[1])

    def arrays(self) -> Arrays:
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Self:
        return cls(**arrays)

    @classmethod
    def fit(cls, data: InteractionArrays, catalogue: Catalogue, as_of: int) -> Self:
        """The state at `as_of` from `data`: the events that stand strictly before it.

        Hidden movies count as opinions, but not as events.
        """
        n = len(catalogue)
        rated = ~np.isnan(data.ratings)
        rows, ratings = data.rows[rated], data.ratings[rated].astype(np.float64)
        n_ratings = np.bincount(rows, minlength=n)
        total = np.bincount(rows, ratings, minlength=n)
        squares = np.bincount(rows, ratings**2, minlength=n)
        likes = np.bincount(data.rows[data.is_like], minlength=n)
        mean_of_all = float(ratings.mean()) if len(ratings) else 3.5
        share_of_all = float(data.is_like[rated].mean()) if len(ratings) else 0.5
        with np.errstate(invalid="ignore", divide="ignore"):
            variance = np.where(n_ratings > 1, squares / n_ratings - (total / n_ratings) ** 2, np.nan)
        present = data.presence()
        first_event = np.full(n, np.iinfo(np.int64).max)
        np.minimum.at(first_event, present.rows, present.timestamps)
        n_events = np.bincount(present.rows, minlength=n)
        frame = catalogue.frame
        year = _floats(frame["release_year"])
        genre_names, genre_matrix, n_genres = genre_indicators(frame["genres"])
        del genre_names
        director_rows, director_numbers = _numbered(frame["directors"])
        directors = SparseRows.from_triples(director_rows, director_numbers, np.ones(len(director_rows)), n)
        as_of_year = 1970 + as_of / YEAR_SECONDS
        return cls(
            n_events=n_events.astype(np.float32),
            n_events_365d=_recent(present, as_of, 365, n),
            n_events_30d=_recent(present, as_of, 30, n),
            mean_rating=(
                (total + RATING_PRIOR_WEIGHT * mean_of_all) / (n_ratings + RATING_PRIOR_WEIGHT)
            ).astype(np.float32),
            like_share=(
                (likes + RATING_PRIOR_WEIGHT * share_of_all) / (n_ratings + RATING_PRIOR_WEIGHT)
            ).astype(np.float32),
            rating_std=np.sqrt(np.maximum(variance, 0)).astype(np.float32),
            age_years=(as_of_year - year).astype(np.float32),
            days_known=np.where(n_events > 0, (as_of - first_event) / DAY, np.nan).astype(np.float32),
            release_year=year,
            runtime_minutes=_floats(frame["runtime_minutes"]),
            genres=genre_matrix,
            n_genres=n_genres,
            language=_codes(frame["original_language"]),
            director_offsets=directors.offsets,
            directors=directors.indices,
            tmdb_vote_average_snapshot=_floats(frame["tmdb_vote_average_snapshot"]),
            tmdb_vote_count_snapshot=_floats(frame["tmdb_vote_count_snapshot"]),
            globals=np.array([mean_of_all, share_of_all]),
        )


def genre_indicators(genres: pl.Series) -> tuple[list[str], NDArray[np.float32], NDArray[np.float32]]:
    """Genre names (sorted), unit-length indicator rows [n_movies, n_genres], and genres per movie."""
    names = sorted(genres.explode(empty_as_null=False, keep_nulls=False).unique().to_list())
    rows, numbers = _numbered(genres)
    matrix = np.zeros((len(genres), len(names)), np.float32)
    matrix[rows, numbers] = 1.0
    count = matrix.sum(axis=1)
    return names, matrix / np.sqrt(np.maximum(count, 1.0))[:, None], count


def _recent(data: InteractionArrays, as_of: int, days: int, n_movies: int) -> NDArray[np.float32]:
    return np.bincount(data.rows[data.timestamps >= as_of - days * DAY], minlength=n_movies).astype(
        np.float32
    )


def _floats(series: pl.Series) -> NDArray[np.float32]:
    return series.cast(pl.Float32).fill_null(float("nan")).to_numpy()


def _codes(series: pl.Series) -> NDArray[np.int32]:
    names = sorted(series.drop_nulls().unique().to_list())
    codes = {name: code for code, name in enumerate(names)}
    return series.replace_strict(codes, default=-1, return_dtype=pl.Int32).fill_null(-1).to_numpy()


def _numbered(lists: pl.Series) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Row and alphabetical number of every entry of a list column."""
    table = (
        pl.DataFrame({"names": lists})
        .with_row_index("row")
        .explode("names", empty_as_null=True, keep_nulls=True)
        .drop_nulls()
        .with_columns(number=pl.col("names").rank("dense") - 1)
    )
    return table["row"].to_numpy().astype(np.int64), table["number"].to_numpy().astype(np.int64)
