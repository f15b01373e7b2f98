"""The contract of candidate sources, the same for each."""

from pathlib import Path

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from movierank_core.data.history import EVENT_TYPES, History
from movierank_core.data.timestamps import to_epoch
from movierank_core.kernels.top_k import best_rows
from movierank_core.recommender.state import RankingState, fit_state
from movierank_core.retrieval.fusion import RANK_OFFSET, fuse, proposals_of
from movierank_core.retrieval.registry import source_types
from movierank_core.retrieval.sources.content import Content
from movierank_core.retrieval.sources.ease import ease_weights
from movierank_core.retrieval.sources.item_to_item import ItemToItem
from movierank_core.retrieval.sources.sequence import NextItem, Transitions
from tests.support.world import CONFIG, World

RATING = EVENT_TYPES["rating"].code


@pytest.fixture(scope="module")
def state(world: World) -> RankingState:
    return fit_state(world.data, world.catalogue, to_epoch(world.ratings["timestamp"].max()) + 1, CONFIG)


def history_of(*pairs: tuple[int, float]) -> History:
    movie_ids, ratings = zip(*pairs, strict=True)
    return History.of_arrays(movie_ids, ratings, range(1, len(pairs) + 1), [RATING] * len(pairs))


THRILLERS = history_of((20, 5.0), (40, 4.5), (60, 5.0), (10, 1.0))


@pytest.mark.parametrize("name", source_types())
class TestContract:
    def test_an_empty_history_is_scored_and_zero_where_the_source_is_personal(
        self, name: str, state: RankingState, world: World
    ) -> None:
        source = state.sources[name]
        scores = source.scores(state.query(History.empty(), world.catalogue, 10))
        assert scores.shape == (len(source.support),)
        assert scores.dtype == np.float32
        assert bool(np.isfinite(scores).all())
        assert scores.any() != source_types()[name].is_personal

    def test_a_history_of_unknown_movies_is_an_empty_history(
        self, name: str, state: RankingState, world: World
    ) -> None:
        source = state.sources[name]
        unknown = state.query(history_of((7, 5.0), (11, 4.0)), world.catalogue, 10)
        empty = state.query(History.empty(), world.catalogue, 10)
        np.testing.assert_array_equal(source.scores(unknown), source.scores(empty))

    def test_scores_survive_a_round_trip_to_disk_exactly(
        self, name: str, state: RankingState, world: World, tmp_path: Path
    ) -> None:
        state.save(tmp_path)
        query = state.query(THRILLERS, world.catalogue, 10)
        again = RankingState.load(tmp_path).sources[name]
        np.testing.assert_array_equal(again.scores(query), state.sources[name].scores(query))

    def test_personal_sources_tell_tastes_apart(self, name: str, state: RankingState, world: World) -> None:
        comedies = history_of((10, 5.0), (30, 4.5), (50, 5.0), (20, 1.0))
        source = state.sources[name]
        differ = not np.array_equal(
            source.scores(state.query(THRILLERS, world.catalogue, 10)),
            source.scores(state.query(comedies, world.catalogue, 10)),
        )
        assert differ == source_types()[name].is_personal

    def test_its_proposals_are_the_best_of_the_catalogue(
        self, name: str, state: RankingState, world: World
    ) -> None:
        source = state.sources[name]
        scores = source.scores(state.query(THRILLERS, world.catalogue, 10))
        n_movies = len(world.catalogue)
        eligible = np.arange(n_movies) % 5 > 0
        everywhere = source.support.everywhere(scores)
        np.testing.assert_array_equal(source.support.at(scores, np.arange(n_movies)), everywhere)
        proposed = proposals_of(source, scores, eligible, 30)
        np.testing.assert_array_equal(proposed, best_rows(everywhere, np.arange(n_movies), eligible, 30))
        assert len(proposed) == 30

    def test_without_events_nothing_is_proposed(self, name: str, world: World) -> None:
        empty = fit_state(world.data, world.catalogue, 0, CONFIG)
        scores = empty.sources[name].scores(empty.query(THRILLERS, world.catalogue, 10))
        assert bool(np.isfinite(scores).all())
        assert name == "content" or not scores.any()


