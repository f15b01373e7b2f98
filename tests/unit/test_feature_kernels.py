"""The compiled loops of the feature blocks agree with the plain formulas of docs/features.md."""

import numpy as np
import pytest

from movierank_core.data.timestamps import DAY_SECONDS, YEAR_SECONDS
from movierank_core.features.blocks.distance import era_shares, fill_ages, fill_distances
from movierank_core.features.blocks.genre import genre_tastes, match_genres
from movierank_core.features.blocks.language import language_shares
from movierank_core.features.blocks.movie import take_facts
from movierank_core.features.blocks.people import director_preferences
from movierank_core.features.blocks.sources import fill_added_log_ranks, fill_log_ranks, standardise
from movierank_core.features.request import deviation_of, mean_of
from movierank_core.kernels.sparse_rows import SparseRows

RNG = np.random.default_rng(3)


def genres_by_movie() -> tuple[np.ndarray, SparseRows]:
    """Forty movies of six genres, as a table of bits and as lists; the first has none."""
    has_genre = RNG.random((40, 6)) < 0.3
    has_genre[0] = False
    rows, numbers = np.nonzero(has_genre)
    return has_genre, SparseRows.from_triples(rows, numbers, np.ones(len(rows)), 40)


def test_genres_match_by_cosine_mean_and_least() -> None:
    has_genre, genres = genres_by_movie()
    lengths = np.sqrt(np.maximum(has_genre.sum(axis=1), 1))
    tastes = RNG.normal(size=(4, 6)).astype(np.float32)
    rows = RNG.permutation(40)
    out = np.empty((4, 40), np.float32)
    match_genres(rows, genres.offsets, genres.indices, tastes, out)
    np.testing.assert_allclose(out[0], (has_genre / lengths[:, None])[rows] @ tastes[2], atol=1e-6)
    np.testing.assert_allclose(out[3], (has_genre / lengths[:, None])[rows] @ tastes[3], atol=1e-6)
    for candidate, row in enumerate(rows):
        of_movie = tastes[1][has_genre[row]]
        assert out[1, candidate] == pytest.approx(of_movie.mean() if len(of_movie) else 0, abs=1e-6)
        assert out[2, candidate] == pytest.approx(of_movie.min() if len(of_movie) else 0, abs=1e-6)


