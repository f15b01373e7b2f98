"""Builds the catalogue: MovieLens facts merged with TMDB facts."""

from typing import Final

import polars as pl

from movierank_core.data.schema import CATALOGUE, LINKS, MOVIES, TMDB_MOVIES, require_schema

BY_TITLE: Final = ", by title"
"""Suffix of `metadata_source` if a movie's TMDB facts were found by title and year."""


def build_catalogue(movies: pl.DataFrame, links: pl.DataFrame, tmdb_movies: pl.DataFrame) -> pl.DataFrame:
    """CATALOGUE, one row per movie of MOVIES, sorted by `movie_id`.

    Titles come from MovieLens. Genres come from MovieLens, or all from TMDB if MovieLens lists none. The
    release year comes from MovieLens, else from TMDB's release date; the IMDb id from the links, else from
    TMDB. Movies without a TMDB row have nulls. A movie that was matched by title gets the TMDB id of the
    match, and its `metadata_source` ends in ", by title". Raises DataError if a table has another schema.
    """
    require_schema(movies, MOVIES, "movies")
    require_schema(links, LINKS, "links")
    require_schema(tmdb_movies, TMDB_MOVIES, "tmdb_movies")
    facts = tmdb_movies.unique("tmdb_id", keep="last", maintain_order=True).rename(
        {"title": "tmdb_title", "genres": "tmdb_genres", "imdb_id": "tmdb_imdb_id"}
    )
    matched = facts.select(
        movie_id=pl.col("matched_movie_ids"), matched_id=pl.col("tmdb_id"), is_matched=pl.lit(True)
    )
    found = links.join(
        matched.explode("movie_id").drop_nulls("movie_id").unique("movie_id"), on="movie_id", how="left"
    ).with_columns(tmdb_id=pl.coalesce("matched_id", "tmdb_id"))
    joined = movies.join(found, on="movie_id", how="left").join(facts, on="tmdb_id", how="left")
    return require_schema(
        joined.with_columns(
            pl.when(pl.col("genres").list.len() > 0)
            .then("genres")
            .otherwise(pl.coalesce("tmdb_genres", "genres"))
            .alias("genres"),
            pl.coalesce("release_year", pl.col("release_date").dt.year())
            .cast(pl.Int32)
            .alias("release_year"),
            pl.coalesce("imdb_id", "tmdb_imdb_id").alias("imdb_id"),
            pl.when("is_matched")
            .then(pl.col("metadata_source") + BY_TITLE)
            .otherwise("metadata_source")
            .alias("metadata_source"),
        )
        .select(CATALOGUE.names())
        .sort("movie_id"),
        CATALOGUE,
        "catalogue",
    )