def test_seen_movies_are_no_candidates(state: RankingState, world: World) -> None:
    query = state.query(THRILLERS, world.catalogue, 10)
    eligible = np.ones(len(world.catalogue), np.bool_)
    eligible[query.excluded] = False
    found = state.candidates(query, eligible)
    assert not set(world.catalogue.movie_ids[found.rows]) & {10, 20, 40, 60}


def test_the_collaborative_sources_find_the_camp(state: RankingState, world: World) -> None:
    query = state.query(THRILLERS, world.catalogue, 10)
    for name in ("ease_likes", "item_neighbours", "als"):
        source = state.sources[name]
        eligible = np.ones(len(world.catalogue), np.bool_)
        eligible[query.excluded] = False
        assert np.mean(proposals_of(source, source.scores(query), eligible, 10) % 2) >= 0.8, name


def test_ease_weights_agree_with_the_closed_form() -> None:
    rng = np.random.default_rng(3)
    events = (rng.random((60, 12)) < 0.4).astype(np.float64)
    gram = events.T @ events
    inverse = np.linalg.inv(gram + 7.0 * np.eye(12))
    expected = -inverse / np.diag(inverse)
    np.fill_diagonal(expected, 0.0)
    np.testing.assert_allclose(ease_weights(gram.astype(np.float32), 7.0), expected, atol=1e-5)


def dense(source: ItemToItem) -> NDArray[np.float64]:
    n_movies = len(source.neighbours)
    out = np.zeros((n_movies, n_movies))
    for row in range(n_movies):
        others, values = source.neighbours_of(row)
        out[row, others] = values
    return out


def sequences(world: World) -> list[NDArray[np.int64]]:
    """Catalogue rows in the order in which each user rated them."""
    data = world.data
    return [
        data.rows[data.offsets[user] : data.offsets[user + 1]].astype(np.int64)
        for user in range(len(data.user_ids))
    ]


def test_next_item_weights_agree_with_least_squares_on_every_history(world: World) -> None:
    config = msgspec.structs.replace(CONFIG, min_movie_events=1)
    n = len(world.catalogue)
    gram, targets = np.zeros((n, n)), np.zeros((n, n))
    for sequence in sequences(world):
        history = np.zeros(n)
        for place, row in enumerate(sequence):
            if place:
                gram += np.outer(history, history)
                targets[:, row] += history
            history *= NextItem.DECAY
            history[row] += 1.0
    l2 = config.next_item_l2 * np.sqrt(len(world.data) / 100_000)
    expected = np.linalg.solve(gram + l2 * np.eye(n), targets)
    np.testing.assert_allclose(dense(NextItem.fit(world.data, n, config)), expected, rtol=1e-3, atol=1e-5)


def test_transitions_are_counted_forwards_with_decaying_weight(world: World) -> None:
    n = len(world.catalogue)
    config = msgspec.structs.replace(CONFIG, min_movie_events=1)
    counts = np.zeros((n, n))
    for sequence in sequences(world):
        for place, row in enumerate(sequence):
            for lag in range(1, min(config.transition_lags, place) + 1):
                counts[sequence[place - lag], row] += config.transition_lag_decay ** (lag - 1)
    popularity = np.bincount(world.data.rows, minlength=n) / len(world.data)
    with np.errstate(invalid="ignore", divide="ignore"):
        expected = np.log1p(np.where(counts > 0, counts / (config.transition_smoothing * popularity), 0))
    np.fill_diagonal(expected, 0.0)
    np.testing.assert_allclose(dense(Transitions.fit(world.data, n, config)), expected, rtol=1e-4, atol=1e-6)


