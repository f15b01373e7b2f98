"""A dislike pushes away what resembles it, in the next answer."""

import dataclasses
from collections.abc import Mapping

import numpy as np
import pytest

from movierank_core.data.history import EVENT_TYPES, Event, History
from movierank_core.features.registry import feature_list
from movierank_core.ranker.score_calibration import ScoreCalibration
from movierank_core.ranker.tree_ensemble import TreeEnsemble
from movierank_core.recommender.model import RankingModel
from movierank_core.recommender.state import RankingState, fit_state
from movierank_core.reranking.dislikes import (
    MIN_DROP,
    DislikeRule,
    dislike_drops,
    push_down,
    similar_films,
)
from movierank_core.retrieval.query import Query
from movierank_core.retrieval.source import Source
from tests.support.planted import BY_HAND
from tests.support.simulated import CONFIG, SimulatedRatings

LATE = 2**40
NOW = 100
"""Seconds after the first event of a hand-made history."""


class OneNeighbourhood:
    """Row 0 resembles rows 1 to 12, the first ones most."""

    is_similarity = True

    def similar_to(self, row: int) -> tuple[np.ndarray, np.ndarray]:
        if row:
            return np.zeros(0, np.int64), np.zeros(0, np.float32)
        return np.arange(1, 13), np.linspace(0.96, 0.08, 12).astype(np.float32)


RULE = DislikeRule(drop=40.0, decay=0.6, half_life_days=7.0)
HAND: Mapping[str, Source] = {"hand": OneNeighbourhood()}  # type: ignore[dict-item]


@pytest.fixture(scope="module")
def state(simulated: SimulatedRatings) -> RankingState:
    return fit_state(simulated.data, simulated.catalogue, LATE, CONFIG)


def query_of(state: RankingState, simulated: SimulatedRatings, *events: tuple[int, float | str]) -> Query:
    """Events by row, one second apart; a number is a rating, a word another type of event."""
    history = History.from_events(
        Event(10 * (row + 1), "rating", second, value)
        if isinstance(value, float)
        else Event(10 * (row + 1), value, second)
        for second, (row, value) in enumerate(events, start=1)
    )
    return state.query(history, simulated.catalogue, NOW)


def test_ten_films_have_the_whole_drop_and_less_similar_ones_a_part(
    state: RankingState, simulated: SimulatedRatings
) -> None:
    query = query_of(state, simulated, (30, 4.0), (0, 1.5))
    drops = dislike_drops(query, np.array([40, 12, 11, 10, 1]), HAND, RULE)
    assert drops == pytest.approx([0, RULE.drop / 3, 2 * RULE.drop / 3, RULE.drop, RULE.drop], rel=1e-3)


def test_a_dislike_fades_with_later_events_and_only_a_dislike_counts(
    state: RankingState, simulated: SimulatedRatings
) -> None:
    def drop(*events: tuple[int, float | str]) -> float:
        query = query_of(state, simulated, *events)
        return float(dislike_drops(query, np.array([1]), HAND, RULE)[0])

    assert drop((0, 2.0)) == drop((0, "dislike")) == pytest.approx(RULE.drop, rel=1e-3)
    assert drop((0, 2.0), (30, 5.0)) == pytest.approx(RULE.drop * RULE.decay, rel=1e-3)
    assert drop((0, 2.0), (30, "not_interested")) == pytest.approx(RULE.drop, rel=1e-3), (
        "a hidden movie is not an event here"
    )
    for value in (2.5, 5.0, "like", "click", "seen", "not_interested"):
        assert drop((0, value)) == 0
    old = dataclasses.replace(query_of(state, simulated, (0, 2.0)), as_of=1 + 7 * 86_400)
    assert dislike_drops(old, np.array([1]), HAND, RULE)[0] == pytest.approx(RULE.drop / 2, rel=1e-3)
    n_felt = int(np.log(MIN_DROP / RULE.drop) / np.log(RULE.decay))
    later = [(row, 3.0) for row in range(20, 60)]
    assert drop((0, 1.0), *later[:n_felt]) > 0
    assert drop((0, 1.0), *later[: n_felt + 1]) == 0


def test_films_are_sorted_by_rank_plus_drop() -> None:
    order = np.array([2, 0, 1, 3])
    assert push_down(order, np.zeros(4)).tolist() == [2, 0, 1, 3]
    assert push_down(order, np.array([0.0, 0.0, 2.5, 0.0])).tolist() == [0, 1, 2, 3]
    assert push_down(order, np.array([0.0, 0.0, 2.0, 0.0])).tolist() == [0, 2, 1, 3]
    assert push_down(order, np.array([9.0, 0.0, 99.0, 0.0])).tolist() == [1, 3, 0, 2]


def test_similar_films_are_those_of_audience_and_content(
    state: RankingState, simulated: SimulatedRatings
) -> None:
    similar = similar_films(4, state.sources)
    expected = np.zeros(len(simulated.catalogue), np.float32)
    for source in state.sources.values():
        if source.is_similarity:
            rows, values = source.similar_to(4)
            expected[rows] += values
    everywhere = np.arange(len(expected))
    np.testing.assert_allclose(similar.of(everywhere), np.where(everywhere == 4, 0, expected), rtol=1e-6)


def test_the_next_answer_of_the_model_shows_it(state: RankingState, simulated: SimulatedRatings) -> None:
    of_ease = tuple(each for each in feature_list(without=()) if each.source == "ease_likes")[:2]
    trees = TreeEnsemble.from_text(BY_HAND)
    model = RankingModel(simulated.catalogue, state, of_ease, trees, ScoreCalibration(1.0, 0.0, 0.0))
    history = simulated.data.history(3)
    before = model.score(history, as_of=LATE)
    film = int(before.listed[0])
    movie_id = int(simulated.catalogue.movie_ids[film])
    disliked = model.score(history.then([Event(movie_id, "dislike", LATE)]), as_of=LATE + 1)
    liked = model.score(history.then([Event(movie_id, "like", LATE)]), as_of=LATE + 1)
    assert EVENT_TYPES["dislike"].rating_equivalent == 1.5
    assert disliked.drops.max() == pytest.approx(CONFIG.dislike_drop, rel=1e-3)
    assert film not in disliked.rows
    # The drops of older dislikes apply to both.
    similar = similar_films(film, state.sources)
    most = similar.rows[np.argsort(-similar.values)][:10]
    ranks = [np.flatnonzero(np.isin(scored.listed, most)).mean() for scored in (disliked, liked)]
    assert ranks[0] > ranks[1]
    plain = dataclasses.replace(disliked, drops=np.zeros(len(disliked.rows)))
    assert sorted(plain.listed.tolist()) == sorted(disliked.listed.tolist())
    assert (np.diff(disliked.probabilities) <= 0).all(), "scores stay, the order changes"


@pytest.mark.parametrize("name", ["ease_presence", "user_neighbours"])
def test_a_dislike_counts_half_where_watching_counts(
    name: str, state: RankingState, simulated: SimulatedRatings
) -> None:
    source = state.sources[name]
    plain, liked, disliked = (
        source.scores(query_of(state, simulated, (20, 5.0), (40, 4.5), *last))
        for last in ((), ((10, 4.5),), ((10, 1.5),))
    )
    assert np.abs(liked - plain).max() > 0
    np.testing.assert_allclose(disliked - plain, (liked - plain) / 2, atol=1e-6)
