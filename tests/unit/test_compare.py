"""Systems are compared user by user, by hits alone."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from movierank_pipeline.evaluation.bootstrap import bootstrap_interval
from movierank_pipeline.evaluation.compare import paired_differences, request_values, system_intervals
from movierank_pipeline.ranking_metrics import mean_by_group, ndcg, recall

NAN = float("nan")


def random_hits(rng: np.random.Generator, share: float, n: int = 200) -> NDArray[np.bool_]:
    return rng.random((n, 100)) < share


def test_each_user_asks_once_and_figures_are_means_over_requests() -> None:
    rng = np.random.default_rng(0)
    hits = {"movierank": random_hits(rng, 0.06), "popular": random_hits(rng, 0.03)}
    n_relevant = np.full(200, 120)
    values = {name: request_values(of_system, n_relevant) for name, of_system in hits.items()}
    systems = system_intervals(values, np.arange(200), 1)
    for name, of_system in hits.items():
        assert set(systems[name]) == {
            *("ndcg@10", "precision@10", "recall@10", "recall@100", "map@10", "mrr")
        }
        assert systems[name]["ndcg@10"].mean == pytest.approx(ndcg(of_system, n_relevant, 10).mean())
        assert systems[name]["recall@100"].mean == pytest.approx(recall(of_system, n_relevant, 100).mean())
    differences = paired_differences(values, np.arange(200), 1)
    assert set(differences) == {"ndcg@10", "recall@100"}
    assert set(differences["ndcg@10"]) == {"popular"}


def test_the_interval_of_a_difference_is_that_of_the_differences_of_each_user() -> None:
    rng = np.random.default_rng(1)
    hits = {"movierank": random_hits(rng, 0.05), "popular": random_hits(rng, 0.05)}
    n_relevant, users = rng.integers(0, 30, 200), rng.integers(0, 60, 200)
    values = {name: request_values(of_system, n_relevant) for name, of_system in hits.items()}
    difference = paired_differences(values, users, 3)["ndcg@10"]["popular"]
    ours, theirs = (ndcg(hits[name], n_relevant, 10) for name in ("movierank", "popular"))
    expected = bootstrap_interval(mean_by_group(ours - theirs, users), 3)
    assert (difference.mean, difference.low, difference.high) == pytest.approx(
        (expected.mean, expected.low, expected.high)
    )
    of_them = np.nanmean(mean_by_group(theirs, users))
    assert difference.relative == pytest.approx(expected.mean / of_them)
    assert difference.relative_low == pytest.approx(expected.low / of_them)


def test_k_names_the_metrics_and_the_main_system_may_have_any_name() -> None:
    hits = {"ours": random_hits(np.random.default_rng(2), 0.5, 20)}
    hits["theirs"] = hits["ours"].copy()
    values = {name: request_values(of_system, np.full(20, 60), 20) for name, of_system in hits.items()}
    systems = system_intervals(values, np.arange(20), 1)
    assert {"ndcg@20", "recall@20", "map@20", "mrr", "recall@100"} <= set(systems["ours"])
    compared = paired_differences(values, np.arange(20), 1, main="ours", metrics=["recall@20"])
    difference = compared["recall@20"]["theirs"]
    assert (difference.mean, difference.low, difference.high, difference.relative) == (0, 0, 0, 0)


def test_who_asks_often_counts_once() -> None:
    values = {"movierank": {"mrr": np.array([1.0, 1.0, 1.0, 0.0])}, "other": {"mrr": np.full(4, 0.5)}}
    difference = paired_differences(values, np.array([1, 1, 1, 2]), 1, metrics=["mrr"])["mrr"]["other"]
    assert difference.mean == 0.0


def test_requests_without_targets_are_left_out_of_both_sides() -> None:
    values = {"movierank": {"mrr": np.array([0.6, NAN])}, "other": {"mrr": np.array([0.4, NAN])}}
    difference = paired_differences(values, np.array([1, 2]), 1, metrics=["mrr"])["mrr"]["other"]
    assert difference.mean == pytest.approx(0.2)
    assert difference.relative == pytest.approx(0.5)


def test_a_share_of_nothing_is_no_number() -> None:
    values = {"movierank": {"mrr": np.array([0.6])}, "other": {"mrr": np.array([0.0])}}
    difference = paired_differences(values, np.array([1]), 1, metrics=["mrr"])["mrr"]["other"]
    assert difference.mean == 0.6
    assert math.isnan(difference.relative)
    assert math.isnan(difference.relative_low)
