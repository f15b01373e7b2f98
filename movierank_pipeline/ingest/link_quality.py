"""How much of a catalogue TMDB's facts reach, and which of them may be those of another film."""

from typing import Final

import polars as pl

from movierank_pipeline.ingest.tmdb.title_match import all_titles, similarity

MAX_YEARS_APART: Final = 2
"""MovieLens and TMDB disagree by a year or two on films that were first shown at festivals or abroad."""
MIN_SIMILARITY: Final = 0.6
"""Titles less similar are those of films renamed for a market, or of different films."""

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
"""One row per movie whose link is in doubt, the most doubtful first."""


def coverage(catalogue: pl.DataFrame, ratings: pl.DataFrame) -> tuple[float, float]:
    """(share of movies, share of ratings) with facts from TMDB; 1 where there are none at all."""
    known = catalogue.drop_nulls("metadata_source")
    covered = ratings.join(known, on="movie_id", how="semi").height
    return (
        known.height / catalogue.height if catalogue.height else 1.0,
        covered / ratings.height if ratings.height else 1.0,
    )


def suspicious_links(
    movies: pl.DataFrame, catalogue: pl.DataFrame, tmdb_movies: pl.DataFrame
) -> pl.DataFrame:
    """SUSPICIOUS of the movies of `catalogue` that have facts: year or title are not those of TMDB.

    The year is more than `MAX_YEARS_APART` off, or no title of the one is like a title of the other (below
    `MIN_SIMILARITY`). `movies` is MOVIES, `catalogue` CATALOGUE, `tmdb_movies` TMDB_MOVIES.
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
