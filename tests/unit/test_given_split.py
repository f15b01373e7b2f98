"""How `movierank benchmark` hides parts of the train file to make training and validation requests."""

import math

import numpy as np
import polars as pl
import pytest
from msgspec.structs import replace

from movierank_core.config import ModelConfig
from movierank_core.data.schema import FEEDBACK
from movierank_pipeline.evaluation.protocols.given_split import (
    VALIDATION_SHARE,
    form_of,
    given_split_protocol,
)
from movierank_pipeline.evaluation.protocols.split import Split, split_at_random, split_last
from movierank_pipeline.ingest.interactions import build_interactions
from movierank_pipeline.training.requests import Request
from movierank_pipeline.training.training_set import Episode
from tests.support.simulated import CONFIG, SimulatedRatings


@pytest.fixture(params=["random", "sequential"])
def split(request: pytest.FixtureRequest, simulated: SimulatedRatings) -> Split:
    if request.param == "sequential":
        return split_last(simulated.ratings)
    return split_at_random(simulated.ratings, 0.25, np.random.default_rng(1), by="movie_id")


def episodes_of(split: Split, simulated: SimulatedRatings, config: ModelConfig = CONFIG) -> list[Episode]:
    train = build_interactions(split.train, pl.DataFrame(schema=FEEDBACK))
    protocol = given_split_protocol(train, split.test, simulated.catalogue, config, relevance="all", k=10)
    return list(protocol.episodes())


def requests_of(episode: Episode, role: str | None = None) -> list[Request]:
    requests = episode.requests(None)  # type: ignore[arg-type]  # These are planned before the fit.
    return [request for request in requests if role in (None, request.role)]


def test_validation_asks_other_users_than_training(split: Split, simulated: SimulatedRatings) -> None:
    episodes = episodes_of(split, simulated)
    trained = {request.user_id for episode in episodes for request in requests_of(episode, "train")}
    validated = {request.user_id for episode in episodes for request in requests_of(episode, "validation")}
    assert trained.isdisjoint(validated)
    n_users = split.train["user_id"].n_unique()
    assert len(trained) + len(validated) == n_users
    assert len(validated) == math.ceil(VALIDATION_SHARE * n_users)


def test_sources_and_histories_of_a_request_lack_what_it_hides(
    split: Split, simulated: SimulatedRatings
) -> None:
    n_checked = 0
    for episode in episodes_of(split, simulated):
        user_ids = episode.data.user_ids[episode.data.users].tolist()
        visible = set(zip(user_ids, episode.data.rows.tolist(), strict=True))
        for request in requests_of(episode):
            seen = set(simulated.catalogue.rows_of(pl.Series(request.history.movie_ids)).tolist())
            for row in request.targets.tolist():
                assert row not in seen
                assert (request.user_id, row) not in visible
                n_checked += 1
    assert n_checked > 500


def test_the_number_of_requests_is_bounded(split: Split, simulated: SimulatedRatings) -> None:
    limit = 80
    episodes = episodes_of(split, simulated, replace(CONFIG, max_benchmark_requests=limit))
    n_train = sum(len(requests_of(episode, "train")) for episode in episodes)
    n_validation = sum(len(requests_of(episode, "validation")) for episode in episodes)
    assert 0.8 * limit < n_train + n_validation <= limit
    assert n_validation <= limit / 8
    assert form_of(split.train, split.test) == ("random" if len(episodes) > 1 else "sequential")
