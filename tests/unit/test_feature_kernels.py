"""The compiled loops give what the plain formulas of docs/features.md give."""

import numpy as np
import pytest

from movierank_core.features.kernels import director_preferences, era_shares, match_genres
from movierank_core.retrieval.selection import descending
from movierank_core.retrieval.sparse_rows import SparseRows

RNG = np.random.default_rng(3)


def test_genres_match_by_cosine_mean_and_least() -> None:
    has_genre = RNG.random((40, 6)) < 0.3
    has_genre[0] = False
    n_genres = has_genre.sum(axis=1).astype(np.float32)
    genres = (has_genre / np.sqrt(np.maximum(n_genres, 1))[:, None]).astype(np.float32)
    taste, recent, preferences = (RNG.normal(size=6).astype(np.float32) for _ in range(3))
    rows = RNG.permutation(40)
    out = np.empty((4, 40), np.float32)
    match_genres(genres, rows, n_genres, taste, recent, preferences, out)
    np.testing.assert_allclose(out[0], genres[rows] @ taste, atol=1e-6)
    np.testing.assert_allclose(out[1], genres[rows] @ recent, atol=1e-6)
    for place, row in enumerate(rows):
        of_movie = preferences[has_genre[row]]
        assert out[2, place] == pytest.approx(of_movie.mean() if len(of_movie) else 0, abs=1e-6)
        assert out[3, place] == pytest.approx(of_movie.min() if len(of_movie) else 0, abs=1e-6)


def test_an_era_is_a_gaussian_around_the_year() -> None:
    history = RNG.integers(1930, 2020, 60).astype(np.float32)
    history[::7] = np.nan
    years = np.array([1900, 1950, 1987, 2024, np.nan, 3000], np.float32)
    out = np.empty(len(years))
    era_shares(years, history, out)
    known = history[~np.isnan(history)]
    expected = np.exp(-0.5 * ((years[:, None] - known) / 5.0) ** 2).mean(axis=1)
    np.testing.assert_allclose(out, expected, atol=1e-12)


@pytest.mark.parametrize("history", [[], [np.nan]])
def test_an_unknown_history_is_of_no_era(history: list[float]) -> None:
    out = np.empty(2)
    era_shares(np.array([1990, np.nan], np.float32), np.array(history, np.float32), out)
    np.testing.assert_array_equal(out, [0.0, np.nan])


def test_directors_count_with_the_ratings_of_their_movies() -> None:
    movies, people = np.repeat(np.arange(30), 2), RNG.integers(0, 12, 60)
    pairs = np.unique(np.stack([movies, people], axis=1), axis=0)
    pairs = pairs[pairs[:, 0] != 5]  # Nobody directed this one.
    directors = SparseRows.from_triples(pairs[:, 0], pairs[:, 1], np.ones(len(pairs)), 30)
    history, centred = np.array([1, 5, 9, 20]), np.array([0.5, 1.0, -1.5, 0.0], np.float32)
    rows = np.arange(30)
    out = np.empty(30)
    director_preferences(rows, history, centred, directors.offsets, directors.indices, out)
    by_hand = [
        sum(
            1.0 + liked
            for person in directors.row(row)[0]
            for seen, liked in zip(history, centred, strict=True)
            if person in directors.row(seen)[0]
        )
        for row in rows
    ]
    np.testing.assert_allclose(out, by_hand, atol=1e-6)
    director_preferences(rows, history[:0], centred[:0], directors.offsets, directors.indices, out)
    assert not out.any()


def test_descending_is_a_stable_sort_of_each_row() -> None:
    scores = RNG.integers(-3, 4, (5, 300)).astype(np.float32) * np.float32(0.37)
    scores[0, :9] = -0.0
    np.testing.assert_array_equal(descending(scores), np.argsort(-scores, axis=1, kind="stable"))
    ties = RNG.permutation(300)
    np.testing.assert_array_equal(descending(scores[1], ties), np.lexsort((ties, -scores[1])))
