"""Asset checks of the ratings and of the catalogue: schema, keys, ranges and coverage."""

from collections.abc import Iterator

import dagster as dg
import numpy as np
import polars as pl

from movierank_core.data.schema import RATINGS, require_schema
from movierank_core.errors import DataError
from movierank_core.paths import Paths
from movierank_pipeline.artifacts import StoredRatings
from movierank_pipeline.datasets import metadata_settings
from movierank_pipeline.defs.metadata import markdown_table
from movierank_pipeline.ingest.link_quality import MAX_YEARS_APART, coverage, suspicious_links
from movierank_pipeline.ingest.tmdb.metadata import HOW_TO_GET_MORE
from movierank_pipeline.settings import Settings

MIN_TMDB_SHARE = 0.9
"""Minimum share of movies with a TMDB id; below it the check warns."""
MIN_COVERED_MOVIES = 0.9
MIN_COVERED_RATINGS = 0.95
"""Minimum shares of movies and of ratings with facts from TMDB; below them the check warns."""
MAX_SUSPICIOUS = 0.01
"""Maximum share of movies with the TMDB facts of another movie, by title or year; above it the check
warns."""
N_WORST = 20
"""Number of suspicious links that are listed."""


def ratings_out_of_range(ratings: pl.DataFrame) -> int:
    """Number of ratings that are not 0.5 to 5 in steps of a half; null counts."""
    rating = pl.col("rating")
    is_valid = rating.is_between(0.5, 5.0) & ((rating * 2).round() == rating * 2)
    return int(ratings.select((~is_valid.fill_null(False)).sum()).item())


@dg.multi_asset_check(
    specs=[
        dg.AssetCheckSpec(
            "schema", asset="ratings", blocking=True, description="Columns and types are those of RATINGS."
        ),
        dg.AssetCheckSpec(
            "unique_keys",
            asset="ratings",
            blocking=True,
            description="Each user and movie has at most one rating.",
        ),
        dg.AssetCheckSpec(
            "rating_range", asset="ratings", blocking=True, description="Half stars from 0.5 to 5."
        ),
    ],
    name="ratings_checks",
)
def ratings_checks(ratings: StoredRatings) -> Iterator[dg.AssetCheckResult]:
    """Keys, types and values of the ratings."""
    frame = ratings.frame
    try:
        require_schema(frame, RATINGS, "ratings")
        problem = ""
    except DataError as error:
        problem = str(error)
    yield dg.AssetCheckResult(passed=not problem, check_name="schema", description=problem or None)
    n_twice = frame.height - frame.select("user_id", "movie_id").n_unique()
    yield dg.AssetCheckResult(passed=n_twice == 0, check_name="unique_keys", metadata={"repeated": n_twice})
    n_outside = ratings_out_of_range(frame)
    yield dg.AssetCheckResult(
        passed=n_outside == 0, check_name="rating_range", metadata={"outside": n_outside}
    )


@dg.asset_check(
    asset="catalogue",
    name="tmdb_links",
    description=f"At least {MIN_TMDB_SHARE:.0%} of the movies have a TMDB id. Only a warning: movies without"
    " facts can be ranked too.",
)
def tmdb_links(catalogue: pl.DataFrame) -> dg.AssetCheckResult:
    """Warns where too few movies can be enriched."""
    share = 1 - catalogue["tmdb_id"].null_count() / max(1, catalogue.height)
    return dg.AssetCheckResult(
        passed=share >= MIN_TMDB_SHARE, severity=dg.AssetCheckSeverity.WARN, metadata={"share": share}
    )


@dg.asset_check(
    asset="catalogue",
    name="tmdb_coverage",
    additional_ins={"ratings": dg.AssetIn("ratings")},
    description=f"At least {MIN_COVERED_MOVIES:.0%} of movies and {MIN_COVERED_RATINGS:.0%} of ratings"
    " have facts from TMDB. Only a warning, and only with an API key or a metadata file.",
)
def tmdb_coverage(catalogue: pl.DataFrame, ratings: StoredRatings, settings: Settings) -> dg.AssetCheckResult:
    """Warns where too few movies, or too few ratings, have facts from TMDB."""
    of_movies, of_ratings = coverage(catalogue, ratings.frame)
    sources = metadata_settings(settings, Paths.from_environment())
    has_source = sources.access is not None or sources.metadata_file is not None
    by_source = catalogue["metadata_source"].fill_null("none").value_counts(sort=True)
    return dg.AssetCheckResult(
        passed=not has_source or (of_movies >= MIN_COVERED_MOVIES and of_ratings >= MIN_COVERED_RATINGS),
        severity=dg.AssetCheckSeverity.WARN,
        description=None if has_source else f"There is no source of TMDB facts: {HOW_TO_GET_MORE}.",
        metadata={
            "share_of_movies": of_movies,
            "share_of_ratings": of_ratings,
            "by_source": dg.MetadataValue.md(markdown_table(by_source)),
        },
    )


@dg.asset_check(
    asset="catalogue",
    name="tmdb_mismatches",
    additional_ins={name: dg.AssetIn(name) for name in ("movies", "tmdb_movies")},
    description=f"At most {MAX_SUSPICIOUS:.0%} of the movies with facts differ in title, or in year by"
    f" more than {MAX_YEARS_APART}. Such links are stale or wrong. Only a warning.",
)
def tmdb_mismatches(
    catalogue: pl.DataFrame, movies: pl.DataFrame, tmdb_movies: pl.DataFrame
) -> dg.AssetCheckResult:
    """Warns of links that may lead to another movie, and lists the worst."""
    found = suspicious_links(movies, catalogue, tmdb_movies)
    share = found.height / max(1, catalogue["metadata_source"].count())
    return dg.AssetCheckResult(
        passed=share <= MAX_SUSPICIOUS,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={
            "suspicious": found.height,
            "share": share,
            "worst": dg.MetadataValue.md(markdown_table(found.head(N_WORST))),
        },
    )


@dg.asset_check(
    asset="catalogue",
    name="unique_keys",
    blocking=True,
    description="One row per movie, sorted by movie_id.",
)
def catalogue_keys(catalogue: pl.DataFrame) -> dg.AssetCheckResult:
    """Fails where catalogue rows are out of order, since models refer to movies by row."""
    n_wrong = int((np.diff(catalogue["movie_id"].to_numpy()) <= 0).sum())
    return dg.AssetCheckResult(passed=n_wrong == 0, metadata={"out_of_order": n_wrong})


DATA_CHECKS = (ratings_checks, tmdb_links, tmdb_coverage, tmdb_mismatches, catalogue_keys)
