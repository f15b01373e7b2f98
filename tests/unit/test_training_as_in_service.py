"""Training sees facts and sources as old as in service: distributions of ages are compared, not only code."""

from dataclasses import replace

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from movierank_core.data.timestamps import DAY_SECONDS, to_epoch
from movierank_core.features.registry import all_features
from movierank_core.recommender.model import candidate_rows
from movierank_core.recommender.state import fit_movie_state, fit_state
from movierank_pipeline.training.requests import (
    FactsMode,
    facts_over_time,
    fit_moments,
    plan_requests,
    replay,
)
from movierank_pipeline.training.state_of_day import StateOfDay
from tests.support.simulated import CONFIG, SimulatedRatings

NAMES = [feature.name for feature in all_features()]
AGES = ("movie_age_years", "movie_log_days_known", "age_at_latest", "days_known_at_latest")
LATELY = ("movie_log_events", "movie_log_events_30d", "movie_log_events_7d", "movie_log_events_1d")


def distance(one: NDArray[np.floating], other: NDArray[np.floating]) -> float:
    """The Kolmogorov-Smirnov distance of two samples: the largest difference of their distributions."""
    one, other = np.sort(one[~np.isnan(one)]), np.sort(other[~np.isnan(other)])
    values = np.concatenate([one, other])
    shares = [np.searchsorted(each, values, side="right") / len(each) for each in (one, other)]
    return float(np.abs(shares[0] - shares[1]).max())


def rows_of(simulated: SimulatedRatings, facts: FactsMode, *, is_service: bool) -> NDArray[np.float32]:
    """The features of all candidates of the training requests.

    In training, the sources are those of the origin. In service, movies are as of the night before.
    """
    data, catalogue = simulated.data, simulated.catalogue
    requests = plan_requests(data, catalogue, CONFIG, facts)
    over_time = facts_over_time(data, catalogue, facts)
    found = []
    for episode, moment in enumerate(fit_moments(data, CONFIG)[:-1]):
        state = fit_state(data, catalogue, moment, CONFIG)
        of_day = StateOfDay(state, over_time)
        for request in replay(requests.filter(episode=episode), data, catalogue):
            used = of_day.at(request.as_of)
            if is_service:
                night = max(request.as_of // DAY_SECONDS * DAY_SECONDS, moment)
                used = replace(state, movies=fit_movie_state(data, catalogue, night))
            made = candidate_rows(used, catalogue, request.history, request.as_of, all_features())
            found.append(made.matrix)
    return np.concatenate(found)


def test_facts_and_ages_in_training_are_distributed_as_in_service(simulated: SimulatedRatings) -> None:
    training = rows_of(simulated, "day", is_service=False)
    service = rows_of(simulated, "day", is_service=True)
    for name in (*AGES, *LATELY):
        column = NAMES.index(name)
        assert distance(training[:, column], service[:, column]) < 0.01, name


def test_facts_of_the_origin_are_not_those_of_service(simulated: SimulatedRatings) -> None:
    """The test above can fail: days since the origin shift the distributions."""
    training = rows_of(simulated, "origin", is_service=False)
    service = rows_of(simulated, "origin", is_service=True)
    for name in ("movie_log_days_known", "movie_log_events"):
        column = NAMES.index(name)
        assert distance(training[:, column], service[:, column]) > 0.02, name
    # The ages at the latest event do not depend on the moment of the state at all.
    for name in ("age_at_latest", "days_known_at_latest"):
        column = NAMES.index(name)
        assert distance(training[:, column], service[:, column]) < 0.01, name


@pytest.mark.parametrize("retrain_days", [1.0, 2.0])
def test_sources_in_training_are_as_old_as_in_service(
    simulated: SimulatedRatings, retrain_days: float
) -> None:
    data, period = simulated.data, int(retrain_days * DAY_SECONDS)
    config = msgspec.structs.replace(CONFIG, retrain_days=retrain_days, min_training_requests=1)
    *origins, _ = fit_moments(data, config)
    requests = plan_requests(data, simulated.catalogue, config)
    training = requests.filter(requests["role"] != "test")
    ages = np.array(
        [
            to_epoch(as_of) - origins[episode]
            for as_of, episode in training.select("as_of", "episode").iter_rows()
        ]
    )
    # In service, versions are made every `retrain_days` from the first origin on.
    in_service = (data.timestamps[data.timestamps >= origins[0]] - origins[0]) % period
    assert len(ages) > 50
    assert 0 <= ages.min() <= ages.max() <= period
    assert distance(ages / period, in_service / period) < 0.2
    whole = plan_requests(data, simulated.catalogue, msgspec.structs.replace(config, retrain_days=1_000.0))
    assert (
        requests.filter(role="test").drop("request_id").equals(whole.filter(role="test").drop("request_id"))
    )


def test_where_requests_are_few_they_come_later_after_the_origin(simulated: SimulatedRatings) -> None:
    few = msgspec.structs.replace(CONFIG, retrain_days=1.0, min_training_requests=1_000_000)
    rare = msgspec.structs.replace(CONFIG, retrain_days=1_000.0)
    frequent = msgspec.structs.replace(CONFIG, retrain_days=1.0, min_training_requests=1)
    planned = [plan_requests(simulated.data, simulated.catalogue, each) for each in (few, rare, frequent)]
    assert planned[0].equals(planned[1])
    assert len(planned[2]) < len(planned[0])
