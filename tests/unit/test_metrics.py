"""Metrics agree with hand computation and with ir_measures (trec_eval)."""

import math

import ir_measures
import numpy as np
import pytest
from ir_measures import AP, RR, Bpref, Judged, P, R, nDCG
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray

from movierank_pipeline import ranking_metrics as metrics

RANKED = np.array([[4, 2, 9, -1], [1, 2, 3, 4], [5, 6, 7, 8]])
TARGETS = [np.array([2, 9, 100]), np.array([4]), np.array([], np.int64)]
N_RELEVANT = np.array([3, 1, 0])
HITS = metrics.hits_of(RANKED, TARGETS)
NAN = float("nan")


def test_hits_mark_the_targets_of_each_request() -> None:
    assert HITS.astype(int).tolist() == [[0, 1, 1, 0], [0, 0, 0, 1], [0, 0, 0, 0]]


def test_padding_is_no_hit_even_where_a_target_is_unknown() -> None:
    assert metrics.hits_of(np.array([[3, -1], [-1, -1]]), [np.array([-1, 3]), np.array([-1])]).tolist() == [
        [True, False],
        [False, False],
    ]


def test_no_requests_have_no_hits() -> None:
    assert metrics.hits_of(np.empty((0, 10), np.int64), []).shape == (0, 10)


def test_a_movie_twice_in_a_list_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^a ranked list holds the same movie twice$"):
        metrics.hits_of(np.array([[3, 1, 3]]), [np.array([1])])


