"""TMDB films by title and year: better none than a wrong one."""

from datetime import date
from pathlib import Path

import polars as pl
import pytest

from movierank_core.data.schema import LINKS, MOVIES, TMDB_MOVIES
from movierank_pipeline.ingest.catalogue import build_catalogue
from movierank_pipeline.ingest.movielens.reader import read_dataset
from movierank_pipeline.ingest.movielens.titles import plain_title, release_year
from movierank_pipeline.ingest.tmdb.metadata import MetadataSettings, read_metadata
from movierank_pipeline.ingest.tmdb.metadata_file import read_metadata_file
from movierank_pipeline.ingest.tmdb.title_match import all_titles, comparable, match_by_title
from tests.support.data import test_data

Film = tuple[int, str, str | None, int | None]


def movies_of(titles: dict[int, str]) -> pl.DataFrame:
    """MOVIES from titles as MovieLens writes them."""
    raw = pl.DataFrame({"movie_id": list(titles), "raw": list(titles.values())})
    return raw.select(
        "movie_id",
        title=plain_title(pl.col("raw")),
        release_year=release_year(pl.col("raw")),
        genres=pl.lit([], pl.List(pl.String)),
    ).match_to_schema(MOVIES)


def links_of(titles: dict[int, str], links: dict[int, int | None]) -> pl.DataFrame:
    rows = [{"movie_id": movie_id, "tmdb_id": links.get(movie_id)} for movie_id in titles]
    return pl.DataFrame(rows, schema={"movie_id": pl.Int64, "tmdb_id": pl.Int64}).match_to_schema(
        LINKS, missing_columns="insert"
    )


def films_of(*films: Film) -> pl.DataFrame:
    """(TMDB id, title, original title, year) as columns of TMDB_MOVIES."""
    return pl.DataFrame(
        [
            {
                "tmdb_id": tmdb_id,
                "title": title,
                "original_title": original,
                "release_date": None if year is None else date(year, 7, 1),
            }
            for tmdb_id, title, original, year in films
        ],
        schema={name: TMDB_MOVIES[name] for name in ("tmdb_id", "title", "original_title", "release_date")},
    )


def match(titles: dict[int, str], *films: Film, links: dict[int, int | None] | None = None) -> dict[int, int]:
    """Movie to film, for those of `titles` whose link leads to none of `films`."""
    movies, table = movies_of(titles), links_of(titles, links or {})
    known = films_of(*films)
    linked = table.join(known, on="tmdb_id", how="semi")["movie_id"]
    wanted = movies.filter(~pl.col("movie_id").is_in(linked.implode()))["movie_id"]
    return dict(match_by_title(movies, table, wanted, known).iter_rows())


@pytest.mark.parametrize(
    ("raw", "title", "original"),
    [
        ("Matrix, The (1999)", "The Matrix", None),
        ("matrix the (1999)", "Matrix: The!", None),
        ("Léon: The Professional (1999)", "Leon - The Professional", None),
        ("Elsa & Fred (1999)", "Elsa and Fred", None),
        ("Schindler's List (1999)", "Schindler’s List", None),
        ("Lost Children, The (Cité des enfants perdus, La) (1999)", "X", "La Cite des Enfants Perdus"),
        ("Seven (a.k.a. Se7en) (1999)", "Se7en", None),
        ("Birdman: Or (The Virtue of Ignorance) (1999)", "Birdman or the Virtue of Ignorance", None),
        ("Seventh Seal, The (Sjunde inseglet, Det) (1999)", "The Seventh Seal", "Det sjunde inseglet"),
        ("WALL·E (1999)", "WALL E", None),
        ("Москва (1999)", "Moscow", "МОСКВА"),
    ],
)  # fmt: skip
def test_same_title_written_otherwise_matches(raw: str, title: str, original: str | None) -> None:
    assert match({1: raw}, (7, title, original, 1999)) == {1: 7}


@pytest.mark.parametrize("year", [1998, 2000])
def test_only_film_of_a_title_matches_a_year_beside(year: int) -> None:
    assert match({1: "Cats (1999)"}, (7, "Cats", None, year)) == {1: 7}
    other = (8, "Cats", None, 1950)
    assert match({1: "Cats (1999)"}, (7, "Cats", None, year), other) == {}
    assert match({1: "Cats (1999)"}, (7, "Cats", None, year), (8, "Other", "Cats", None)) == {}


def test_film_of_the_year_matches_among_others_of_its_title() -> None:
    assert match({1: "Cats (1999)"}, (7, "Cats", None, 1999), (8, "Cats", None, 1998)) == {1: 7}


@pytest.mark.parametrize(
    ("raw", "films"),
    [
        ("Cats (1999)", [(7, "Cats", None, 1997)]),
        ("Cats (1999)", [(7, "Cats", None, None)]),
        ("Cats", [(7, "Cats", None, 1999)]),
        ("Cats (1999)", [(7, "Cats", None, 1999), (8, "Katzen", "Cats", 1999)]),
        ("Cats (1999)", [(7, "The Cats", None, 1999)]),
        ("Cats II (1999)", [(7, "Cats", None, 1999)]),
        ("!!! (1999)", [(7, "???", None, 1999)]),
        ("Cats (1999)", [(7, "", "", 1999)]),
    ],
)
def test_doubtful_films_are_left_alone(raw: str, films: list[Film]) -> None:
    assert match({1: raw}, *films) == {}


