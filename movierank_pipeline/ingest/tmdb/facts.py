"""Validation rules for facts in TMDB_MOVIES tables, for every source."""

from typing import Final

import polars as pl

from movierank_core.data.schema import TMDB_MOVIES
from movierank_pipeline.ingest.movielens.genres import canonical_genres

_TEXT: Final = [name for name, kind in TMDB_MOVIES.items() if kind == pl.String]
_NAMES: Final = [name for name, kind in TMDB_MOVIES.items() if kind == pl.List(pl.String)]


def clean_facts(raw: pl.DataFrame) -> pl.DataFrame:
    """TMDB_MOVIES from a frame with some of its columns; missing columns become null.

    TMDB's values for "unknown" become null: empty text, runtime 0, an average of no votes. Invalid IMDb ids
    and image paths become null. Genres are translated to MovieLens's names. Raises Polars errors for columns
    that cannot be cast to the schema.
    """
    frame = raw.select(
        pl.col(name).cast(kind) if name in raw.columns else pl.lit(None, kind).alias(name)
        for name, kind in TMDB_MOVIES.items()
    )
    text = pl.col(_TEXT).str.strip_chars()
    votes = pl.col("tmdb_vote_count_snapshot")
    names = pl.col(_NAMES).list.eval(
        pl.element().str.strip_chars().filter(pl.element().str.strip_chars().str.len_chars() > 0)
    )
    return (
        frame.with_columns(pl.when(text.str.len_chars() > 0).then(text), names)
        .with_columns(
            pl.when(pl.col("imdb_id").str.contains(r"^tt\d{7,}$")).then("imdb_id"),
            pl.when(pl.col("poster_path").str.contains(r"^/\S+$")).then("poster_path"),
            pl.when(pl.col("backdrop_path").str.contains(r"^/\S+$")).then("backdrop_path"),
            pl.when(pl.col("runtime_minutes") > 0).then("runtime_minutes"),
            pl.when(votes > 0).then("tmdb_vote_average_snapshot"),
            pl.when(votes >= 0).then(votes),
            canonical_genres(pl.col("genres")).alias("genres"),
        )
        .match_to_schema(TMDB_MOVIES)
    )
