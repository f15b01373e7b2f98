"""What holds of the metrics for any lists and targets."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray

from movierank_pipeline import ranking_metrics as metrics

N_MOVIES = 12

Case = tuple[NDArray[np.int64], list[NDArray[np.int64]]]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    depth = draw(st.integers(1, N_MOVIES))
    n_requests = draw(st.integers(1, 5))
    ranked = np.full((n_requests, depth), -1, np.int64)
    targets = []
    for request in range(n_requests):
        order = draw(st.permutations(range(N_MOVIES)))
        length = draw(st.integers(0, depth))
        ranked[request, :length] = order[:length]
        targets.append(np.array(draw(st.lists(st.integers(0, N_MOVIES - 1), unique=True)), np.int64))
    return ranked, targets


def sizes(targets: list[NDArray[np.int64]]) -> NDArray[np.int64]:
    return np.array([len(rows) for rows in targets], np.int64)


@given(case=cases(), k=st.integers(1, 20))
def test_metrics_stay_in_range_and_know_who_has_no_targets(case: Case, k: int) -> None:
    ranked, targets = case
    hits, n_relevant = metrics.hits_of(ranked, targets), sizes(targets)
    for values in (
        metrics.ndcg(hits, n_relevant, k),
        metrics.precision(hits, n_relevant, k),
        metrics.recall(hits, n_relevant, k),
        metrics.average_precision(hits, n_relevant, k),
        metrics.reciprocal_rank(hits, n_relevant),
    ):
        assert_array_equal(np.isnan(values), n_relevant == 0)
        assert ((values[n_relevant > 0] >= 0) & (values[n_relevant > 0] <= 1 + 1e-12)).all()


@given(case=cases(), k=st.integers(1, N_MOVIES))
def test_places_after_k_do_not_count(case: Case, k: int) -> None:
    ranked, targets = case
    n_relevant = sizes(targets)
    cut = ranked.copy()
    cut[:, k:] = -1
    for metric in (metrics.ndcg, metrics.precision, metrics.recall, metrics.average_precision):
        whole = metric(metrics.hits_of(ranked, targets), n_relevant, k)
        assert_array_equal(metric(metrics.hits_of(cut, targets), n_relevant, k), whole)


@given(case=cases(), k=st.integers(1, 20))
def test_all_targets_first_is_a_perfect_list(case: Case, k: int) -> None:
    _, targets = case
    ideal = np.full((len(targets), N_MOVIES), -1, np.int64)
    for request, rows in enumerate(targets):
        ideal[request, : len(rows)] = rows
    hits, n_relevant = metrics.hits_of(ideal, targets), sizes(targets)
    asked = n_relevant > 0
    assert_allclose(metrics.ndcg(hits, n_relevant, k)[asked], 1.0)
    assert_allclose(metrics.reciprocal_rank(hits, n_relevant)[asked], 1.0)
    assert_allclose(metrics.recall(hits, n_relevant, N_MOVIES)[asked], 1.0)


@given(case=cases())
def test_hits_are_those_of_a_set(case: Case) -> None:
    ranked, targets = case
    expected = [
        [row in set(rows.tolist()) for row in shown] for shown, rows in zip(ranked, targets, strict=True)
    ]
    assert_array_equal(metrics.hits_of(ranked, targets), expected)


@given(case=cases(), seed=st.integers(0, 2**32), k=st.integers(1, N_MOVIES))
def test_the_order_of_requests_does_not_matter(case: Case, seed: int, k: int) -> None:
    ranked, targets = case
    order = np.random.default_rng(seed).permutation(len(ranked))
    values = metrics.ndcg(metrics.hits_of(ranked, targets), sizes(targets), k)
    shuffled = [targets[request] for request in order]
    # Up to rounding: a product of matrices adds up a row in an order that depends on where the row is.
    assert_allclose(
        metrics.ndcg(metrics.hits_of(ranked[order], shuffled), sizes(shuffled), k), values[order], rtol=1e-12
    )
    assert metrics.coverage(ranked[order], N_MOVIES, k) == metrics.coverage(ranked, N_MOVIES, k)
