"""Targets in the second of the last event of the history."""

import math

import numpy as np
import polars as pl
import pytest
from msgspec.structs import replace

from movierank_core.data.schema import FEEDBACK, RATINGS
from movierank_pipeline.evaluation.answers import Answers
from movierank_pipeline.evaluation.evaluate import report_of
from movierank_pipeline.evaluation.experiment import answers_to, model_on
from movierank_pipeline.evaluation.measures.ties import ties_of
from movierank_pipeline.evaluation.protocols.given_split import given_split_protocol
from movierank_pipeline.evaluation.protocols.temporal import temporal_holdout
from movierank_pipeline.ingest.interactions import build_interactions
from tests.support.releases import training
from tests.support.simulated import CONFIG, START, SimulatedRatings

EMPTY = (np.zeros(0), np.zeros(0, np.bool_))


def hits_at(*ranks: tuple[int, ...]) -> np.ndarray:
    hits = np.zeros((len(ranks), 100), np.bool_)
    for request, of_request in enumerate(ranks):
        hits[request, [rank - 1 for rank in of_request]] = True
    return hits


def test_both_parts_by_hand() -> None:
    # Request 1 has a tied target at rank 1 and another at rank 3; that of 2 is neither tied nor found.
    answers = Answers(
        {"movierank": hits_at((1, 3), ())}, {}, np.array([2, 1]), np.array([1, 2]), np.ones(2, np.int64),
        np.ones(2, np.int64), *EMPTY,
        tied_hits={"movierank": hits_at((1,), ())}, n_tied=np.array([1, 0]),
    )  # fmt: skip
    ties = ties_of(answers, 10, 1)
    assert ties is not None
    assert (ties.n_targets, ties.tied_share) == (3, pytest.approx(1 / 3))
    tied, untied = ties.parts["tied"], ties.parts["untied"]
    assert (tied.n_requests, untied.n_requests) == (1, 2)
    assert tied.systems["movierank"]["ndcg@10"].mean == 1.0
    assert untied.systems["movierank"]["ndcg@10"].mean == pytest.approx((0.5 + 0) / 2)
    assert math.isnan(ties.choice_share)
    assert ties.band == {}


def test_the_band_by_hand() -> None:
    answers = Answers(
        {"movierank": hits_at((1,), ())}, {}, np.ones(2, np.int64), np.array([1, 2]), np.ones(2, np.int64),
        np.ones(2, np.int64), *EMPTY,
        band={"movierank": {"worst": np.array([0.5, 0.0]), "best": np.array([1.0, 0.5])}},
        tied_hits={"movierank": hits_at((), ())}, n_tied=np.zeros(2, np.int64), n_choices=np.array([2, 1]),
    )  # fmt: skip
    ties = ties_of(answers, 10, 1)
    assert ties is not None
    assert (ties.tied_share, ties.parts, ties.choice_share) == (0.0, {}, 0.5)
    assert (ties.band["movierank"].worst.mean, ties.band["movierank"].best.mean) == (0.25, 0.75)


def test_a_protocol_without_times_has_none() -> None:
    ones = np.ones(1, np.int64)
    assert ties_of(Answers({"movierank": hits_at((1,))}, {}, ones, ones, ones, ones, *EMPTY), 10, 1) is None


def test_a_given_split_compares_the_times_of_targets_with_the_last_event_of_the_history(
    simulated: SimulatedRatings,
) -> None:
    train = build_interactions(simulated.ratings, pl.DataFrame(schema=FEEDBACK))
    last = dict(simulated.ratings.group_by("user_id").agg(pl.col("timestamp").max()).iter_rows())
    rows = [
        (2, 10, 4.0, last[2]),
        (2, 20, 4.0, START),
        (1, 30, 4.0, last[2]),
        (1, 40, 4.0, last[1]),
        (9_999, 10, 4.0, START),  # Without a history.
    ]
    test = pl.DataFrame(rows, schema=RATINGS, orient="row")
    protocol = given_split_protocol(train, test, simulated.catalogue, CONFIG, relevance="all", k=10)
    holdout = protocol.holdout(None)
    is_tied = holdout.target_facts.is_tied
    assert is_tied is not None
    found = {request.user_id: is_tied(request).tolist() for request in holdout.replay()}
    assert found == {1: [last[1] == last[2], True], 2: [True, False], 9_999: [False]}


def test_no_target_of_the_temporal_protocol_is_tied_and_the_last_like_has_a_band(
    simulated: SimulatedRatings,
) -> None:
    """The cut is strict, so a history never reaches the second of a target."""
    config = replace(CONFIG, moments=1)
    holdout = temporal_holdout(simulated.data, simulated.catalogue, config, targets="last")
    model = model_on(holdout, training().ranker)
    report = report_of(holdout, model, answers_to(holdout, model, config), config)
    assert report.targets == "last"
    assert report.ties is not None
    assert (report.ties.tied_share, report.ties.parts) == (0.0, {})
    assert 0 < report.ties.choice_share < 1  # Some ratings share their second.
    for name, band in report.ties.band.items():
        figure = report.systems[name]["ndcg@10"].mean
        assert band.worst.mean <= figure <= band.best.mean
    assert report.ties.band["movierank"].worst.mean < report.ties.band["movierank"].best.mean
