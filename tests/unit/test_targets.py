"""Which later likes are targets: all, the last one, or one at random."""

from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest

from movierank_core.data.catalogue import Catalogue
from movierank_core.data.interactions import InteractionArrays
from movierank_core.data.schema import FEEDBACK, RATINGS, REQUESTS
from movierank_core.data.timestamps import to_epoch
from movierank_core.errors import ConfigError
from movierank_pipeline.evaluation.protocols.targets import ChosenTargets, TargetsMode, choose_targets
from movierank_pipeline.evaluation.protocols.temporal import (
    refit_moments,
    temporal_holdout,
    temporal_protocol,
)
from movierank_pipeline.ingest.interactions import build_interactions
from movierank_pipeline.training.requests import replay
from tests.support.simulated import CONFIG, START, SimulatedRatings, make_catalogue


def at(minutes: int) -> datetime:
    return START + timedelta(minutes=minutes)


RATED = [
    (1, 10, 5.0, at(0)),
    (1, 20, 4.0, at(60)),
    (1, 30, 2.0, at(60)),
    (1, 40, 5.0, at(120)),  # In the second of the next two; film 60 is the last to appear.
    (1, 50, 1.0, at(120)),
    (1, 60, 4.5, at(120)),
    (2, 10, 3.0, at(0)),
    (2, 20, 4.0, at(90)),
]
"""User, movie, stars and time."""


@pytest.fixture
def catalogue() -> Catalogue:
    return Catalogue(make_catalogue(8))


@pytest.fixture
def data(catalogue: Catalogue) -> InteractionArrays:
    ratings = pl.DataFrame(RATED, schema=RATINGS, orient="row")
    return InteractionArrays.from_frame(build_interactions(ratings, pl.DataFrame(schema=FEEDBACK)), catalogue)


REQUESTS_OF_ALL = pl.DataFrame(
    [
        (7, 3, "test", 1, at(30), [20, 40, 60]),
        (8, 3, "test", 1, at(120), [40, 60]),
        (9, 3, "test", 2, at(30), [20]),
    ],
    schema=REQUESTS,
    orient="row",
)


def chosen(data: InteractionArrays, catalogue: Catalogue, mode: TargetsMode, seed: int = 1) -> ChosenTargets:
    return choose_targets(REQUESTS_OF_ALL, data, catalogue, to_epoch(at(10)), mode, seed)


def test_all_changes_nothing_and_has_no_choices(data: InteractionArrays, catalogue: Catalogue) -> None:
    found = chosen(data, catalogue, "all")
    assert found.requests.equals(REQUESTS_OF_ALL)
    assert found.facts.choices is None


def test_the_last_like_is_the_last_to_appear_and_its_second_gives_the_choices(
    data: InteractionArrays, catalogue: Catalogue
) -> None:
    found = chosen(data, catalogue, "last")
    assert found.requests["targets"].to_list() == [[60], [60], [20]]
    assert found.requests.drop("targets").equals(REQUESTS_OF_ALL.drop("targets"))
    assert found.facts.choices is not None
    choices = [found.facts.choices(request) for request in replay(found.requests, data, catalogue)]
    assert [catalogue.movie_ids[rows].tolist() for rows in choices] == [[40, 60], [40, 60], [20]]


def test_one_like_at_random_is_seeded_and_every_like_can_be_drawn(
    data: InteractionArrays, catalogue: Catalogue
) -> None:
    drawn = [chosen(data, catalogue, "random", seed).requests["targets"].to_list() for seed in range(30)]
    assert chosen(data, catalogue, "random", 3).requests["targets"].to_list() == drawn[3]
    assert {tuple(each[0]) for each in drawn} == {(20,), (40,), (60,)}
    assert {tuple(each[1]) for each in drawn} == {(40,), (60,)}
    assert {tuple(each[2]) for each in drawn} == {(20,)}


def test_a_target_is_tied_if_it_has_the_time_of_the_last_event_of_the_history(
    data: InteractionArrays, catalogue: Catalogue
) -> None:
    found = chosen(data, catalogue, "all")
    assert found.facts.is_tied is not None
    for request in replay(REQUESTS_OF_ALL, data, catalogue):
        assert not found.facts.is_tied(request).any()  # Histories end strictly before the request.
        later = request._replace(history=data.history(0))  # Its last event is at minute 120.
        if request.user_id == 1:
            movie_ids = catalogue.movie_ids[request.targets]
            assert found.facts.is_tied(later).tolist() == [movie != 20 for movie in movie_ids]


def test_requests_of_a_holdout_have_the_targets_of_the_mode(simulated: SimulatedRatings) -> None:
    every = temporal_holdout(simulated.data, simulated.catalogue, CONFIG)
    last = temporal_holdout(simulated.data, simulated.catalogue, CONFIG, targets="last")
    assert (every.targets, last.targets) == ("all", "last")
    assert last.requests.drop("targets").equals(every.requests.drop("targets"))
    times = {
        (user_id, movie_id): time
        for user_id, movie_id, time in simulated.ratings.select(
            "user_id", "movie_id", "timestamp"
        ).iter_rows()
    }
    for user_id, likes, (target,) in zip(
        last.requests["user_id"], every.requests["targets"], last.requests["targets"], strict=True
    ):
        assert target in likes
        assert times[user_id, target] == max(times[user_id, movie] for movie in likes)


def test_refits_cut_the_later_events_into_equal_parts(simulated: SimulatedRatings) -> None:
    data = simulated.data
    split = int(np.quantile(data.timestamps, 0.8))
    moments = refit_moments(data, split, 3)
    later = data.timestamps[data.timestamps >= split]
    shares = [float((later < moment).mean()) for moment in moments]
    assert shares == pytest.approx([0.25, 0.5, 0.75], abs=0.02)
    assert refit_moments(data, split, 0) == []


def test_a_rolling_request_is_answered_by_the_latest_state_before_it(simulated: SimulatedRatings) -> None:
    temporal = temporal_holdout(simulated.data, simulated.catalogue, CONFIG)
    rolling = temporal_holdout(simulated.data, simulated.catalogue, CONFIG, n_refits=2)
    assert (temporal.protocol, rolling.protocol) == ("temporal", "rolling")
    assert rolling.requests.drop("episode").equals(temporal.requests.drop("episode"))
    first = temporal.requests["episode"][0]
    assert set(rolling.refits) == {first + 1, first + 2}
    used = set()
    for request in rolling.replay():
        state = rolling.refits.get(request.episode, rolling.state)
        later = [each.as_of for each in rolling.refits.values() if state.as_of < each.as_of]
        assert state.as_of <= request.as_of
        assert all(moment > request.as_of for moment in later)
        used.add(request.episode)
    assert used == {first, first + 1, first + 2}


def test_the_rolling_protocol_needs_the_facts_of_the_day(simulated: SimulatedRatings) -> None:
    with pytest.raises(ConfigError, match=r"^The rolling protocol was given the facts of the origin\."):
        temporal_protocol(simulated.data, simulated.catalogue, CONFIG, facts="origin", n_refits=1)
