"""Finding a title while somebody types it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from movierank_serving.catalogue.edit_distance import distances
from movierank_serving.catalogue.title_search import TitleSearch, _letters_of, fold

TITLES = [
    "The Matrix",
    "The Matrix Reloaded",
    "Amélie",
    "The Godfather",
    "Godfather",
    "Godzilla",
    "WALL·E",
    "Schindler's List",
    "Star Wars",
    "Star Trek",
    "Les Misérables",
    "Les Misérables",
    "Seven (a.k.a. Se7en)",
]
OTHER: list[str | None] = [None, None, "Le Fabuleux Destin d'Amélie Poulain", *[None] * 10]
YEARS = [1999, 2003, 2001, 1972, 1991, 1998, 2008, 1993, 1977, 2009, 1998, 2012, 1995]
POPULARITY = np.linspace(1, 0, len(TITLES))
SEARCH = TitleSearch(TITLES, OTHER, list(YEARS), POPULARITY)


def found(query: str, limit: int = 10) -> list[str]:
    return [TITLES[row] for row in SEARCH.search(query, limit)]


def test_an_exact_title_comes_first() -> None:
    assert found("godzilla") == ["Godzilla"]
    assert found("the matrix") == ["The Matrix", "The Matrix Reloaded"]


def test_nothing_is_left_to_compile_for_a_request() -> None:
    compiled = list(distances.signatures)
    assert compiled
    assert found("godfther") == ["Godfather", "The Godfather"]
    assert distances.signatures == compiled


def test_an_article_may_be_left_out() -> None:
    assert found("godfather") == ["Godfather", "The Godfather"]
    assert found("matrix")[0] == "The Matrix"


def test_the_beginning_of_the_last_word_is_enough() -> None:
    assert found("godz") == ["Godzilla"]
    assert found("the matrix rel") == ["The Matrix Reloaded"]


def test_words_may_come_in_any_order() -> None:
    assert found("reloaded matrix") == ["The Matrix Reloaded"]


@pytest.mark.parametrize("query", ["amelie", "Amélie", "AMELIE", "  amélie! ", "ame\u0301lie"])
def test_accents_and_case_do_not_matter(query: str) -> None:
    assert found(query) == ["Amélie"]


def test_the_original_title_is_found() -> None:
    assert found("fabuleux destin") == ["Amélie"]


def test_punctuation_does_not_matter() -> None:
    assert found("schindlers list") == ["Schindler's List"]
    assert found("wall-e") == ["WALL·E"]
    assert found("se7en") == ["Seven (a.k.a. Se7en)"]


@pytest.mark.parametrize(
    ("query", "title"),
    [
        ("matrx", "The Matrix"),  # left out
        ("godzillla", "Godzilla"),  # doubled
        ("godzilka", "Godzilla"),  # mistaken
        ("godizlla", "Godzilla"),  # swapped
        ("shcindlers lsit", "Schindler's List"),
        ("schind1ers", "Schindler's List"),
        ("relaoded", "The Matrix Reloaded"),
    ],
)
def test_a_typing_error_is_forgiven(query: str, title: str) -> None:
    assert found(query)[0] == title


def test_a_word_that_exists_may_still_be_a_typing_error_where_nothing_else_is_found() -> None:
    assert found("star lest") == []
    assert found("schindlers lits") == ["Schindler's List"]


def test_a_year_tells_films_of_one_title_apart() -> None:
    rows = SEARCH.search("les miserables 2012", 10)
    assert [YEARS[row] for row in rows] == [2012]


def test_among_equal_matches_the_more_popular_comes_first() -> None:
    assert found("star") == ["Star Wars", "Star Trek"]


def test_every_word_must_be_found() -> None:
    assert found("matrix godzilla") == []


def test_an_empty_query_gives_the_most_popular() -> None:
    assert found("", 2) == ["The Matrix", "The Matrix Reloaded"]
    assert found(" .,- ", 1) == ["The Matrix"]


def test_limit_is_honoured() -> None:
    assert len(found("the", 1)) == 1


def test_an_empty_catalogue_can_be_searched() -> None:
    empty = TitleSearch([], [], [], np.zeros(0))
    assert [empty.search(query, 5) for query in ("", "a", "matrix")] == [[], [], []]


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=60))
def test_no_query_fails(query: str) -> None:
    assert len(SEARCH.search(query, 3)) <= 3


def brute_force(a: str, b: str) -> int:
    """Optimal string alignment, straight from the definition."""
    if not a or not b:
        return len(a) + len(b)
    best = min(
        brute_force(a[:-1], b) + 1, brute_force(a, b[:-1]) + 1, brute_force(a[:-1], b[:-1]) + (a[-1] != b[-1])
    )
    if len(a) > 1 and len(b) > 1 and a[-1] == b[-2] and a[-2] == b[-1]:
        best = min(best, brute_force(a[:-2], b[:-2]) + 1)
    return best


@settings(max_examples=150, deadline=None)
@given(st.text("abc", min_size=1, max_size=5), st.text("abc", min_size=1, max_size=5), st.integers(1, 2))
def test_the_distance_is_that_of_the_definition(a: str, b: str, limit: int) -> None:
    letters, lengths = _letters_of([a, b])
    which = np.array([1])
    whole = distances(letters[0, : lengths[0]], letters, lengths, which, limit, False)[0]
    assert whole == min(brute_force(a, b), limit + 1)
    prefix = distances(letters[0, : lengths[0]], letters, lengths, which, limit, True)[0]
    assert prefix == min(*(brute_force(a, b[:n]) for n in range(len(b) + 1)), limit + 1)


def test_folding_keeps_letters_of_other_scripts() -> None:
    assert fold("Москва слезам") == "москва слезам"
    assert fold("Æon Flux & Straße") == "aeon flux and strasse"


def test_a_title_with_vowel_signs_is_found_by_a_part_of_it() -> None:
    titles = ["तारे ज़मीन पर", "मुग़ल-ए-आज़म", "Amélie"]
    search = TitleSearch(titles, [None] * 3, [2007, 1960, 2001], np.linspace(1, 0, 3))
    assert [titles[row] for row in search.search("ज़मीन", 5)][:1] == [titles[0]]
    assert [titles[row] for row in search.search("मुग़", 5)][:1] == [titles[1]]
    assert fold("तारे") == "तारे"
    assert fold("Amélie!") == "amelie"
