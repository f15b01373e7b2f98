"""No feature of a training row knows anything of its request's moment or later."""

from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest

from movierank_core.data.interactions import InteractionArrays
from movierank_core.data.timestamps import to_epoch
from movierank_core.features.movie_facts import FactsOverTime
from movierank_core.features.registry import feature_list
from movierank_core.recommender.model import candidate_rows
from movierank_core.recommender.state import fit_state
from movierank_pipeline.training.requests import FactsMode, episode_moments, plan_requests
from movierank_pipeline.training.training_set import TrainingSet
from tests.support.releases import training
from tests.support.simulated import CONFIG, SimulatedRatings


def midnight_of(moment: datetime) -> datetime:
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)


FEATURES = [feature.name for feature in feature_list()]


@pytest.fixture(scope="module")
def training_set() -> TrainingSet:
    return training().rows


def test_every_training_row_is_the_same_when_recomputed_from_earlier_events_alone(
    simulated: SimulatedRatings, training_set: TrainingSet
) -> None:
    catalogue = simulated.catalogue
    moments = episode_moments(simulated.data, CONFIG)
    checked = 0
    for (episode,), of_episode in training_set.frame.group_by("episode", maintain_order=True):
        origin = moments[int(str(episode))]
        before_origin = SimulatedRatings(
            simulated.ratings.filter(pl.col("timestamp") < origin), simulated.catalogue_frame
        )
        state = fit_state(before_origin.data, catalogue, to_epoch(origin), CONFIG).with_fusion(
            training_set.fusion
        )
        for _, rows in of_episode.group_by("request_id", maintain_order=True):
            user_id, as_of = rows["user_id"][0], rows["as_of"][0]
            assert as_of >= origin
            earlier = SimulatedRatings(
                simulated.ratings.filter(pl.col("timestamp") < as_of, pl.col("user_id") == user_id),
                simulated.catalogue_frame,
            ).data
            history = earlier.history(0) if len(earlier) else InteractionArrays.history(simulated.data, 0, 0)
            published = max(midnight_of(as_of), origin)
            before = SimulatedRatings(
                simulated.ratings.filter(pl.col("timestamp") < published), simulated.catalogue_frame
            )
            facts = FactsOverTime.of(before.data, len(catalogue)).at(to_epoch(published))
            found = candidate_rows(
                state.with_facts(facts), catalogue, history, to_epoch(as_of), feature_list()
            )
            n_kept = found.candidates.n_fused if rows["role"][0] == "train" else len(found.matrix)
            kept = found.candidates.rows[:n_kept]
            assert catalogue.movie_ids[kept].tolist() == rows["movie_id"].to_list()
            np.testing.assert_array_equal(found.matrix[:n_kept], rows.select(FEATURES).to_numpy())
            checked += len(rows)
    assert checked == len(training_set.frame) > 1000


def test_ratings_planted_at_and_after_a_request_move_none_of_its_rows(
    simulated: SimulatedRatings, training_set: TrainingSet
) -> None:
    moments = episode_moments(simulated.data, CONFIG)
    first = training_set.frame["request_id"][0]
    rows = training_set.frame.filter(pl.col("request_id") == first)
    user_id, as_of, origin = rows["user_id"][0], rows["as_of"][0], moments[rows["episode"][0]]
    top = rows["movie_id"][0]
    published = max(midnight_of(as_of), origin)
    planted = simulated.with_ratings(
        [
            (user_id, top, 5.0, as_of),
            (user_id, top, 0.5, as_of + timedelta(days=1)),
            *[(900_000 + k, top, 5.0, published) for k in range(50)],
        ]
    )
    state = fit_state(planted.data, planted.catalogue, to_epoch(origin), CONFIG).with_fusion(
        training_set.fusion
    )
    user = int(np.searchsorted(planted.data.user_ids, user_id))
    history = planted.data.history(user, to_epoch(as_of))
    facts = FactsOverTime.of(planted.data, len(planted.catalogue))
    state = state.with_facts(facts.at(to_epoch(max(midnight_of(as_of), origin))))
    found = candidate_rows(state, planted.catalogue, history, to_epoch(as_of), feature_list())
    np.testing.assert_array_equal(found.matrix[: len(rows)], rows.select(FEATURES).to_numpy())


def test_a_rating_planted_before_the_request_does_move_them(
    simulated: SimulatedRatings, training_set: TrainingSet
) -> None:
    moments = episode_moments(simulated.data, CONFIG)
    frame = training_set.frame
    rows = frame.filter(pl.col("request_id") == frame["request_id"][0])
    origin, as_of, user_id = moments[rows["episode"][0]], rows["as_of"][0], rows["user_id"][0]
    planted = simulated.with_ratings([(900_000, rows["movie_id"][0], 5.0, origin - timedelta(seconds=1))])
    state = fit_state(planted.data, planted.catalogue, to_epoch(origin), CONFIG).with_fusion(
        training_set.fusion
    )
    user = int(np.searchsorted(planted.data.user_ids, user_id))
    history = planted.data.history(user, to_epoch(as_of))
    facts = FactsOverTime.of(planted.data, len(planted.catalogue))
    state = state.with_facts(facts.at(to_epoch(max(midnight_of(as_of), origin))))
    found = candidate_rows(state, planted.catalogue, history, to_epoch(as_of), feature_list())
    assert not np.array_equal(found.matrix[: len(rows)], rows.select(FEATURES).to_numpy(), equal_nan=True)


@pytest.mark.parametrize("facts", ["day", "origin"])
def test_targets_are_likes_at_or_after_the_moment_of_movies_that_the_facts_know(
    simulated: SimulatedRatings, facts: FactsMode
) -> None:
    """A movie that is new since the origin is a target exactly if lists may hold it."""
    data, catalogue = simulated.data, simulated.catalogue
    requests = plan_requests(data, catalogue, CONFIG, facts)
    moments = episode_moments(data, CONFIG)
    assert set(requests["role"]) == {"train", "validation", "test"}
    for request in requests.iter_rows(named=True):
        of_facts = origin = moments[request["episode"]]
        if facts == "day":
            of_facts = max(origin, midnight_of(request["as_of"]))
        known = set(simulated.ratings.filter(pl.col("timestamp") < of_facts)["movie_id"])
        stop = (
            moments[request["episode"] + 1]
            if request["episode"] + 1 < len(moments)
            else simulated.ratings["timestamp"].max() + timedelta(seconds=1)
        )
        expected = simulated.ratings.filter(
            pl.col("user_id") == request["user_id"],
            pl.col("timestamp").is_between(request["as_of"], stop, closed="left"),
            pl.col("rating") >= 4,
            pl.col("movie_id").is_in(known),
        )
        assert request["targets"] == sorted(expected["movie_id"])
