"""Reads every MovieLens edition into the tables of `movierank_core.data.schema`.

There is one function per table, which reads only that file; `read_dataset` reads all tables. `editions`
detects the edition, and `delimited` locates errors in a file.
"""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import polars as pl

from movierank_core.data.schema import LINKS, MOVIES, RATINGS, TIMESTAMP
from movierank_core.errors import DataError
from movierank_pipeline.ingest.movielens.delimited import (
    Column,
    Encoding,
    Layout,
    is_utf8,
    read_delimited,
    read_line_by_line,
    require_content,
)
from movierank_pipeline.ingest.movielens.editions import find_edition
from movierank_pipeline.ingest.movielens.genres import canonical_genres
from movierank_pipeline.ingest.movielens.titles import plain_title, release_year

_RATING_COLUMNS: Final = (
    Column("userId", "id"),
    Column("movieId", "id"),
    Column("rating", "rating"),
    Column("timestamp", "timestamp"),
)
_RATING_LAYOUTS: Final = {
    "csv": Layout(_RATING_COLUMNS, ",", has_header=True),
    "dat": Layout(_RATING_COLUMNS, "::", has_header=False),
    "tab": Layout(_RATING_COLUMNS, "\t", has_header=False),
}
_MOVIES_CSV: Final = Layout(
    (Column("movieId", "id"), Column("title", "text"), Column("genres", "text")), ",", has_header=True
)
_LINKS_CSV: Final = Layout(
    (Column("movieId", "id"), Column("imdbId", "optional_id"), Column("tmdbId", "optional_id")),
    ",",
    has_header=True,
)


@dataclass(frozen=True)
class Ratings:
    """A RATINGS table and the number of duplicates that were removed."""

    frame: pl.DataFrame
    n_duplicates: int
    """Ratings replaced by a later one of the same user for the same movie."""


@dataclass(frozen=True)
class Dataset:
    """One data set: ratings, movies, links and tags."""

    name: str
    ratings_are_simulated: bool
    """Whether a taste model generated the ratings; every display of the data must say so."""
    ratings: pl.DataFrame
    movies: pl.DataFrame
    links: pl.DataFrame
    """One row for each movie, ids null where unknown."""
    n_duplicate_ratings: int = 0
    """Ratings replaced by a later one of the same user for the same movie."""
    seed: int | None = None
    """Seed of simulated ratings."""
    tmdb_movies: pl.DataFrame | None = None
    """TMDB_MOVIES facts of a generated set in memory; None for a set read from disk."""


def read_dataset(folder: Path, now: datetime | None = None) -> Dataset:
    """All tables of the edition in `folder` or in its only subfolder.

    Keeps ratings of movies that are missing in the movies table. `now` (aware; default the current time)
    bounds timestamps. Raises `DataError` for a missing or invalid file; only links are optional.
    """
    edition = find_edition(folder)
    ratings = read_ratings(folder, now)
    return Dataset(
        name=edition.info.name,
        ratings_are_simulated=edition.info.ratings_are_simulated,
        ratings=ratings.frame,
        movies=read_movies(folder),
        links=read_links(folder),
        n_duplicate_ratings=ratings.n_duplicates,
        seed=edition.info.seed,
    )


def read_ratings(folder: Path, now: datetime | None = None) -> Ratings:
    """RATINGS of the edition in `folder`, by the rules of `ratings_table`."""
    edition = find_edition(folder)
    return ratings_table(read_delimited(edition.ratings_file, _RATING_LAYOUTS[edition.format], now))


def read_ratings_csv(path: Path, now: datetime | None = None) -> Ratings:
    """RATINGS of one file with the columns `userId,movieId,rating,timestamp`.

    Timestamps may also be 0, 1, 2, … if only the order is known.
    """
    return ratings_table(read_delimited(path, _RATING_LAYOUTS["csv"], now))


def ratings_table(raw: pl.DataFrame) -> Ratings:
    """RATINGS from MovieLens columns (timestamps in seconds), sorted by user, time and file order.

    If a user rated a movie several times, only the last rating in that order is kept. Raises `DataError` for
    an empty table.
    """
    if raw.is_empty():
        raise DataError("The ratings file holds no ratings, only its header", expected="at least one rating")
    table = raw.lazy().select(
        pl.col("userId").alias("user_id"),
        pl.col("movieId").alias("movie_id"),
        "rating",
        (pl.col("timestamp") * 1_000_000).cast(TIMESTAMP).alias("timestamp"),
    )
    frame = table.sort("user_id", "timestamp", maintain_order=True).collect()
    # One integer per (user, movie) pair: hashing structs is several times slower.
    span = int(raw["movieId"].max()) + 1  # type: ignore[arg-type]  # Not empty, and of integers.
    pair = pl.col("user_id") * span + pl.col("movie_id")
    n_duplicates = frame.height - int(frame.select(pair.n_unique()).item())
    if n_duplicates:
        frame = frame.filter(pair.is_last_distinct())
    return Ratings(frame.match_to_schema(RATINGS), n_duplicates)