def test_user_neighbours_are_all_users_weighted_by_what_they_share(state: RankingState, world: World) -> None:
    """Against user-based collaborative filtering, user by user."""
    query = state.query(THRILLERS, world.catalogue, 10)
    viewers = np.maximum(np.bincount(world.data.rows, minlength=len(world.catalogue)), 1)
    expected = np.zeros(len(world.catalogue))
    for sequence in sequences(world):
        shared = np.isin(query.rows, sequence) / np.sqrt(viewers[query.rows]) / np.sqrt(len(sequence))
        for row in sequence:
            # A movie is no neighbour of itself.
            expected[row] += shared[query.rows != row].sum() / np.sqrt(viewers[row])
    source = state.sources["user_neighbours"]
    scores = source.support.everywhere(source.scores(query))
    known = np.bincount(world.data.rows, minlength=len(world.catalogue)) >= CONFIG.min_movie_events
    np.testing.assert_allclose(scores[known], expected[known], rtol=1e-4, atol=1e-6)


def test_the_latest_movie_counts_most_for_the_sources_that_know_an_order(
    state: RankingState, world: World
) -> None:
    query = state.query(THRILLERS, world.catalogue, 10)
    for name in ("ease_recent", "transitions", "next_item"):
        weights = state.sources[name].history_weights(query)  # type: ignore[attr-defined]
        assert weights[-1] == 1.0
        assert bool((np.diff(weights) > 0).all()), name


def test_content_neighbours_have_the_cosine_of_their_descriptions(world: World) -> None:
    neighbours = dense(Content.fit(world.catalogue, CONFIG))
    np.testing.assert_allclose(neighbours, neighbours.T, atol=1e-6)
    assert float(neighbours.max()) <= 1.0 + 1e-6
    genres = world.catalogue.frame["genres"].to_list()
    closest = int(np.argmax(neighbours[0]))
    assert set(genres[0]) & set(genres[closest])


def test_a_movie_that_nobody_rated_is_found_by_what_it_is(world: World) -> None:
    quiet = world.data.select(world.data.rows != 40)
    found = fit_state(quiet, world.catalogue, 2**40, CONFIG)
    query = found.query(THRILLERS, world.catalogue, 10)
    scoring = {
        name
        for name, source in found.sources.items()
        if source.support.everywhere(source.scores(query))[40] > 0
    }
    assert scoring == {"content"}


def test_als_fold_in_minimises_the_fitted_objective(state: RankingState, world: World) -> None:
    als = state.sources["als"]
    query = state.query(THRILLERS, world.catalogue, 10)
    vector = als.fold_in(query).astype(np.float64)  # type: ignore[attr-defined]

    def loss(user: np.ndarray) -> float:
        confidence = np.ones(len(als.support))
        observed = als.support.columns[query.rows]
        confidence[observed] += als.alpha * np.maximum(0.1, 1 + query.centred.astype(np.float64) / 2)  # type: ignore[attr-defined]
        wanted = np.zeros(len(confidence))
        wanted[observed] = 1.0
        error = wanted - als.factors.astype(np.float64) @ user  # type: ignore[attr-defined]
        return float((confidence * error**2).sum() + als.l2 * (user**2).sum())  # type: ignore[attr-defined]

    rng = np.random.default_rng(0)
    assert all(loss(vector) <= loss(vector + rng.normal(0, 0.01, len(vector))) for _ in range(20))


def test_fusion_sums_reciprocal_ranks_and_breaks_ties_by_row() -> None:
    rows, fused, n_sources = fuse({"a": np.array([2, 1]), "b": np.array([1, 3])}, {}, 3)
    assert rows.tolist() == [1, 2, 3]
    assert n_sources.tolist() == [2, 1, 1]
    expected = [1 / (RANK_OFFSET + 2) + 1 / (RANK_OFFSET + 1), 1 / (RANK_OFFSET + 1), 1 / (RANK_OFFSET + 2)]
    np.testing.assert_allclose(fused, expected, rtol=1e-6)


def test_best_rows_are_positive_eligible_and_descending() -> None:
    scores = np.array([0.5, 0.0, 2.0, -1.0, 2.0, 1.0], np.float32)
    eligible = np.array([True, True, True, True, True, False])
    assert best_rows(scores, np.arange(6), eligible, 10).tolist() == [2, 4, 0]
    assert best_rows(scores, np.arange(6), eligible, 2).tolist() == [2, 4]
    assert best_rows(scores[2:], np.arange(2, 6), eligible, 10).tolist() == [2, 4]
