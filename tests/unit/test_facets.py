"""Filters read arrays that are made at load, and mean what the table says."""

from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pytest

from movierank_core.data.catalogue import Catalogue
from movierank_core.data.schema import CATALOGUE
from movierank_core.reranking.filters import Filters, admitted

ROWS: list[dict[str, Any]] = [
    {"movie_id": 1, "genres": ["Drama", "Film-Noir"], "release_year": 1999, "original_language": "en"},
    {"movie_id": 2, "genres": ["drama"], "release_year": None, "runtime_minutes": 90},
    {"movie_id": 3, "genres": None, "release_year": 2001, "original_language": "fr"},
    {"movie_id": 4, "genres": [], "release_year": 2002, "runtime_minutes": 200},
    {"movie_id": 5, "genres": ["Western"], "release_year": 2000, "original_language": "EN"},
]
N_EVENTS = np.array([0, 5, 10, 15, 20], np.float32)


def catalogue_of(rows: list[dict[str, Any]]) -> Catalogue:
    filled = [{name: row.get(name, "x" if name == "title" else None) for name in CATALOGUE} for row in rows]
    return Catalogue(pl.DataFrame(filled, schema=CATALOGUE))


@pytest.mark.parametrize(
    ("filters", "movie_ids"),
    [
        ({}, [1, 2, 3, 4, 5]),
        ({"genres_any": ["DRAMA", "western"]}, [1, 2, 5]),
        ({"genres_any": ["musical"]}, []),
        ({"genres_any": []}, []),
        ({"genres_all": ["drama", "film-noir", "Drama"]}, [1]),
        ({"genres_all": ["drama", "musical"]}, []),
        ({"genres_all": []}, [1, 2, 4, 5]),
        ({"genres_none": ["drama", "musical"]}, [4, 5]),
        ({"genres_none": []}, [1, 2, 4, 5]),
        ({"year_min": 2000}, [3, 4, 5]),
        ({"year_max": 2000}, [1, 5]),
        ({"runtime_min": 90, "runtime_max": 100}, [2]),
        ({"languages": ["En", "de"]}, [1, 5]),
        ({"languages": []}, []),
        ({"min_votes": 10, "max_votes": 15}, [3, 4]),
        ({"exclude_movie_ids": [2, 4, 99]}, [1, 3, 5]),
        ({"exclude_movie_ids": []}, [1, 2, 3, 4, 5]),
    ],
)
def test_a_movie_with_an_unknown_value_fails_its_filter(filters: Any, movie_ids: list[int]) -> None:
    catalogue = catalogue_of(ROWS)
    found = catalogue.movie_ids[admitted(Filters(**filters), catalogue, N_EVENTS)]
    assert found.tolist() == movie_ids


def test_a_request_with_filters_does_not_read_the_table() -> None:
    catalogue = catalogue_of(ROWS)
    assert catalogue.facets.genre_bits
    del catalogue.frame
    filters = Filters(
        genres_any=["drama"], genres_none=["western"], year_min=1990, languages=["en"], exclude_movie_ids=[2]
    )
    assert catalogue.movie_ids[admitted(filters, catalogue, N_EVENTS)].tolist() == [1]


def test_more_genres_than_bits_of_a_word_are_told_apart() -> None:
    rng = np.random.default_rng(5)
    names = [f"genre {number}" for number in range(150)]
    rows = [
        {"movie_id": number, "genres": rng.choice(names, rng.integers(0, 6), replace=False).tolist()}
        for number in range(300)
    ]
    catalogue = catalogue_of(rows)
    genres = {row["movie_id"]: set(row["genres"]) for row in rows}
    rules: list[tuple[str, Callable[[set[str], set[str]], bool]]] = [
        ("genres_any", lambda wanted, of_movie: bool(wanted & of_movie)),
        ("genres_all", lambda wanted, of_movie: wanted <= of_movie),
        ("genres_none", lambda wanted, of_movie: not wanted & of_movie),
    ]
    for wanted in ({"genre 149"}, {"genre 1", "genre 70"}, set(names[:80])):
        for field, passes in rules:
            found = admitted(Filters(**{field: sorted(wanted)}), catalogue, np.zeros(300, np.float32))
            expected = [movie_id for movie_id, of_movie in genres.items() if passes(wanted, of_movie)]
            assert catalogue.movie_ids[found].tolist() == expected