def read_movies(folder: Path) -> pl.DataFrame:
    """MOVIES of the edition in `folder`, in file order.

    Raises `DataError` for an invalid file, a movie without a title, and a movie listed twice.
    """
    edition = find_edition(folder)
    match edition.format:
        case "csv":
            path = edition.folder / "movies.csv"
            raw = read_delimited(path, _MOVIES_CSV)
        case "dat":
            path = edition.folder / "movies.dat"
            raw = _movies_dat(path)
        case "tab":
            path = edition.folder / "u.item"
            raw = _movies_100k(path, edition.folder / "u.genre")
    return _movies_table(raw, path)


def read_movies_csv(path: Path) -> pl.DataFrame:
    """MOVIES of one file with the columns `movieId,title,genres`, by the rules of `read_movies`."""
    return _movies_table(read_delimited(path, _MOVIES_CSV), path)


def read_films(folder: Path) -> pl.DataFrame:
    """MOVIES of a folder with a `movies.csv`, with or without ratings, else those of the edition in it.

    The rules are those of `read_movies`.
    """
    path = folder / "movies.csv"
    return read_movies_csv(path) if path.is_file() else read_movies(folder)


def _movies_table(raw: pl.DataFrame, path: Path) -> pl.DataFrame:
    nameless = raw.filter(pl.col("title").fill_null("").str.strip_chars() == "")
    if not nameless.is_empty():
        raise DataError(
            f"{path} has no title for the movie {nameless['movieId'][0]}", expected="a title for each movie"
        )
    twice = raw.filter(pl.col("movieId").is_duplicated())["movieId"]
    if len(twice):
        raise DataError(f"{path} lists the movie {twice[0]} more than once", expected="one line per movie")
    return raw.select(
        pl.col("movieId").alias("movie_id"),
        plain_title(pl.col("title")).alias("title"),
        release_year(pl.col("title")).alias("release_year"),
        canonical_genres(pl.col("genres").fill_null("").str.split("|")).alias("genres"),
    ).match_to_schema(MOVIES)


def read_links(folder: Path) -> pl.DataFrame:
    """LINKS for each movie of the edition in `folder`, in the order of its movies.

    Ids are null if `links.csv` has none or 0, and for all movies of editions without `links.csv`.
    """
    edition = find_edition(folder)
    movie_ids = read_movies(folder).select("movie_id")
    path = edition.folder / "links.csv"
    if edition.format != "csv" or not path.is_file():
        return movie_ids.with_columns(
            pl.lit(None, pl.String).alias("imdb_id"), pl.lit(None, pl.Int64).alias("tmdb_id")
        )
    known = read_links_csv(path)
    return movie_ids.join(known, on="movie_id", how="left", maintain_order="left").match_to_schema(LINKS)


def read_links_csv(path: Path) -> pl.DataFrame:
    """LINKS of one file with the columns `movieId,imdbId,tmdbId`; empty or 0 ids become null."""
    raw = read_delimited(path, _LINKS_CSV).unique("movieId", keep="last", maintain_order=True)
    return raw.select(
        pl.col("movieId").alias("movie_id"),
        pl.when(pl.col("imdbId") > 0)
        .then(pl.format("tt{}", pl.col("imdbId").cast(pl.String).str.zfill(7)))
        .alias("imdb_id"),
        pl.when(pl.col("tmdbId") > 0).then("tmdbId").alias("tmdb_id"),
    ).match_to_schema(LINKS)


def _movies_dat(path: Path) -> pl.DataFrame:
    """Reads `movies.dat`: titles contain single colons; Latin-1 in ml-1m, UTF-8 in ml-10m."""
    return read_line_by_line(
        path, Layout(_MOVIES_CSV.columns, "::", has_header=False, encoding=_encoding(path))
    )


def _encoding(path: Path) -> Encoding:
    require_content(path)
    return "utf8" if is_utf8(path) else "latin-1"


def _movies_100k(items: Path, genres: Path) -> pl.DataFrame:
    """Reads `u.item`: title, two dates, URL, and one 0/1 column for each genre of `u.genre`."""
    named = read_line_by_line(
        genres, Layout((Column("genre", "text"), Column("number", "id")), "|", has_header=False)
    )
    names = named.sort("number")["genre"].to_list()
    columns = (
        Column("movieId", "id"),
        *(Column(name, "text") for name in ("title", "released", "released on video", "address")),
        *(Column(name, "id") for name in names),
    )
    raw = read_line_by_line(items, Layout(columns, "|", has_header=False, encoding="latin-1"))
    flags = [pl.when(pl.col(name) > 0).then(pl.lit(name)) for name in names]
    return raw.select(
        "movieId", "title", pl.concat_str(flags, separator="|", ignore_nulls=True).alias("genres")
    )
