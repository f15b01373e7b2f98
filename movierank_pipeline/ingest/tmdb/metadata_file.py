"""Reads TMDB facts from a metadata file of the user.

The content decides between three formats: Parquet with our column names (or the API's names for popularity
and votes), the `movies_metadata.csv` of Kaggle's "The Movies Dataset", and the CSV of Kaggle's "TMDB movies".
Such files are large and partly malformed: only the requested movies are kept, and an invalid value becomes
null.
"""

import ast
import csv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl

from movierank_core.data.schema import TMDB_MOVIES
from movierank_core.errors import DataError
from movierank_pipeline.ingest.tmdb.facts import clean_facts
from movierank_pipeline.ingest.tmdb.title_match import comparable

_OUR_NAMES: Final = {
    "id": "tmdb_id",
    "runtime": "runtime_minutes",
    "vote_average": "tmdb_vote_average_snapshot",
    "vote_count": "tmdb_vote_count_snapshot",
    "popularity": "tmdb_popularity_snapshot",
    "belongs_to_collection": "collection",
}
"""The API's column names, if they differ from ours, and ours."""

_KINDS: Final = (
    "a Parquet file with tmdb_id and title, or one of Kaggle's CSV files movies_metadata.csv and "
    "TMDB_movie_dataset_v11.csv"
)


@dataclass(frozen=True)
class Wanted:
    """Selection of the movies to read."""

    tmdb_ids: pl.Series
    titles: pl.Series
    """Also read movies with these titles or original titles, normalised by `comparable`."""


def read_metadata_file(path: Path, wanted: Wanted | None = None) -> pl.DataFrame:
    """TMDB_MOVIES of the `wanted` movies (default: all) in `path`, one row per movie, sorted by `tmdb_id`.

    Of several rows for a movie, the row with the most votes is kept, the first of equal ones. CSV lines
    without a valid movie id are skipped. `metadata_source` is the file name unless the file has that column;
    `retrieved_at` is null unless the file has it. Raises `DataError` for a file that is missing, empty,
    damaged or of unknown format.
    """
    if not path.is_file():
        raise DataError(
            f"There is no TMDB metadata file {path}",
            expected=_KINDS,
            remedy="correct the path, or leave out `--tmdb-file`",
        )
    with path.open("rb") as file:
        start = file.read(4)
    if not start:
        raise DataError(f"{path} is empty", expected=_KINDS, remedy="get the file again")
    try:
        facts = clean_facts(_parquet(path, wanted) if start == b"PAR1" else _csv(path, wanted))
    except (pl.exceptions.PolarsError, OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"{path} cannot be read ({str(error).splitlines()[0]})",
            expected=_KINDS,
            remedy="get the file again, it may be cut short or damaged",
        ) from error
    best_first = facts.sort("tmdb_vote_count_snapshot", descending=True, nulls_last=True, maintain_order=True)
    unique = best_first.unique("tmdb_id", keep="first").sort("tmdb_id")
    return unique.with_columns(
        pl.col("metadata_source").fill_null(path.name),
        # A table written by movierank may belong to another data set.
        pl.lit(None, TMDB_MOVIES["matched_movie_ids"]).alias("matched_movie_ids"),
    )


def _parquet(path: Path, wanted: Wanted | None) -> pl.DataFrame:
    table = pl.scan_parquet(path, glob=False)
    present = table.collect_schema().names()
    renamed = {name: ours for name, ours in _OUR_NAMES.items() if name in present and ours not in present}
    _require(path, {"tmdb_id", "title"}, {renamed.get(name, name) for name in present})
    return _only(table.rename(renamed), wanted).collect()


def _csv(path: Path, wanted: Wanted | None) -> pl.DataFrame:
    with path.open(encoding="utf-8-sig", newline="") as file:
        header = next(csv.reader([file.readline()]), [])
    is_movies_dataset = "belongs_to_collection" in header
    _require(path, {"id", "title", "genres", "release_date"}, set(header))
    table = pl.scan_csv(path, infer_schema=False, truncate_ragged_lines=True, glob=False).select(
        pl.col(name).alias(_OUR_NAMES.get(name, name))
        for name in header
        if _OUR_NAMES.get(name, name) in TMDB_MOVIES
    )
    table = table.with_columns(pl.col("tmdb_id").cast(pl.Int64, strict=False))
    raw = _only(table.drop_nulls("tmdb_id"), wanted).collect()
    typed = raw.with_columns(
        pl.col("release_date").str.to_date("%Y-%m-%d", strict=False),
        *(
            pl.col(name).cast(pl.Float64, strict=False).cast(TMDB_MOVIES[name], strict=False)
            for name in raw.columns
            if TMDB_MOVIES[name].is_numeric() and name != "tmdb_id"
        ),
    )
    if is_movies_dataset:
        typed = _parsed(typed, "genres", _names_of_literal, pl.List(pl.String))
        typed = _parsed(typed, "collection", _name_of_literal, pl.String())
        return typed
    lists = [name for name in ("genres", "keywords") if name in typed.columns]
    return typed.with_columns(pl.col(lists).str.split(", "))


def _require(path: Path, required: set[str], present: set[str]) -> None:
    if missing := sorted(required - present):
        raise DataError(f"{path} lacks the columns {missing}", expected=_KINDS, remedy="give one of these")


def _only(table: pl.LazyFrame, wanted: Wanted | None) -> pl.LazyFrame:
    if wanted is None:
        return table
    titles = [name for name in ("title", "original_title") if name in table.collect_schema().names()]
    return table.filter(
        pl.any_horizontal(
            pl.col("tmdb_id").is_in(wanted.tmdb_ids.implode()),
            *(comparable(pl.col(name)).is_in(wanted.titles.implode()) for name in titles),
        )
    )


def _parsed(
    frame: pl.DataFrame, column: str, parse: Callable[[str], object], kind: pl.DataType
) -> pl.DataFrame:
    """`column` converted by `parse`, which is called once per distinct value."""
    distinct = frame[column].drop_nulls().unique()
    parsed = pl.DataFrame(
        {column: distinct, "parsed": pl.Series([parse(text) for text in distinct], dtype=kind)}
    )
    joined = frame.join(parsed, on=column, how="left", maintain_order="left")
    return joined.drop(column).rename({"parsed": column})


def _literal(text: str) -> object:
    """The value of a Python literal, None if `text` is not a literal."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None


def _name_of(value: object) -> str | None:
    match value:
        case {"name": str(name)}:
            return name
    return None


def _name_of_literal(text: str) -> str | None:
    return _name_of(_literal(text))


def _names_of_literal(text: str) -> list[str] | None:
    match _literal(text):
        case list(entries):
            return [name for entry in entries if (name := _name_of(entry)) is not None]
    return None
