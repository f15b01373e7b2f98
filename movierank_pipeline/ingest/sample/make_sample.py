"""Chooses the embedded sample's films from a table of TMDB facts and writes `sample_movies.tsv`.

    python -m movierank_pipeline.ingest.sample.make_sample METADATA.parquet

Only needed to create the sample again. The table must have the columns of `_COLUMNS`, with lists of genres
and directors.
"""

import argparse
from datetime import date
from pathlib import Path
from typing import Final

import polars as pl

from movierank_pipeline.ingest.movielens.genres import canonical_genres

_HEADER: Final = """\
# Facts of well-known films for the embedded sample, from The Movie Database (TMDB), a snapshot of 2017.
# This product uses the TMDB API but is not endorsed or certified by TMDB. Not for commercial use.
# Made by movierank_pipeline/ingest/sample/make_sample.py. An empty cell means "unknown".
"""

_COLUMNS: Final = [
    "tmdb_id",
    "imdb_id",
    "title",
    "original_title",
    "release_date",
    "runtime_minutes",
    "original_language",
    "genres",
    "directors",
    "poster_path",
    "vote_average",
    "vote_count",
    "popularity",
]

_LATEST_RELEASE: Final = date(2017, 7, 31)
_PLACEHOLDER_RUNTIMES: Final = [0, 95, 96]
"""Runtimes that the snapshot uses as placeholders for unknown."""

_N_OVERALL: Final = 650
_N_OVERALL_INCOMPLETE: Final = 350
"""Number of most-voted films that are taken even without runtime or language."""
_N_PER_DECADE: Final = {
    1910: 5,
    1920: 15,
    1930: 30,
    1940: 40,
    1950: 50,
    1960: 65,
    1970: 80,
    1980: 120,
    1990: 170,
}
_N_PER_GENRE: Final = 35
_N_NOT_ENGLISH: Final = 120


def choose(facts: pl.DataFrame) -> pl.DataFrame:
    """The films with the most votes: overall, per decade, per genre and not in English; by `tmdb_id`."""
    known = (
        facts.filter(
            ~pl.col("adult"),
            pl.col("release_date") <= _LATEST_RELEASE,
            *(pl.col(name).is_not_null() for name in ("imdb_id", "title", "poster_path", "directors")),
        )
        .with_columns(
            pl.when(~pl.col("runtime_minutes").is_in(_PLACEHOLDER_RUNTIMES)).then("runtime_minutes"),
            canonical_genres(pl.col("genres")).alias("genres"),
        )
        .filter(pl.col("genres").list.len() > 0)
        .sort("vote_count", "tmdb_id", descending=[True, False])
        .with_row_index("rank")
    )
    with_runtime = known.filter(pl.col("runtime_minutes").is_not_null())
    complete = with_runtime.filter(pl.col("original_language").is_not_null())
    decade = complete["release_date"].dt.year() // 10 * 10
    # The snapshot has no language for most documentaries.
    by_genre = with_runtime.explode("genres").group_by("genres", maintain_order=True).head(_N_PER_GENRE)
    ranks = [
        known["rank"].head(_N_OVERALL_INCOMPLETE),
        complete["rank"].head(_N_OVERALL),
        *(complete.filter(decade == start)["rank"].head(n) for start, n in _N_PER_DECADE.items()),
        by_genre["rank"],
        complete.filter(pl.col("original_language") != "en")["rank"].head(_N_NOT_ENGLISH),
    ]
    return known.filter(pl.col("rank").is_in(pl.concat(ranks).implode())).sort("tmdb_id").select(_COLUMNS)


def write(films: pl.DataFrame, path: Path) -> None:
    """Writes one line per film, tab-separated; list entries are separated by `|`."""
    table = films.with_columns(
        pl.when(pl.col("original_title") != pl.col("title")).then("original_title"),
        pl.col("genres", "directors").list.join("|"),
        pl.col("popularity").round(3),
    )
    path.write_text(_HEADER + table.write_csv(separator="\t", quote_style="never"), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description="Create the embedded sample's films again.")
    parser.add_argument("metadata", type=Path, help="a Parquet table of TMDB facts")
    parser.add_argument(
        "--output", type=Path, default=Path(__file__).with_name("sample_movies.tsv"), help="the file to write"
    )
    arguments = parser.parse_args()
    films = choose(pl.read_parquet(arguments.metadata))
    write(films, arguments.output)
    print(f"{films.height} films written to {arguments.output}")


if __name__ == "__main__":
    main()
