"""The source for missing events, what the Markov source says of a candidate, and positions in histories."""

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from movierank_core.data.history import History
from movierank_core.features.blocks.position import POSITION_PRIOR_WEIGHT, Position
from movierank_core.features.registry import feature_list
from movierank_core.recommender.model import candidate_rows
from movierank_core.recommender.state import RankingState, fit_state
from movierank_core.retrieval.registry import SOURCES, sources_of
from movierank_core.retrieval.sources.between import N_BESIDE, WatchedBetween
from movierank_core.retrieval.sources.item_to_item import ItemToItem
from movierank_core.retrieval.sources.sequence import N_LATEST, HazardMarkov
from movierank_pipeline.training.ranker import train_ranker
from movierank_pipeline.training.requests import plan_requests
from movierank_pipeline.training.training_set import build_training_set
from tests.support.simulated import CONFIG, SimulatedRatings

EVERY_PAIR = msgspec.structs.replace(CONFIG, min_movie_events=1, n_neighbours=1_000)
AS_OF = 2**40


def history_of(*movie_ids: int) -> History:
    n = len(movie_ids)
    return History(
        np.array(movie_ids, np.int64),
        np.full(n, 4.0, np.float32),
        np.arange(n, dtype=np.int64),
        np.zeros(n, np.uint8),
    )


@pytest.fixture(scope="module")
def state(simulated: SimulatedRatings) -> RankingState:
    return fit_state(simulated.data, simulated.catalogue, AS_OF, EVERY_PAIR)


def by_row(source: ItemToItem) -> NDArray[np.float32]:
    """[n_movies, n_movies] the stored weights of an item-to-item source, by catalogue row."""
    everything = np.arange(len(source.support), dtype=np.int32)
    rows = np.arange(len(source.neighbours))
    values = source.neighbours.at(rows, everything, len(everything))
    return np.array([source.support.everywhere(of_row) for of_row in values])


def test_a_missing_movie_is_sought_in_every_gap_of_the_history(
    state: RankingState, simulated: SimulatedRatings
) -> None:
    """Against the definition, gap by gap, in the form that is not sparse."""
    data, n = simulated.data, len(simulated.catalogue)
    close = np.zeros((n, n))
    for user in range(len(data.user_ids)):
        rows = data.rows[data.offsets[user] : data.offsets[user + 1]]
        for later in range(len(rows)):
            for lag in range(1, min(CONFIG.transition_lags, later) + 1):
                weight = CONFIG.transition_lag_decay ** (lag - 1)
                close[rows[later - lag], rows[later]] += weight
                close[rows[later], rows[later - lag]] += weight
    np.fill_diagonal(close, 0.0)
    n_events = np.bincount(data.rows, minlength=n)
    share = (n_events + 0.1) / (n_events + 0.1)[n_events > 0].sum()
    s = CONFIG.transition_smoothing
    log_odds = np.log((close + s * share) / ((close.sum(axis=1, keepdims=True) + s) * share))
    history = data.history(3)
    rows = simulated.catalogue.rows_of(history.movie_ids)
    gaps = []
    for gap in range(len(rows) + 1):
        total = np.zeros(n)
        for step in range(1, N_BESIDE + 1):
            for event in (gap - step, gap + step - 1):
                if 0 <= event < len(rows):
                    total += CONFIG.transition_history_decay**step * log_odds[rows[event]]
        gaps.append(total)
    expected = np.log(share) + np.log(np.exp(gaps).mean(axis=0))
    source = state.sources["watched_between"]
    found = source.scores(state.query(history, simulated.catalogue, AS_OF))
    shift = found - expected[source.support.rows]
    np.testing.assert_allclose(shift, shift[0], atol=2e-4)
    assert float(found.min()) > 0
    # A gap in the middle counts: the same movies as the last events would score otherwise.
    reversed_ = state.query(history_of(*history.movie_ids[::-1].tolist()), simulated.catalogue, AS_OF)
    np.testing.assert_allclose(source.scores(reversed_), found, rtol=1e-4)