def test_film_that_another_link_claims_is_taken() -> None:
    titles = {1: "Loser (1999)", 2: "Loser: The Film (2000)"}
    assert match(titles, (7, "Loser", None, 1999), links={2: 7}) == {}


def test_movie_that_is_entered_twice_shares_its_film() -> None:
    titles = {1: "Saturn 3 (1980)", 2: "Saturn 3 (1980)", 3: "Eros (2004)", 4: "Éros (2004)"}
    films = (7, "Saturn 3", None, 1980), (8, "Eros", None, 2004)
    assert match(titles, *films, links={2: 7}) == {1: 7, 3: 8, 4: 8}


def test_two_movies_that_match_one_film_get_none() -> None:
    titles = {1: "Katzen (1999)", 2: "Cats (2000)"}
    assert match(titles, (7, "Katzen", "Cats", 1999)) == {}


def test_titles_are_made_comparable() -> None:
    frame = pl.DataFrame({"title": ["  Amélie, (2001) & Co. ", "…", None]})
    assert frame.select(comparable(pl.col("title")))["title"].to_list() == ["amelie 2001 and co", None, None]
    titles = pl.DataFrame({"title": ["Tomie: Replay (Tomie (2)) (a.k.a. T)"]})
    assert titles.select(all_titles(pl.col("title")))["title"].to_list() == [
        ["tomie replay tomie", "tomie replay tomie 2 a k a t", "2", "t"]
    ]


def test_matched_movies_say_so_and_are_counted(tmp_path: Path) -> None:
    titles = {1: "Cats (1999)", 2: "Dogs (1999)", 3: "Dogs (1999)", 4: "Birds (1999)"}
    movies, links = movies_of(titles), links_of(titles, {1: 100, 2: 8})
    file = tmp_path / "facts.parquet"
    films_of((7, "Cats", None, 1999), (8, "Dogs", None, 1999), (9, "Bees", None, 1999)).write_parquet(file)
    metadata = read_metadata(movies, links, MetadataSettings(tmp_path / "c.db", metadata_file=file))
    assert metadata.source == "facts.parquet 1; 2 more by title and year (of 2 movies)"
    assert metadata.counts["by_title"] == 2
    assert metadata.frame.select("tmdb_id", "matched_movie_ids").rows() == [(7, [1]), (8, [3])]
    catalogue = build_catalogue(movies, links, metadata.frame)
    assert catalogue.select("movie_id", "tmdb_id", "metadata_source").rows() == [
        (1, 7, "facts.parquet, by title"),
        (2, 8, "facts.parquet"),
        (3, 8, "facts.parquet, by title"),
        (4, None, None),
    ]


def test_matches_of_a_table_of_ours_are_not_taken_over(tmp_path: Path) -> None:
    file = tmp_path / "tmdb_movies.parquet"
    rows = films_of((7, "Cats", None, 1999)).with_columns(matched_movie_ids=pl.lit([1], pl.List(pl.Int64)))
    rows.write_parquet(file)
    assert read_metadata_file(file)["matched_movie_ids"].to_list() == [None]


SNAPSHOT = ("tmdb", "movies_metadata.parquet")


def test_snapshot_covers_ml_latest_small(tmp_path: Path) -> None:
    movielens = read_dataset(test_data("ml-latest-small"))
    settings = MetadataSettings(tmp_path / "c.db", metadata_file=test_data(*SNAPSHOT))
    metadata = read_metadata(movielens.movies, movielens.links, settings)
    assert metadata.counts["by_title"] == 4
    catalogue = build_catalogue(movielens.movies, movielens.links, metadata.frame)
    known = catalogue.drop_nulls("metadata_source")
    assert known.height >= 0.98 * catalogue.height
    assert movielens.ratings.join(known, on="movie_id", how="semi").height >= 0.994 * movielens.ratings.height
    matched = known.filter(pl.col("metadata_source").str.ends_with(", by title"))
    # Looked at one by one: the same films.
    assert dict(matched.select("movie_id", "tmdb_id").iter_rows()) == {
        2851: 19761,  # Saturn 3, which is entered twice.
        4051: 31392,  # Horrors of Spider Island, by its original title.
        32600: 39850,  # Eros, which is entered twice.
        107780: 26598,  # Cats, of 1998.
    }


def test_where_links_are_there_to_compare_hardly_any_match_is_another_film() -> None:
    movielens = read_dataset(test_data("ml-latest-small"))
    snapshot = read_metadata_file(test_data(*SNAPSHOT))
    linked = movielens.links.join(snapshot, on="tmdb_id", how="semi")
    hidden = movielens.links.with_columns(tmdb_id=pl.lit(None, pl.Int64))
    matches = match_by_title(movielens.movies, hidden, linked["movie_id"], snapshot)
    wrong = matches.join(linked, on="movie_id").filter(pl.col("tmdb_id") != pl.col("tmdb_id_right"))
    assert matches.height > 0.95 * linked.height
    # Two films of their year called Hamlet, and the two of 2005 called War of the Worlds.
    assert wrong.height <= 2