def test_metrics_by_hand() -> None:
    log = math.log2
    cases: list[tuple[NDArray[np.float64], list[float]]] = [
        (
            metrics.ndcg(HITS, N_RELEVANT, 3),
            [(1 / log(3) + 1 / log(4)) / (1 + 1 / log(3) + 1 / log(4)), 0.0, NAN],
        ),
        (metrics.ndcg(HITS, N_RELEVANT, 2), [(1 / log(3)) / (1 + 1 / log(3)), 0.0, NAN]),
        (metrics.ndcg(HITS, N_RELEVANT, 10), [(1 / log(3) + 0.5) / (1.5 + 1 / log(3)), 1 / log(5), NAN]),
        (metrics.precision(HITS, N_RELEVANT, 2), [0.5, 0.0, NAN]),
        (metrics.precision(HITS, N_RELEVANT, 10), [0.2, 0.1, NAN]),
        (metrics.recall(HITS, N_RELEVANT, 2), [1 / 3, 0.0, NAN]),
        (metrics.recall(HITS, N_RELEVANT, 10), [2 / 3, 1.0, NAN]),
        (metrics.average_precision(HITS, N_RELEVANT, 3), [(1 / 2 + 2 / 3) / 3, 0.0, NAN]),
        (metrics.reciprocal_rank(HITS, N_RELEVANT), [1 / 2, 1 / 4, NAN]),
    ]
    for found, expected in cases:
        assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_metrics_agree_with_ir_measures(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n_requests, n_movies, depth = 60, 300, 100
    ranked = np.argsort(rng.random((n_requests, n_movies)), axis=1)[:, :depth]
    for request, length in enumerate(rng.integers(0, depth + 1, n_requests)):
        ranked[request, length:] = -1
    targets = [rng.choice(n_movies, rng.integers(1, 40), replace=False) for _ in range(n_requests)]
    hits = metrics.hits_of(ranked, targets)
    n_relevant = np.array([len(rows) for rows in targets])
    run = {
        f"q{request}": {f"m{row}": 1.0 - place / depth for place, row in enumerate(rows) if row >= 0}
        for request, rows in enumerate(ranked)
    }
    qrels = {f"q{request}": {f"m{row}": 1 for row in rows} for request, rows in enumerate(targets)}
    found = {
        nDCG @ 10: metrics.ndcg(hits, n_relevant, 10),
        nDCG @ 100: metrics.ndcg(hits, n_relevant, 100),
        P @ 10: metrics.precision(hits, n_relevant, 10),
        R @ 10: metrics.recall(hits, n_relevant, 10),
        R @ 100: metrics.recall(hits, n_relevant, 100),
        AP @ 10: metrics.average_precision(hits, n_relevant, 10),
        AP @ 100: metrics.average_precision(hits, n_relevant, 100),
        RR: metrics.reciprocal_rank(hits, n_relevant),
    }
    for value in ir_measures.iter_calc(list(found), qrels, run):
        assert found[value.measure][int(value.query_id[1:])] == pytest.approx(value.value, abs=1e-9)


def test_gains_stand_at_the_ranks_of_their_movies() -> None:
    gains = [np.array([3.0, 0.5, 7.0]), np.array([2.0]), np.array([])]
    assert metrics.gains_of(RANKED, TARGETS, gains).tolist() == [
        [0.0, 3.0, 0.5, 0.0],
        [0.0, 0.0, 0.0, 2.0],
        [0.0, 0.0, 0.0, 0.0],
    ]
    unknown = metrics.gains_of(np.array([[3, -1]]), [np.array([-1, 3])], [np.array([9.0, 2.0])])
    assert unknown.tolist() == [[2.0, 0.0]]
    assert metrics.gains_of(np.array([[3]]), [np.array([-1])], [np.array([9.0])]).tolist() == [[0.0]]


def test_metrics_with_gains_by_hand() -> None:
    log = math.log2
    gains = [np.array([3.0, 0.5, 7.0]), np.array([2.0]), np.array([])]
    at_ranks = metrics.gains_of(RANKED, TARGETS, gains)
    # The best list has the gains 7, 3 and 0.5; its first two ranks count.
    assert_allclose(
        metrics.gain_ndcg(at_ranks, gains, 2), [(3 / log(3)) / (7 + 3 / log(3)), 0.0, NAN], rtol=1e-12
    )
    assert_allclose(metrics.gain_recall(at_ranks, gains, 2), [3 / 10.5, 0.0, NAN], rtol=1e-12)
    assert_allclose(metrics.gain_recall(at_ranks, gains, 10), [3.5 / 10.5, 1.0, NAN], rtol=1e-12)


def test_equal_gains_give_the_binary_metrics() -> None:
    gains = [np.full(len(rows), 0.3) for rows in TARGETS]
    at_ranks = metrics.gains_of(RANKED, TARGETS, gains)
    for k in (1, 2, 10):
        assert_allclose(metrics.gain_ndcg(at_ranks, gains, k), metrics.ndcg(HITS, N_RELEVANT, k))
        assert_allclose(metrics.gain_recall(at_ranks, gains, k), metrics.recall(HITS, N_RELEVANT, k))


def test_the_band_over_choices_of_the_only_target_by_hand() -> None:
    choices = [np.array([2, 9]), np.array([4, 100]), np.array([6]), np.array([], np.int64)]
    ranked = np.concatenate([RANKED, [[1, 2, 3, 4]]])
    found = metrics.choice_ndcg(ranked, choices, 3)
    # Ranks 2 and 3; rank 4, beyond k, and not listed; rank 2 alone; no choice.
    assert_allclose(found["best"], [1 / math.log2(3), 0.0, 1 / math.log2(3), NAN])
    assert_allclose(found["worst"], [1 / math.log2(4), 0.0, 1 / math.log2(3), NAN])
    one_listed = metrics.choice_ndcg(np.array([[2, 5]]), [np.array([2, 9])], 3)
    assert (one_listed["worst"].tolist(), one_listed["best"].tolist()) == ([0.0], [1.0])


def test_bpref_and_the_share_of_judged_results_by_hand() -> None:
    # The first list: other, relevant, other, unjudged, relevant. A third relevant movie is not in it.
    ranked = np.array([[1, 2, 3, 4, 5], [6, 7, -1, -1, -1], [-1, -1, -1, -1, -1]])
    hits = np.array([[0, 1, 0, 0, 1], [1, 0, 0, 0, 0], [0, 0, 0, 0, 0]], np.bool_)
    judged = np.array([[1, 1, 1, 0, 1], [1, 0, 0, 0, 0], [0, 0, 0, 0, 0]], np.bool_)
    n_relevant, n_judged = np.array([3, 1, 0]), np.array([5, 1, 2])
    # R = 3, N = 2: 1 - 1/2 for the first relevant movie, 1 - 2/2 for the second.
    assert_allclose(metrics.bpref(hits, judged, n_relevant, n_judged), [0.5 / 3, 1.0, NAN])
    assert_allclose(metrics.judged_share(ranked, judged, 4), [3 / 4, 1 / 2, NAN])


@pytest.mark.parametrize("seed", range(3))
def test_graded_metrics_agree_with_ir_measures(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n_requests, n_movies, depth = 40, 200, 100
    ranked = np.argsort(rng.random((n_requests, n_movies)), axis=1)[:, :depth]
    for request, length in enumerate(rng.integers(1, depth + 1, n_requests)):
        ranked[request, length:] = -1
    rows = [rng.choice(n_movies, rng.integers(2, 60), replace=False) for _ in range(n_requests)]
    grades = [np.concatenate([[1.0], rng.integers(0, 4, len(each) - 1)]) for each in rows]
    gains = metrics.gains_of(ranked, rows, grades)
    hits, judged = gains > 0, metrics.hits_of(ranked, rows)
    n_relevant = np.array([(each > 0).sum() for each in grades])
    n_judged = np.array([len(each) for each in rows])
    run = {
        f"q{request}": {f"m{row}": 1.0 - place / depth for place, row in enumerate(of_list) if row >= 0}
        for request, of_list in enumerate(ranked)
    }
    qrels = {
        f"q{request}": {f"m{row}": int(grade) for row, grade in zip(each, of_request, strict=True)}
        for request, (each, of_request) in enumerate(zip(rows, grades, strict=True))
    }
    found = {
        nDCG @ 10: metrics.gain_ndcg(gains, grades, 10),
        nDCG @ 100: metrics.gain_ndcg(gains, grades, 100),
        Bpref: metrics.bpref(hits, judged, n_relevant, n_judged),
        Judged @ 10: metrics.judged_share(ranked, judged, 10),
        R @ 100: metrics.recall(hits, n_relevant, 100),
    }
    n_compared = 0
    for value in ir_measures.iter_calc(list(found), qrels, run):
        assert found[value.measure][int(value.query_id[1:])] == pytest.approx(value.value, abs=1e-9)
        n_compared += 1
    assert n_compared == len(found) * n_requests


def test_users_are_averaged_before_the_average_over_users() -> None:
    values = np.array([1.0, 0.0, 0.5, NAN, NAN])
    assert_array_equal(metrics.mean_by_group(values, np.array([7, 7, 3, 3, 9])), [0.5, 0.5, NAN])


def test_coverage_counts_movies_that_anybody_sees() -> None:
    ranked = np.array([[0, 1, 5], [1, 2, -1]])
    assert metrics.coverage(ranked, n_movies=10, k=2) == 0.3
    assert metrics.coverage(ranked, n_movies=10, k=3) == 0.4
    assert math.isnan(metrics.coverage(ranked, n_movies=0, k=3))


def test_novelty_is_the_mean_self_information() -> None:
    popularity = np.array([8.0, 4.0, 3.0, 0.0])
    # Shares 1/2, 1/4, 3/16 and, since nobody saw it, 1/16 as if one had.
    assert metrics.novelty(np.array([[0, 1], [3, -1]]), popularity, k=2) == pytest.approx((1 + 2 + 4) / 3)
    assert math.isnan(metrics.novelty(np.array([[-1]]), popularity, k=1))


def test_diversity_is_one_minus_the_mean_cosine_of_pairs() -> None:
    vectors = np.array([[1.0, 0.0], [0.0, 1.0], [np.sqrt(0.5), np.sqrt(0.5)], [0.0, 0.0]], np.float32)
    ranked = np.array([[0, 1, -1], [0, 2, 1], [0, 0, -1], [3, 0, -1], [0, -1, -1]])
    found = metrics.intra_list_diversity(ranked, vectors, k=2)
    assert_allclose(found, [1.0, 1 - np.sqrt(0.5), 0.0, 1.0, NAN], atol=1e-6)
    three = metrics.intra_list_diversity(ranked[1:2], vectors, k=3)
    assert_allclose(three, [1 - 2 * np.sqrt(0.5) / 3], atol=1e-6)
