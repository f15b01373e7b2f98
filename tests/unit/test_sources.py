"""The contract of candidate sources, the same for each."""

from pathlib import Path

import numpy as np
import pytest

from movierank_core.history import EVENT_TYPES, History
from movierank_core.point_in_time import to_epoch
from movierank_core.retrieval.item_to_item import ease_weights
from movierank_core.retrieval.sources import RANK_OFFSET, SOURCE_TYPES, best_rows, fuse
from movierank_core.state import RankingState, fit_state
from tests.support.world import CONFIG, World

RATING = EVENT_TYPES["rating"].code


@pytest.fixture(scope="module")
def state(world: World) -> RankingState:
    return fit_state(world.data, world.catalogue, to_epoch(world.ratings["timestamp"].max()) + 1, CONFIG)


def history_of(*pairs: tuple[int, float]) -> History:
    movie_ids, ratings = zip(*pairs, strict=True)
    return History.of_arrays(movie_ids, ratings, range(1, len(pairs) + 1), [RATING] * len(pairs))


THRILLERS = history_of((20, 5.0), (40, 4.5), (60, 5.0), (10, 1.0))


@pytest.mark.parametrize("name", SOURCE_TYPES)
class TestContract:
    def test_an_empty_history_is_scored_and_zero_where_the_source_is_personal(
        self, name: str, state: RankingState, world: World
    ) -> None:
        scores = state.sources[name].scores(state.query(History.empty(), world.catalogue, 10))
        assert scores.shape == (len(world.catalogue),)
        assert scores.dtype == np.float32
        assert bool(np.isfinite(scores).all())
        assert scores.any() != SOURCE_TYPES[name].is_personal

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
        assert differ == SOURCE_TYPES[name].is_personal

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
        scores = state.sources[name].scores(query)
        eligible = np.ones(len(world.catalogue), np.bool_)
        eligible[query.excluded] = False
        assert np.mean(best_rows(scores, eligible, 10) % 2) >= 0.8, name


def test_ease_weights_agree_with_the_closed_form() -> None:
    rng = np.random.default_rng(3)
    events = (rng.random((60, 12)) < 0.4).astype(np.float64)
    gram = events.T @ events
    inverse = np.linalg.inv(gram + 7.0 * np.eye(12))
    expected = -inverse / np.diag(inverse)
    np.fill_diagonal(expected, 0.0)
    np.testing.assert_allclose(ease_weights(gram.astype(np.float32), 7.0), expected, atol=1e-5)


def test_als_fold_in_minimises_the_fitted_objective(state: RankingState, world: World) -> None:
    als = state.sources["als"]
    query = state.query(THRILLERS, world.catalogue, 10)
    vector = als.fold_in(query).astype(np.float64)  # type: ignore[attr-defined]

    def loss(user: np.ndarray) -> float:
        confidence = np.ones(len(als.movies))  # type: ignore[attr-defined]
        observed = als._position[query.rows]  # type: ignore[attr-defined]
        confidence[observed] += als.alpha * np.maximum(0.1, 1 + query.centred.astype(np.float64) / 2)  # type: ignore[attr-defined]
        wanted = np.zeros(len(confidence))
        wanted[observed] = 1.0
        error = wanted - als.factors.astype(np.float64) @ user  # type: ignore[attr-defined]
        return float((confidence * error**2).sum() + als.l2 * (user**2).sum())  # type: ignore[attr-defined]

    rng = np.random.default_rng(0)
    assert all(loss(vector) <= loss(vector + rng.normal(0, 0.01, len(vector))) for _ in range(20))


def test_fusion_sums_reciprocal_ranks_and_breaks_ties_by_row() -> None:
    rows, fused = fuse({"a": np.array([2, 1]), "b": np.array([1, 3])}, 5, 3)
    assert rows.tolist() == [1, 2, 3]
    expected = [1 / (RANK_OFFSET + 2) + 1 / (RANK_OFFSET + 1), 1 / (RANK_OFFSET + 1), 1 / (RANK_OFFSET + 2)]
    np.testing.assert_allclose(fused, expected, rtol=1e-6)


def test_best_rows_are_positive_eligible_and_descending() -> None:
    scores = np.array([0.5, 0.0, 2.0, -1.0, 2.0, 1.0], np.float32)
    eligible = np.array([True, True, True, True, True, False])
    assert best_rows(scores, eligible, 10).tolist() == [2, 4, 0]
    assert best_rows(scores, eligible, 2).tolist() == [2, 4]
