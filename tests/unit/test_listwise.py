"""The derivatives of the ranker's objective."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from movierank_pipeline.training.listwise import ranking_objective

SIZES = np.array([3, 2, 4])
LABELS = np.array([1, 0, 0, 0, 0, 0, 1, 1, 0], np.int8)
RAW = np.array([0.3, -1.0, 0.7, 2.0, 1.0, 0.1, 0.4, -0.6, 1.5])


def loss(raw: NDArray[np.float64], pointwise_weight: float) -> float:
    """The definition, request by request."""
    total = 0.0
    for stop, size in zip(np.cumsum(SIZES), SIZES, strict=True):
        scores, labels = raw[stop - size : stop], LABELS[stop - size : stop]
        log_p = scores - np.log(np.exp(scores).sum())
        if labels.any():
            total -= np.sqrt(labels.sum()) * float(log_p @ labels) / labels.sum()
    p = 1 / (1 + np.exp(-raw))
    return total - pointwise_weight * float(np.log(np.where(LABELS > 0, p, 1 - p)).sum())


@pytest.mark.parametrize("pointwise_weight", [0.0, 0.3])
def test_the_gradient_is_that_of_the_loss(pointwise_weight: float) -> None:
    dataset: Any = None
    gradient, _ = ranking_objective(LABELS, SIZES, pointwise_weight)(RAW, dataset)
    steps = 1e-6 * np.eye(len(RAW))
    expected = [
        (loss(RAW + step, pointwise_weight) - loss(RAW - step, pointwise_weight)) / 2e-6 for step in steps
    ]
    np.testing.assert_allclose(gradient, expected, atol=1e-7)


def test_a_request_without_a_like_has_no_softmax_loss() -> None:
    dataset: Any = None
    gradient, hessian = ranking_objective(LABELS, SIZES, 0.0)(RAW, dataset)
    assert gradient[3:5].tolist() == [0, 0]
    assert bool((hessian > 0).all())


def test_large_scores_do_not_overflow() -> None:
    dataset: Any = None
    gradient, hessian = ranking_objective(LABELS, SIZES, 0.3)(1e3 * RAW - 500, dataset)
    assert np.isfinite(gradient).all()
    assert np.isfinite(hessian).all()
