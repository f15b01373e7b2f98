"""Bodies of the routes below `/movie` and `/movies`."""

from typing import Annotated

import msgspec
from msgspec import Meta

from movierank_serving.schemas.common import MovieCard


class Movie(msgspec.Struct, frozen=True, kw_only=True):
    """Everything in the catalogue about one movie. TMDB's values are as of `tmdb_retrieved_at`."""

    movie_id: int
    title: str
    original_title: str | None
    release_year: int | None
    release_date: Annotated[str | None, Meta(description="ISO 8601.")]
    genres: list[str]
    runtime_minutes: int | None
    original_language: Annotated[str | None, Meta(description="ISO 639-1.")]
    overview: str | None
    cast: list[str]
    directors: list[str]
    keywords: list[str]
    certification: str | None
    collection: str | None
    tmdb_vote_avg: Annotated[float | None, Meta(description="Mean vote on TMDB, 0 to 10.")]
    tmdb_vote_count: int | None
    tmdb_popularity: float | None
    tmdb_retrieved_at: Annotated[str | None, Meta(description="ISO 8601, UTC.")]
    metadata_source: Annotated[str | None, Meta(description="Where the TMDB values come from.")]
    poster_url: str | None
    backdrop_url: str | None
    tmdb_id: int | None
    imdb_id: str | None


class MovieList(msgspec.Struct, frozen=True, kw_only=True):
    """Movies that match a search, best first."""

    results: list[MovieCard]
    latency_ms: float


class SimilarMovie(MovieCard, frozen=True, kw_only=True):
    """A movie with its similarity to another one."""

    similarity: Annotated[
        float, Meta(description="Similarity of audience plus similarity of content, 0 to 2.")
    ]


class SimilarMovies(msgspec.Struct, frozen=True, kw_only=True):
    """The movies most similar to one movie, most similar first."""

    movie_id: int
    results: list[SimilarMovie]
    latency_ms: float
