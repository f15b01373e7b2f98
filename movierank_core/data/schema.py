"""Column names and types of the tables that modules exchange.

Times are aware UTC. Ids are MovieLens ids unless a name says otherwise. A null means "unknown"; an
empty list means "known to have none".
"""

import polars as pl

from movierank_core.data.history import EVENT_CODES
from movierank_core.errors import DataError

TIMESTAMP = pl.Datetime("us", "UTC")
EVENT_TYPE = pl.Enum(list(EVENT_CODES))
"""A key of `movierank_core.data.history.EVENT_CODES` in one byte; a string takes sixteen per row."""


def _schema(columns: dict[str, pl.DataType | type[pl.DataType]]) -> pl.Schema:
    """`pl.Schema`, typed for data types given as classes and as instances."""
    return pl.Schema(columns)


RATINGS = _schema({"user_id": pl.Int64, "movie_id": pl.Int64, "rating": pl.Float32, "timestamp": TIMESTAMP})
"""One row per (user, movie); rating 0.5 to 5. Sorted by user, time, then order of appearance."""

MOVIES = _schema(
    {"movie_id": pl.Int64, "title": pl.String, "release_year": pl.Int32, "genres": pl.List(pl.String)}
)
"""One row per movie; the title without its year."""

LINKS = _schema({"movie_id": pl.Int64, "imdb_id": pl.String, "tmdb_id": pl.Int64})
"""One row per movie; `imdb_id` as `tt0114709`."""

FEEDBACK = _schema(
    {
        "event_id": pl.String,
        "user_id": pl.Int64,
        "movie_id": pl.Int64,
        "event_type": pl.String,
        "value": pl.Float32,
        "request_id": pl.String,
        "ranking_id": pl.String,
        "timestamp": TIMESTAMP,
    }
)
"""Events of the event store, oldest first. `value` is the rating of a `rating` event, else null. `ranking_id`
is the ranking that showed the movie, null if unknown."""

IMPRESSIONS = _schema(
    {
        "shown_at": TIMESTAMP,
        "ranking_id": pl.String,
        "user_id": pl.Int64,
        "position": pl.Int32,
        "movie_id": pl.Int64,
        "score": pl.Float64,
        "propensity": pl.Float64,
        "model_version": pl.String,
        "served_by": pl.String,
        "explore": pl.Float64,
    }
)
"""Movies that clients said they showed, one row per position (from 1) of a ranking. `user_id` is null for
visitors. `propensity` is the probability of the movie at its position, given the movies above it: 1 unless
`explore` is above 0."""

INTERACTIONS = _schema(
    {
        "user_id": pl.Int64,
        "movie_id": pl.Int64,
        "event_type": EVENT_TYPE,
        "rating": pl.Float32,
        "timestamp": TIMESTAMP,
    }
)
"""Ratings and feedback as one stream, sorted by user, time, then order of appearance.

`event_type` is a key of `movierank_core.data.history.EVENT_TYPES`; `rating` is the rating or its equivalent
(null where the event holds no opinion).
"""

TMDB_MOVIES = _schema(
    {
        "tmdb_id": pl.Int64,
        "imdb_id": pl.String,
        "title": pl.String,
        "original_title": pl.String,
        "overview": pl.String,
        "release_date": pl.Date,
        "runtime_minutes": pl.Int32,
        "genres": pl.List(pl.String),
        "original_language": pl.String,
        "cast": pl.List(pl.String),
        "directors": pl.List(pl.String),
        "keywords": pl.List(pl.String),
        "certification": pl.String,
        "collection": pl.String,
        "poster_path": pl.String,
        "backdrop_path": pl.String,
        "tmdb_vote_average_snapshot": pl.Float64,
        "tmdb_vote_count_snapshot": pl.Int64,
        "tmdb_popularity_snapshot": pl.Float64,
        "retrieved_at": TIMESTAMP,
        "metadata_source": pl.String,
        "matched_movie_ids": pl.List(pl.Int64),
    }
)
"""One row per TMDB movie; `matched_movie_ids` are movies that were found by title and year, not by a link.

`*_snapshot` columns are the values of `retrieved_at`, never historical."""

CATALOGUE = _schema(
    {
        "movie_id": pl.Int64,
        "title": pl.String,
        "original_title": pl.String,
        "release_year": pl.Int32,
        "release_date": pl.Date,
        "genres": pl.List(pl.String),
        "runtime_minutes": pl.Int32,
        "original_language": pl.String,
        "overview": pl.String,
        "cast": pl.List(pl.String),
        "directors": pl.List(pl.String),
        "keywords": pl.List(pl.String),
        "certification": pl.String,
        "collection": pl.String,
        "imdb_id": pl.String,
        "tmdb_id": pl.Int64,
        "poster_path": pl.String,
        "backdrop_path": pl.String,
        "tmdb_vote_average_snapshot": pl.Float64,
        "tmdb_vote_count_snapshot": pl.Int64,
        "tmdb_popularity_snapshot": pl.Float64,
        "retrieved_at": TIMESTAMP,
        "metadata_source": pl.String,
    }
)
"""One row per movie, sorted by `movie_id`: MovieLens facts and the facts that enrichment added."""

REQUESTS = _schema(
    {
        "request_id": pl.Int64,
        "episode": pl.Int32,
        "role": pl.String,
        "user_id": pl.Int64,
        "as_of": TIMESTAMP,
        "targets": pl.List(pl.Int64),
    }
)
"""One row per replayed request: user, moment, and the movies that the user liked afterwards.

`episode` is the index of the fitted state that answers the request. `role` is `train`, `validation` or
`test`.
"""


def require_schema(frame: pl.DataFrame, schema: pl.Schema, table: str) -> pl.DataFrame:
    """`frame` unchanged if its columns, their order and their types equal `schema`; else DataError."""
    if frame.schema == schema:
        return frame
    missing = [name for name in schema if name not in frame.schema]
    extra = [name for name in frame.schema if name not in schema]
    retyped = [
        f"{name} is {frame.schema[name]} instead of {kind}"
        for name, kind in schema.items()
        if name in frame.schema and frame.schema[name] != kind
    ]
    differences = [
        *([f"missing columns {missing}"] if missing else []),
        *([f"unknown columns {extra}"] if extra else []),
        *retyped,
    ]
    raise DataError(
        f"The table {table} has {'; '.join(differences) or 'its columns in another order'}",
        expected=f"the columns {list(schema)}",
        remedy="materialise the asset that writes it again",
    )
