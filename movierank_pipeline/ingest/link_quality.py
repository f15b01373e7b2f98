"""Quality of the links to TMDB: coverage, and links that may point to another film."""

from typing import Final

import polars as pl

from movierank_pipeline.ingest.tmdb.title_match import all_titles, similarity

MAX_YEARS_APART: Final = 2
"""Maximum difference of release years. MovieLens and TMDB differ by up to two years for festival releases."""
MIN_SIMILARITY: Final = 0.6
"""Minimum similarity of titles. Lower values mean a film renamed for a market, or a different film."""

SUSPICIOUS: Final = pl.Schema(
    {
        "movie_id": pl.Int64(),
        "title": pl.String(),
        "release_year": pl.Int32(),
        "tmdb_id": pl.Int64(),
        "tmdb_title": pl.String(),
        "tmdb_year": pl.Int32(),
        "years_apart": pl.Int32(),
        "similarity": pl.Float64(),
    }
)
"""One row per suspicious link, the most suspicious first."""


def coverage(catalogue: pl.DataFrame, ratings: pl.DataFrame) -> tuple[float, float]:
    """(share of movies, share of ratings) with facts from TMDB; 1 for an empty table."""
    known = catalogue.drop_nulls("metadata_source")
    covered = ratings.join(known, on="movie_id", how="semi").height
    return (
        known.height / catalogue.height if catalogue.height else 1.0,
        covered / ratings.height if ratings.height else 1.0,
    )


def suspicious_links(
    movies: pl.DataFrame, catalogue: pl.DataFrame, tmdb_movies: pl.DataFrame
) -> pl.DataFrame:
    """SUSPICIOUS links among the movies of `catalogue` with facts: year or title differ from TMDB's.

    A link is suspicious if the years differ by more than `MAX_YEARS_APART`, or if no pair of titles reaches
    `MIN_SIMILARITY`. `movies` is MOVIES, `catalogue` CATALOGUE, `tmdb_movies` TMDB_MOVIES.
    """
    theirs = tmdb_movies.select(
        "tmdb_id",
        "original_title",
        tmdb_title=pl.col("title"),
        tmdb_year=pl.col("release_date").dt.year().cast(pl.Int32),
    )
    pairs = (
        catalogue.drop_nulls("metadata_source")
        .select("movie_id", "tmdb_id")
        .join(movies, on="movie_id")
        .join(theirs, on="tmdb_id")
        .with_columns(
            years_apart=(pl.col("tmdb_year") - pl.col("release_year")).abs(),
            ours=all_titles(pl.col("title")),
            theirs=pl.concat_list(
                all_titles(pl.col("tmdb_title").fill_null("")),
                all_titles(pl.col("original_title").fill_null("")),
            ),
        )
    )
    alike = [similarity(ours, theirs) for ours, theirs in pairs.select("ours", "theirs").iter_rows()]
    is_in_doubt = (pl.col("years_apart") > MAX_YEARS_APART) | (pl.col("similarity") < MIN_SIMILARITY)
    doubt = 1 - pl.col("similarity").fill_null(1.0) + pl.col("years_apart").fill_null(0).clip(0, 20) / 20
    return (
        pairs.with_columns(pl.Series("similarity", alike, pl.Float64))
        .filter(is_in_doubt)
        .sort(doubt, "movie_id", descending=[True, False])
        .match_to_schema(SUSPICIOUS, extra_columns="ignore")
    )