def test_only_requests_for_missing_events_have_the_source(simulated: SimulatedRatings) -> None:
    later = msgspec.structs.replace(CONFIG, missing_events=False)
    assert {*sources_of(CONFIG)} - {*sources_of(later)} == {WatchedBetween}
    assert sources_of(CONFIG) == SOURCES
    requests = plan_requests(simulated.data, simulated.catalogue, later)
    rows = build_training_set(simulated.data, requests, simulated.catalogue, later)
    names = [feature.name for feature in train_ranker(rows, later).features]
    everything = [feature.name for feature in feature_list()]
    assert [name for name in everything if name not in names] == [
        "watched_between_z",
        "watched_between_log_rank",
    ]


def test_details_are_the_log_odds_of_single_history_movies(
    state: RankingState, simulated: SimulatedRatings
) -> None:
    source = state.sources["hazard_markov"]
    assert isinstance(source, HazardMarkov)
    log_odds = by_row(source)
    ids = simulated.catalogue.movie_ids
    query = state.query(history_of(*ids[[3, 8, 1]].tolist()), simulated.catalogue, AS_OF)
    known = source.support.rows
    unknown = np.setdiff1d(np.arange(len(ids)), known)
    rows = np.concatenate([known[::-1], unknown])
    found = source.describe(query, rows)
    assert found.shape == (N_LATEST + 2, len(rows)) == (len(source.details), len(rows))
    assert np.isnan(found[:, len(known) :]).all()
    found = found[:, : len(known)]
    np.testing.assert_array_equal(found[:3], log_odds[np.ix_([1, 8, 3], known[::-1])])
    assert np.isnan(found[3:N_LATEST]).all()
    np.testing.assert_array_equal(found[N_LATEST], log_odds[np.ix_([1, 8, 3], known[::-1])].max(axis=0))
    np.testing.assert_array_equal(found[N_LATEST + 1], log_odds[known[::-1], 1])
    empty = source.describe(state.query(History.empty(), simulated.catalogue, AS_OF), rows)
    assert np.isnan(empty).all()


def test_details_are_features_under_the_name_of_their_source(
    state: RankingState, simulated: SimulatedRatings
) -> None:
    features = feature_list()
    names = [feature.name for feature in features]
    history = simulated.data.history(5)
    found = candidate_rows(state, simulated.catalogue, history, AS_OF, features)
    described = state.sources["hazard_markov"].describe(found.query, found.candidates.rows)
    for index, detail in enumerate(HazardMarkov.details):
        column = names.index(f"hazard_markov_{detail.name}")
        assert (features[column].source, features[column].unit) == ("hazard_markov", "log odds")
        np.testing.assert_array_equal(found.matrix[:, column], described[index])
    assert not np.isnan(described[0]).all()


def test_positions_are_compared_with_the_length_of_the_history(
    state: RankingState, simulated: SimulatedRatings
) -> None:
    data, n = simulated.data, len(simulated.catalogue)
    positions: list[list[float]] = [[] for _ in range(n)]
    for user in range(len(data.user_ids)):
        for place, row in enumerate(data.rows[data.offsets[user] : data.offsets[user + 1]]):
            positions[row].append(np.log(1 + place))
    mean = np.mean([each for of_movie in positions for each in of_movie])
    expected = np.array(
        [
            (sum(of_movie) + POSITION_PRIOR_WEIGHT * mean) / (len(of_movie) + POSITION_PRIOR_WEIGHT)
            if of_movie
            else np.nan
            for of_movie in positions
        ]
    )
    (feature,) = Position.features()
    for history in (data.history(2), history_of(10)):
        found = candidate_rows(state, simulated.catalogue, history, AS_OF, (feature,))
        n_events = len(history.movie_ids)
        wanted = expected[found.candidates.rows] - np.log(1 + n_events)
        np.testing.assert_allclose(found.matrix[:, 0], wanted, rtol=1e-4, atol=1e-5)


def test_without_events_no_position_is_known(simulated: SimulatedRatings) -> None:
    nothing = simulated.data.select(np.zeros(len(simulated.data), np.bool_))
    assert np.isnan(Position.fit(nothing, simulated.catalogue, 0)["mean_log_position"]).all()
