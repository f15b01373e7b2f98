"""The catalogue: MovieLens facts with what enrichment knows of each movie."""

import polars as pl

from movierank_core.schema import CATALOGUE, LINKS, MOVIES, TMDB_MOVIES, require_schema


def build_catalogue(movies: pl.DataFrame, links: pl.DataFrame, tmdb_movies: pl.DataFrame) -> pl.DataFrame:
    """CATALOGUE, one row per movie of MOVIES, sorted by `movie_id`.

    Title and genres are MovieLens's; genres fall back to TMDB's where MovieLens lists none, so that one
    vocabulary is not mixed with another within a movie. The release year is MovieLens's, else that of
    TMDB's release date. The IMDb id is that of the links, else TMDB's. Movies without a TMDB row keep
    nulls.
    """
    require_schema(movies, MOVIES, "movies")
    require_schema(links, LINKS, "links")
    require_schema(tmdb_movies, TMDB_MOVIES, "tmdb_movies")
    facts = tmdb_movies.unique("tmdb_id", keep="last", maintain_order=True).rename(
        {"title": "tmdb_title", "genres": "tmdb_genres", "imdb_id": "tmdb_imdb_id"}
    )
    joined = movies.join(links, on="movie_id", how="left").join(facts, on="tmdb_id", how="left")
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
        )
        .select(CATALOGUE.names())
        .sort("movie_id"),
        CATALOGUE,
        "catalogue",
    )
