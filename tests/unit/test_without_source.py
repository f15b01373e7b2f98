"""A ranker without one of its candidate sources."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from movierank_core.data.history import History
from movierank_core.features.registry import feature_list
from movierank_core.recommender.model import candidate_rows
from movierank_core.recommender.state import RankingState, fit_state
from movierank_core.retrieval.registry import source_types
from movierank_pipeline.evaluation.protocols.strong import strong_episodes
from movierank_pipeline.training.ranker import train_ranker
from movierank_pipeline.training.requests import plan_requests
from movierank_pipeline.training.state_cache import FittedStates
from movierank_pipeline.training.training_set import TrainingSet, build_training_set, training_rows
from tests.support.simulated import CONFIG, SimulatedRatings


@pytest.fixture(scope="module")
def state(simulated: SimulatedRatings) -> RankingState:
    return fit_state(simulated.data, simulated.catalogue, int(simulated.data.timestamps.max()) + 1, CONFIG)


def rows_of(simulated: SimulatedRatings, *without: str, states: FittedStates | None = None) -> TrainingSet:
    requests = plan_requests(simulated.data, simulated.catalogue, CONFIG)
    return build_training_set(
        simulated.data, requests, simulated.catalogue, CONFIG, without=without, states=states
    )


@pytest.mark.parametrize("name", source_types())
def test_a_source_without_weight_is_as_if_it_were_not_there(
    name: str, state: RankingState, simulated: SimulatedRatings
) -> None:
    features = feature_list(without=("tmdb_snapshot", f"source:{name}"))
    weights = {other: 0.1 * (place + 1) for place, other in enumerate(source_types())}
    silent = state.with_fusion({**weights, name: 0.0})
    others = {other: source for other, source in state.sources.items() if other != name}
    gone = replace(state.with_fusion(weights), sources=others)
    history = simulated.data.history(3)
    found, expected = (
        candidate_rows(each, simulated.catalogue, history, state.as_of, features) for each in (silent, gone)
    )
    assert len(expected.candidates.rows) > 20
    np.testing.assert_array_equal(found.candidates.rows, expected.candidates.rows)
    np.testing.assert_array_equal(found.candidates.n_sources, expected.candidates.n_sources)
    np.testing.assert_array_equal(found.matrix, expected.matrix)


@pytest.mark.parametrize("name", source_types())
def test_the_features_of_a_source_are_its_score_its_rank_and_its_details(name: str) -> None:
    gone = set(feature_list()) - set(feature_list(("tmdb_snapshot", f"source:{name}")))
    details = {f"{name}_{detail.name}" for detail in source_types()[name].details}
    assert {feature.name for feature in gone} == {f"{name}_z", f"{name}_log_rank", *details}


def test_training_rows_without_a_source_hold_what_the_others_propose(simulated: SimulatedRatings) -> None:
    whole, less = rows_of(simulated), rows_of(simulated, "source:ease_likes", "user")
    assert less.fusion == {**whole.fusion, "ease_likes": 0.0}
    assert whole.fusion["ease_likes"] > 0
    keys = ["request_id", "movie_id"]
    assert not less.frame.select(keys).equals(whole.frame.select(keys))
    assert less.frame["n_sources"].max() == len(source_types()) - 1
    assert whole.frame["n_sources"].max() == len(source_types())


def test_newcomers_are_answered_by_popularity_all_the_same(
    state: RankingState, simulated: SimulatedRatings
) -> None:
    whole = train_ranker(rows_of(simulated), CONFIG).on(simulated.catalogue, state)
    without = ("source:popularity_365d",)
    less = train_ranker(rows_of(simulated, *without), CONFIG, without=without).on(simulated.catalogue, state)
    assert less.state.fusion["popularity_365d"] == 0
    ours, theirs = (model.score(History.empty(), as_of=state.as_of) for model in (less, whole))
    assert ours.served_by == "popularity"
    np.testing.assert_array_equal(ours.rows, theirs.rows)
    np.testing.assert_array_equal(ours.probabilities, theirs.probabilities)


def test_states_that_are_used_again_give_the_same_rows(simulated: SimulatedRatings, tmp_path: Path) -> None:
    states = FittedStates(tmp_path)
    for _ in range(2):
        assert rows_of(simulated, states=states).frame.equals(rows_of(simulated).frame)
    assert len(list(tmp_path.iterdir())) == len(CONFIG.training_origins)


def test_people_whom_training_has_not_seen_are_asked_without_the_source_too(
    simulated: SimulatedRatings, tmp_path: Path
) -> None:
    states, without = FittedStates(tmp_path), ("source:als",)
    made = [
        training_rows(
            strong_episodes(simulated.interactions, simulated.catalogue, CONFIG),
            simulated.catalogue,
            CONFIG,
            without=without,
            states=each,
        )
        for each in (states, states, None)
    ]
    assert made[0].fusion["als"] == 0
    assert made[0].frame.equals(made[2].frame)
    assert made[1].frame.equals(made[2].frame)
