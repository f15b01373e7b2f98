"""Debiased figures by hand."""

import math

import numpy as np
import pytest
from numpy.testing import assert_allclose

from movierank_pipeline.evaluation.measures.debiased import (
    debiased_intervals,
    debiased_values,
    inverse_propensities,
    mean_weight,
)
from movierank_pipeline.ranking_metrics import hits_of, ndcg, recall

RANKED = np.array([[7, 3, 5, -1], [1, 2, 3, 4]])
TARGETS = [np.array([3, 5, 9]), np.array([], np.int64)]


def test_the_inverse_propensity_is_one_over_the_root_of_the_events() -> None:
    assert inverse_propensities(np.array([100.0, 4.0, 1.0, 0.0])).tolist() == [0.1, 0.5, 1.0, 1.0]


def test_debiased_figures_by_hand() -> None:
    weights = [inverse_propensities(np.array([4.0, 100.0, 1.0])), inverse_propensities(np.array([]))]
    found = debiased_values(RANKED, TARGETS, weights, 2)
    # Weights 0.5, 0.1 and 1. Rank 2 holds the first target; the best list has the weights 1 and 0.5.
    expected = (0.5 / math.log2(3)) / (1 + 0.5 / math.log2(3))
    assert_allclose(found["debiased_ndcg@2"], [expected, np.nan])
    assert_allclose(found["debiased_recall@2"], [0.5 / 1.6, np.nan])
    assert_allclose(found["debiased_recall@100"], [0.6 / 1.6, np.nan])


def test_equally_popular_targets_give_the_raw_figures() -> None:
    weights = [inverse_propensities(np.full(len(rows), 49.0)) for rows in TARGETS]
    found = debiased_values(RANKED, TARGETS, weights, 3)
    hits, n_relevant = hits_of(RANKED, TARGETS), np.array([3, 0])
    assert_allclose(found["debiased_ndcg@3"], ndcg(hits, n_relevant, 3))
    assert_allclose(found["debiased_recall@3"], recall(hits, n_relevant, 3))


def test_the_mean_weighs_requests_by_their_targets() -> None:
    # User 1 has two requests with the weights 1 and 0.5, user 2 one of weight 0.25; one has no target.
    values = {"als": {"debiased_ndcg@10": np.array([1.0, 0.0, 0.5, np.nan])}}
    weights = np.array([1.0, 0.5, 0.25, 0.0])
    found = debiased_intervals(values, weights, np.array([1, 1, 2, 3]), 1)["als"]["debiased_ndcg@10"]
    assert found.mean == pytest.approx((0.5 + 0.125) / (0.75 + 0.25))
    # A resample has user 1 alone, both, or user 2 alone.
    assert (found.low, found.high) == (0.5, pytest.approx(0.5 / 0.75))
    equal = debiased_intervals(values, np.array([1.0, 1.0, 1.0, 0.0]), np.array([1, 1, 2, 3]), 1)
    assert equal["als"]["debiased_ndcg@10"].mean == 0.5  # The plain mean over users.


def test_nothing_has_no_debiased_mean() -> None:
    assert debiased_intervals({}, np.zeros(0), np.zeros(0, np.int64), 1) == {}
    none = {"als": {"debiased_ndcg@10": np.array([np.nan])}}
    found = debiased_intervals(none, np.zeros(1), np.ones(1, np.int64), 1)["als"]["debiased_ndcg@10"]
    assert math.isnan(found.mean)


@pytest.mark.parametrize(("n_likes", "n_requests"), [(200, 200), (10, 20_000), (2, 40_000)])
def test_it_corrects_for_what_popularity_hides(n_likes: int, n_requests: int) -> None:
    """The list is the popular half of the likes, so the true recall is 0.5.

    Each like is observed with a probability proportional to the root of its popularity.
    """
    rng = np.random.default_rng(0)
    popularity = np.repeat([400.0, 25.0], n_likes // 2)
    observed = rng.random((n_requests, n_likes)) < 0.2 * np.sqrt(popularity / 400)
    observed = observed[observed.any(axis=1)]
    ranked = np.tile(np.arange(n_likes // 2), (len(observed), 1))
    targets = [np.flatnonzero(row) for row in observed]
    weights = [inverse_propensities(popularity[rows]) for rows in targets]
    plain = recall(hits_of(ranked, targets), observed.sum(axis=1), 100)
    values = {"popular": debiased_values(ranked, targets, weights, 10)}
    of_request = np.array([mean_weight(of_targets) for of_targets in weights])
    found = debiased_intervals(values, of_request, np.arange(len(targets)), 1)["popular"]
    bias = plain.mean() - 0.5
    assert bias > 0.2
    assert abs(found["debiased_recall@100"].mean - 0.5) < 0.15 * bias
