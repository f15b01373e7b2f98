"""What the catalogue takes from MovieLens and what from TMDB."""

from datetime import date
from typing import Any

import polars as pl
import pytest

from movierank_core.data.schema import LINKS, MOVIES, TMDB_MOVIES
from movierank_pipeline.ingest.catalogue import build_catalogue


def merged(movielens: dict[str, Any], links: dict[str, Any], tmdb: dict[str, Any] | None) -> dict[str, Any]:
    """The row of a movie; `tmdb` is what TMDB knows of film 603, None if it does not know the film."""
    movies = pl.DataFrame([{"movie_id": 1, "title": "The Matrix", **movielens}], schema_overrides=MOVIES)
    linked = pl.DataFrame([{"movie_id": 1, **links}], schema_overrides=LINKS)
    films = [] if tmdb is None else [{"tmdb_id": 603, "title": "Matrix", "metadata_source": "here", **tmdb}]
    facts = pl.DataFrame(films, schema_overrides=TMDB_MOVIES) if films else TMDB_MOVIES.to_frame()
    (row,) = build_catalogue(
        movies.match_to_schema(MOVIES, missing_columns="insert"),
        linked.match_to_schema(LINKS, missing_columns="insert"),
        facts.match_to_schema(TMDB_MOVIES, missing_columns="insert"),
    ).to_dicts()
    return row


@pytest.mark.parametrize(
    ("movielens", "tmdb", "expected"),
    [
        (["Action", "Sci-Fi"], ["Science Fiction", "Thriller"], ["Action", "Sci-Fi"]),
        (["Action", "Sci-Fi"], [], ["Action", "Sci-Fi"]),
        (["Action", "Sci-Fi"], None, ["Action", "Sci-Fi"]),
        ([], ["Science Fiction", "Thriller"], ["Science Fiction", "Thriller"]),
        ([], [], []),
        ([], None, []),
    ],
)
def test_genres_are_movielenss_and_tmdbs_only_where_it_lists_none(
    movielens: list[str], tmdb: list[str] | None, expected: list[str]
) -> None:
    assert merged({"genres": movielens}, {"tmdb_id": 603}, {"genres": tmdb})["genres"] == expected


def test_genres_of_a_film_that_tmdb_does_not_know_stay() -> None:
    assert merged({"genres": ["Action"]}, {"tmdb_id": 603}, None)["genres"] == ["Action"]
    assert merged({"genres": []}, {"tmdb_id": 603}, None)["genres"] == []


def test_title_year_and_imdb_id_are_movielenss_where_it_has_them() -> None:
    tmdb = {"genres": [], "release_date": date(1998, 3, 31), "imdb_id": "tt0000002"}
    row = merged({"genres": [], "release_year": 1999}, {"tmdb_id": 603, "imdb_id": "tt0133093"}, tmdb)
    assert (row["title"], row["release_year"], row["imdb_id"]) == ("The Matrix", 1999, "tt0133093")
    row = merged({"genres": []}, {"tmdb_id": 603}, tmdb)
    assert (row["title"], row["release_year"], row["imdb_id"]) == ("The Matrix", 1998, "tt0000002")
