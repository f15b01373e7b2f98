"""The embedded sample: real films and a simulated audience, written as a MovieLens folder.

The films (`sample_movies.tsv`, facts from TMDB) have their TMDB ids as movie ids, so movie 550 is Fight Club.
`audience` simulates the ratings. Larger sets add synthetic films, whose titles say so, or use the films of a
MovieLens `movies.csv`.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
import polars as pl

from movierank_core.atomic import atomic_write
from movierank_core.data.schema import LINKS, MOVIES, RATINGS, TIMESTAMP, TMDB_MOVIES
from movierank_core.errors import ConfigError, DataError
from movierank_pipeline.ingest.movielens.archive import disk_errors
from movierank_pipeline.ingest.movielens.editions import INFO_FILE, DatasetInfo
from movierank_pipeline.ingest.movielens.reader import Dataset
from movierank_pipeline.ingest.sample.audience import Films, max_ratings_per_user, simulate

TMDB_FILE: Final = "tmdb_movies.parquet"
"""File name of the TMDB_MOVIES facts in a written set."""

DEFAULT_USERS: Final = 2_000
DEFAULT_RATINGS: Final = 110_000

_SNAPSHOT: Final = datetime(2017, 7, 31, tzinfo=UTC)
"""Assumed date of the facts. The snapshot is from 2017; its exact day is not recorded, so the latest release
date is used."""
_FIRST_SYNTHETIC_ID: Final = 900_000_001
"""First movie id of synthetic films, above any TMDB id."""


@cache
def sample_films() -> pl.DataFrame:
    """The sample's films as TMDB_MOVIES, sorted by `tmdb_id`; columns that the file lacks are null."""
    text = files("movierank_pipeline.ingest.sample").joinpath("sample_movies.tsv").read_bytes()
    facts = pl.read_csv(text, separator="\t", comment_prefix="#", quote_char=None, try_parse_dates=True)
    known = facts.select(
        "tmdb_id",
        "imdb_id",
        "title",
        pl.coalesce("original_title", "title").alias("original_title"),
        "release_date",
        pl.col("runtime_minutes").cast(pl.Int32),
        pl.col("genres").str.split("|"),
        "original_language",
        pl.col("directors").str.split("|"),
        "poster_path",
        pl.col("vote_average").cast(pl.Float64).alias("tmdb_vote_average_snapshot"),
        pl.col("vote_count").alias("tmdb_vote_count_snapshot"),
        pl.col("popularity").cast(pl.Float64).alias("tmdb_popularity_snapshot"),
        pl.lit(_SNAPSHOT).cast(TIMESTAMP).alias("retrieved_at"),
        pl.lit("TMDB snapshot of 2017").alias("metadata_source"),
    )
    return known.match_to_schema(TMDB_MOVIES, missing_columns="insert").select(TMDB_MOVIES.names())


def synthesize(
    n_users: int = DEFAULT_USERS,
    n_ratings: int = DEFAULT_RATINGS,
    seed: int = 1,
    *,
    n_movies: int | None = None,
    movies: pl.DataFrame | None = None,
    name: str = "sample",
    progress: Callable[[int, int], None] | None = None,
) -> Dataset:
    """A data set of exactly `n_ratings` simulated ratings by users 1 to `n_users`.

    The films are `movies` (MOVIES) if given, else the sample's. `n_movies` limits them to the most-voted
    films; a larger number adds synthetic films. Equal arguments give equal data. Raises `ConfigError` for
    impossible numbers.
    """
    rng = np.random.default_rng(seed)
    if movies is None:
        facts = sample_films()
        table = _catalogue(n_movies, rng)
    else:
        facts = pl.DataFrame(schema=TMDB_MOVIES)
        table = _catalogue_of(movies if n_movies is None else movies.head(n_movies), rng)
    _require_possible(n_users, n_ratings, table.height)
    simulated = simulate(_films(table), n_users, n_ratings, rng, progress)
    ratings = pl.DataFrame(
        {
            "user_id": simulated.user + 1,
            "movie_id": table["movie_id"].to_numpy()[simulated.film],
            "rating": simulated.rating,
            "timestamp": simulated.timestamp,
        }
    ).with_columns((pl.col("timestamp") * 1_000_000).cast(TIMESTAMP))
    links = table.select("movie_id").join(
        facts.select(pl.col("tmdb_id").alias("movie_id"), "imdb_id", "tmdb_id"),
        on="movie_id",
        how="left",
        maintain_order="left",
    )
    return Dataset(
        name=name,
        ratings_are_simulated=True,
        ratings=ratings.match_to_schema(RATINGS),
        movies=table.select(MOVIES.names()).match_to_schema(MOVIES),
        links=links.match_to_schema(LINKS),
        seed=seed,
        tmdb_movies=facts.filter(pl.col("tmdb_id").is_in(table["movie_id"].implode())),
    )


def _require_possible(n_users: int, n_ratings: int, n_movies: int) -> None:
    if n_movies < 2:
        raise ConfigError(f"A catalogue of {n_movies} movies is too small", expected="at least 2 movies")
    if n_users < 1:
        raise ConfigError(f"{n_users} users cannot rate anything", expected="at least 1 user")
    most = n_users * max_ratings_per_user(n_movies)
    if not n_users <= n_ratings <= most:
        raise ConfigError(
            f"{n_ratings:,} ratings do not fit {n_users:,} users and {n_movies:,} movies",
            expected=f"from {n_users:,} (one per user) to {most:,} (a user rates at most "
            f"{max_ratings_per_user(n_movies)})",
            remedy="change the number of ratings, users or movies",
        )


