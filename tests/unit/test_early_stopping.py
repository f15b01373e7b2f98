"""The number of trees follows from the nDCG@10 of the validation requests."""

import math

import numpy as np
import pytest

from movierank_pipeline.training.early_stopping import STAGE, best_n_trees


def test_a_request_with_two_candidates_does_not_cut_the_lists_of_the_others() -> None:
    labels = np.array([1, 0, *[0] * 11, 1], np.int8)
    short = [2.0, 1.0]
    # The like of the second request moves from rank 10 to rank 3.
    at_rank_10 = [*range(20, 9, -1), 11.5]
    at_rank_3 = [*range(20, 9, -1), 18.5]
    staged = np.array([short + at_rank_10, short + at_rank_3], np.float64)
    n_trees, ndcg = best_n_trees(staged, labels, np.array([2, 12]), 60)
    assert n_trees == 2 * STAGE
    assert ndcg == pytest.approx((1 + 1 / math.log2(4)) / 2)


def test_an_empty_rank_is_no_hit() -> None:
    labels = np.array([0, 1], np.int8)
    _, ndcg = best_n_trees(np.array([[2.0, 1.0]]), labels, np.array([2]), 20)
    assert ndcg == pytest.approx(1 / math.log2(3))


def test_without_validation_requests_all_trees_stay() -> None:
    nothing = np.zeros((0, 0))
    n_trees, ndcg = best_n_trees(nothing, np.zeros(0, np.int8), np.zeros(0, np.int64), 60)
    assert n_trees == 60
    assert math.isnan(ndcg)
