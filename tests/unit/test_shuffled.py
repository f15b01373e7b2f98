"""Shuffled histories keep everything but the order of their events."""

import numpy as np
import pytest

from movierank_core.data.history import History
from movierank_pipeline.evaluation.answers import Answers
from movierank_pipeline.evaluation.experiment import answers_to, model_on
from movierank_pipeline.evaluation.measures.shuffled import (
    order_drop,
    shuffled_history,
    shuffled_requests,
)
from movierank_pipeline.evaluation.protocols.protocol import Measures
from movierank_pipeline.evaluation.protocols.temporal import temporal_holdout
from tests.support.releases import training
from tests.support.simulated import CONFIG, SimulatedRatings

HISTORY = History.of_arrays([10, 20, 30, 40], [5.0, 1.0, np.nan, 4.0], [1, 2, 2, 9], [0, 0, 3, 1])


def test_a_movie_keeps_its_rating_and_the_times_keep_their_order() -> None:
    found = shuffled_history(HISTORY, np.random.default_rng(0))
    assert found.timestamps.tolist() == [1, 2, 2, 9]
    assert found.movie_ids.tolist() != HISTORY.movie_ids.tolist()
    kept = {10: (5.0, 0), 20: (1.0, 0), 40: (4.0, 1)}
    for movie_id, rating, code in zip(found.movie_ids, found.ratings, found.event_codes, strict=True):
        if movie_id == 30:
            assert (np.isnan(rating), code) == (True, 3)
        else:
            assert (rating, code) == kept.pop(movie_id)
    assert not kept
    assert len(shuffled_history(History.empty(), np.random.default_rng(0))) == 0


def test_within_ties_only_events_of_one_second_change_places() -> None:
    found = {
        tuple(shuffled_history(HISTORY, np.random.default_rng(seed), within_ties=True).movie_ids.tolist())
        for seed in range(20)
    }
    assert found == {(10, 20, 30, 40), (10, 30, 20, 40)}


def test_requests_are_shuffled_by_the_seed_and_otherwise_equal(simulated: SimulatedRatings) -> None:
    holdout = temporal_holdout(simulated.data, simulated.catalogue, CONFIG)
    first, again = (list(shuffled_requests(holdout.replay(), 1)) for _ in range(2))
    for mine, theirs, original in zip(first, again, holdout.replay(), strict=True):
        assert mine.history.movie_ids.tolist() == theirs.history.movie_ids.tolist()
        assert sorted(mine.history.movie_ids) == sorted(original.history.movie_ids)
        assert (mine.targets.tolist(), mine.as_of) == (original.targets.tolist(), original.as_of)
    orders = [each.history.movie_ids.tolist() for each in first]
    assert orders != [each.history.movie_ids.tolist() for each in shuffled_requests(holdout.replay(), 2)]


def with_hit_at(ranks: list[int]) -> Answers:
    """One target per request, at these ranks from 1; 0 for none."""
    hits = np.zeros((len(ranks), 100), np.bool_)
    for request, rank in enumerate(ranks):
        if rank:
            hits[request, rank - 1] = True
    n = len(ranks)
    ones = np.ones(n, np.int64)
    return Answers(
        {"movierank": hits}, {}, ones, np.arange(n), ones, ones, np.zeros(0), np.zeros(0, np.bool_)
    )


def test_the_drop_is_the_paired_difference() -> None:
    drop = order_drop(with_hit_at([1, 3, 50]), with_hit_at([3, 3, 0]), Measures(), 1)
    assert drop.metrics["ndcg@10"].mean == pytest.approx((0.5 + 0.5 + 0) / 3)
    assert drop.differences["ndcg@10"].mean == pytest.approx(0.5 / 3)
    assert drop.differences["recall@100"].mean == pytest.approx(1 / 3)
    assert set(drop.differences) == {"ndcg@10", "recall@100"}


def test_a_model_answers_shuffled_requests_with_the_same_targets(simulated: SimulatedRatings) -> None:
    holdout = temporal_holdout(simulated.data, simulated.catalogue, CONFIG)
    model = model_on(holdout, training().ranker)
    plain = answers_to(holdout, model, CONFIG, only_main=True)
    shuffled = answers_to(
        holdout, model, CONFIG, only_main=True, requests=shuffled_requests(holdout.replay(), 1)
    )
    np.testing.assert_array_equal(plain.n_relevant, shuffled.n_relevant)
    np.testing.assert_array_equal(plain.history_lengths, shuffled.history_lengths)
    assert not np.array_equal(plain.top["movierank"], shuffled.top["movierank"])