def _catalogue(n_movies: int | None, rng: np.random.Generator) -> pl.DataFrame:
    """MOVIES of the sample's films plus the columns that `_films` reads, sorted by `movie_id`."""
    real = sample_films().select(
        pl.col("tmdb_id").alias("movie_id"),
        "title",
        pl.col("release_date").dt.year().alias("release_year"),
        "genres",
        pl.col("directors").list.first().alias("person"),
        pl.col("original_language").alias("language"),
        pl.col("tmdb_vote_count_snapshot").cast(pl.Float64).alias("votes"),
        pl.col("tmdb_vote_average_snapshot").alias("vote_average"),
    )
    if n_movies is None or n_movies == real.height:
        return real
    if n_movies < real.height:
        return real.sort("votes", descending=True).head(n_movies).sort("movie_id")
    n = n_movies - real.height
    # A synthetic film takes genres and language from one real film, and its year from another.
    synthetic = real[rng.integers(0, real.height, n)].with_columns(
        (pl.int_range(n, dtype=pl.Int64) + _FIRST_SYNTHETIC_ID).alias("movie_id"),
        pl.format("Synthetic Film {}", pl.int_range(1, n + 1)).alias("title"),
        real["release_year"][rng.integers(0, real.height, n)].alias("release_year"),
        pl.format("invented {}", pl.Series(rng.integers(0, max(1, n // 4), n))).alias("person"),
        pl.Series("votes", rng.lognormal(np.log(60.0), 1.4, n)),
        pl.Series("vote_average", rng.normal(6.3, 0.9, n)),
    )
    return pl.concat([real, synthetic])


def _catalogue_of(movies: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """MOVIES with random vote counts that follow Zipf's law."""
    return movies.sort("movie_id").with_columns(
        pl.lit(None, pl.String).alias("person"),
        pl.lit(None, pl.String).alias("language"),
        pl.Series("votes", 20_000.0 / (1.0 + rng.permutation(movies.height)) ** 0.8 + 1.0),
        pl.Series("vote_average", rng.normal(6.5, 0.9, movies.height)),
    )


def _films(table: pl.DataFrame) -> Films:
    genres = table["genres"].explode().drop_nulls().unique().sort().to_list()
    matrix = (
        np.stack([table["genres"].list.contains(genre).to_numpy() for genre in genres], axis=1)
        if genres
        else np.zeros((table.height, 1), np.bool_)
    )
    year = table["release_year"].cast(pl.Float64)
    average = table["vote_average"].to_numpy()
    language = table["language"].replace("en", None)
    return Films(
        genre_matrix=matrix.astype(np.float64),
        year=year.fill_null(strategy="mean").fill_null(2000.0).to_numpy(),
        person=_numbered(table["person"]),
        language=_numbered(language) + 1,
        votes=table["votes"].to_numpy(),
        quality=(average - average.mean()) / max(float(average.std()), 1e-6),
    )


def _numbered(values: pl.Series) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Code of each value by alphabetical order, from 0; -1 for null."""
    return (values.rank("dense").cast(pl.Int64) - 1).fill_null(-1).to_numpy()


def write_dataset(dataset: Dataset, folder: Path) -> None:
    """Writes the set as MovieLens CSV files, which `read_dataset` can read; `folder` appears only when
    complete.

    Also writes `dataset.json` and, if there are TMDB facts, `tmdb_movies.parquet`. A folder that movierank
    wrote earlier is replaced; any other non-empty folder raises `DataError`.
    """
    if folder.exists() and not (folder / INFO_FILE).is_file() and any(folder.iterdir()):
        raise DataError(
            f"{folder} holds files that movierank did not write",
            expected="a new or empty folder",
            remedy="choose another folder",
        )
    with disk_errors(folder), atomic_write(folder, is_durable=True) as unfinished:
        unfinished.mkdir()
        _write_files(dataset, unfinished)


def _write_files(dataset: Dataset, folder: Path) -> None:
    dataset.ratings.select(
        pl.col("user_id").alias("userId"),
        pl.col("movie_id").alias("movieId"),
        pl.col("rating").cast(pl.Float64),
        pl.col("timestamp").dt.epoch("s"),
    ).write_csv(folder / "ratings.csv", float_precision=1)
    dataset.movies.select(
        pl.col("movie_id").alias("movieId"),
        pl.format("{}{}", "title", pl.format(" ({})", "release_year").fill_null("")).alias("title"),
        pl.when(pl.col("genres").list.len() > 0)
        .then(pl.col("genres").list.join("|"))
        .otherwise(pl.lit("(no genres listed)"))
        .alias("genres"),
    ).write_csv(folder / "movies.csv")
    dataset.links.select(
        pl.col("movie_id").alias("movieId"),
        pl.col("imdb_id").str.strip_prefix("tt").alias("imdbId"),
        pl.col("tmdb_id").alias("tmdbId"),
    ).write_csv(folder / "links.csv")
    if dataset.tmdb_movies is not None:
        dataset.tmdb_movies.write_parquet(folder / TMDB_FILE)
    info = DatasetInfo(
        name=dataset.name, ratings_are_simulated=dataset.ratings_are_simulated, seed=dataset.seed
    )
    (folder / INFO_FILE).write_bytes(msgspec.json.format(msgspec.json.encode(info)) + b"\n")