def test_tastes_are_shares_shrunken_ratings_and_directions() -> None:
    has_genre, genres = genres_by_movie()
    history = np.array([0, 3, 3, 8, 11, 17, 30])
    centred = RNG.normal(size=len(history)).astype(np.float32)
    out = np.full((4, 6), np.nan, np.float32)
    genre_tastes(history, centred, genres.offsets, genres.indices, out)
    seen = has_genre[history]
    np.testing.assert_allclose(out[0], seen.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(out[1], centred @ seen / (seen.sum(axis=0) + 3), atol=1e-6)
    unit = seen / np.sqrt(np.maximum(seen.sum(axis=1), 1))[:, None]
    for found, movies in ((out[2], unit), (out[3], unit[-5:])):
        np.testing.assert_allclose(found, movies.sum(axis=0) / np.linalg.norm(movies.sum(axis=0)), atol=1e-6)
    genre_tastes(history[:0], centred[:0], genres.offsets, genres.indices, out)
    assert not out.any()


def test_scores_are_standardised_and_ranked_among_the_fused() -> None:
    scores = RNG.integers(-3, 4, (4, 60)).astype(np.float32) * np.float32(0.37)
    scores[0, :9] = -0.0
    scores[3] = 0.7  # Equal scores; in single precision they differ from their own mean.
    fused = scores[:, :50]
    out, keys = np.full((9, 60), -99, np.float32), np.empty((4, 50), np.uint64)
    features = np.array([2, 0, 6, 4])  # Sources in another order than the registered ones.
    standardise(scores, 50, features, out, keys)
    z = out[features]
    mean, deviation = fused.mean(axis=1, dtype=np.float64), fused.std(axis=1, dtype=np.float64)
    np.testing.assert_allclose(z[:3], (scores[:3] - mean[:3, None]) / deviation[:3, None], atol=1e-6)
    assert not z[3].any()
    places = (np.sort(keys, axis=1) & np.uint64(0xFFFFFFFF)).astype(np.int64)
    np.testing.assert_array_equal(places, np.argsort(-fused, axis=1, kind="stable"))
    fill_log_ranks(np.sort(keys, axis=1), np.log(np.arange(1, 51)).astype(np.float32), features, out)
    fill_added_log_ranks(scores, 50, features, out)
    order = np.argsort(np.argsort(-fused, axis=1, kind="stable"), axis=1)
    np.testing.assert_allclose(out[features + 1][:, :50], np.log(order + 1), atol=1e-6)
    before = (fused[:, None, :] >= scores[:, 50:, None]).sum(axis=2)
    np.testing.assert_allclose(out[features + 1][:, 50:], np.log(before + 1), atol=1e-6)
    assert (out[8] == -99).all()


def test_means_and_deviations_are_of_what_is_known() -> None:
    values = np.array([4, np.nan, 2, 1, np.nan], np.float32)
    assert mean_of(values, 1.0) == pytest.approx(7 / 3)
    assert mean_of(values, 0.5) == pytest.approx((4 * 0.0625 + 2 * 0.25 + 1 * 0.5) / 0.8125)
    assert deviation_of(values) == (pytest.approx(np.std([4, 2, 1])), 3)
    for unknown in (values[:0], values[1:2]):
        assert np.isnan(mean_of(unknown, 0.7))
        assert np.isnan(deviation_of(unknown)[0])


def test_languages_are_shares_of_those_known() -> None:
    out = np.empty(4, np.float32)
    language_shares(np.array([0, 1, 2, -1]), np.array([0, 0, 1, -1]), 3, out)
    np.testing.assert_allclose(out, [2 / 3, 1 / 3, 0, np.nan], rtol=1e-6)
    language_shares(np.array([0, 1, 2, -1]), np.array([-1]), 3, out)
    np.testing.assert_array_equal(out, [0, 0, 0, np.nan])


def test_facts_are_those_of_the_rows() -> None:
    facts = np.arange(12, dtype=np.float32).reshape(4, 3)
    out = np.empty((3, 2), np.float32)
    take_facts(facts, np.array([3, 1]), out)
    np.testing.assert_array_equal(out, [[9, 3], [10, 4], [11, 5]])


def test_distances_are_differences_and_nan_where_a_fact_is_unknown() -> None:
    facts = np.array([[1990, 5, 4], [2010, 2, 3], [np.nan] * 3], np.float32)
    out = np.full((9, 3), -1, np.float32)
    fill_distances(facts, *np.array([2000, 3, 3.5, 1995, 4, 3.75], np.float32), out)
    latest = 38 * YEAR_SECONDS  # 2008.
    fill_ages(facts[:, 0], latest + np.array([-10, 10, np.nan]) * DAY_SECONDS, latest, out)
    expected = [
        [-1, -1, -1],  # era_share has its own kernel.
        [10, 10, np.nan],
        [2, -1, np.nan],
        [0.5, -0.5, np.nan],
        [5, 15, np.nan],
        [1, -2, np.nan],
        [0.25, -0.75, np.nan],
        [18, -2, np.nan],
        [np.log(11), -np.log(11), np.nan],
    ]
    np.testing.assert_allclose(out, expected, rtol=1e-6)


def test_an_era_is_a_gaussian_around_the_year() -> None:
    history = RNG.integers(1930, 2020, 60).astype(np.float32)
    history[::7] = np.nan
    years = np.array([1900, 1950, 1987, 2024, np.nan, 3000], np.float32)
    out = np.empty(len(years))
    era_shares(years, history, out)
    known = history[~np.isnan(history)].astype(np.float64)
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
    pairs = pairs[pairs[:, 0] != 5]  # A movie without a known director.
    directors = SparseRows.from_triples(pairs[:, 0], pairs[:, 1], np.ones(len(pairs)), 30)
    history, centred = np.array([1, 5, 9, 20]), np.array([0.5, 1.0, -1.5, 0.0], np.float32)
    rows = np.arange(30)
    out = np.empty(30)
    director_preferences(rows, history, centred, directors.offsets, directors.indices, 12, out)
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
    director_preferences(rows, history[:0], centred[:0], directors.offsets, directors.indices, 12, out)
    assert not out.any()
