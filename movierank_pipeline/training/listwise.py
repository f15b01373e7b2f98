"""The objective of the ranker: a listwise softmax, and a logistic loss of each row as an anchor."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

if TYPE_CHECKING:
    from lightgbm import Dataset

Objective = Callable[[NDArray[np.float64], "Dataset"], tuple[NDArray[np.float64], NDArray[np.float64]]]
"""Gradient and Hessian of the loss, one entry per row each, at the raw scores of all rows."""

MIN_HESSIAN = 1e-16
"""Minimum second derivative, so that no leaf divides by 0."""


def ranking_objective(
    labels: NDArray[Any], group_sizes: NDArray[np.int64], pointwise_weight: float
) -> Objective:
    """The objective for rows grouped by request, `group_sizes` rows each; labels are 0 or 1.

    A request with |y| likes among its rows has the loss sqrt(|y|) * -sum_i (y_i / |y|) log p_i, where p is
    the softmax of its raw scores: the top-one loss of ListNet (Cao et al. 2007). The gradient is
    (p - y / |y|) sqrt(|y|), the diagonal of the Hessian p (1 - p) sqrt(|y|). More likes make a request weigh
    more, but not in proportion: they come from one user. A request without a like has no such loss.

    Each row also has `pointwise_weight` times the logistic loss of its label. The softmax alone does not fix
    the level of a request's scores, and with few requests it overfits (docs/why.md).
    """
    label = np.asarray(labels, np.float64)
    stops = np.cumsum(group_sizes)

    def objective(raw: NDArray[np.float64], dataset: "Dataset") -> tuple[Any, Any]:
        gradient, hessian = np.zeros(len(raw)), np.full(len(raw), MIN_HESSIAN)
        add_softmax_derivatives(raw, label, stops, gradient, hessian)
        p = 1.0 / (1.0 + np.exp(-np.clip(raw, -700, 700)))
        gradient += pointwise_weight * (p - label)
        hessian += pointwise_weight * p * (1.0 - p)
        return gradient, hessian

    return objective


@njit(cache=True, nogil=True)
def add_softmax_derivatives(raw, label, stops, gradient, hessian):  # type: ignore[no-untyped-def]  # numba
    """Adds the derivatives of the loss of each request, whose rows end before its entry of `stops`."""
    start = 0
    for stop in stops:
        n_likes, highest = 0.0, -np.inf
        for row in range(start, stop):
            n_likes += label[row]
            highest = max(highest, raw[row])
        if n_likes > 0:
            # 1. The sum of the softmax, shifted by the highest score so that nothing overflows.
            total = 0.0
            for row in range(start, stop):
                total += np.exp(raw[row] - highest)
            # 2. Both derivatives.
            weight = np.sqrt(n_likes)
            for row in range(start, stop):
                p = np.exp(raw[row] - highest) / total
                gradient[row] += (p - label[row] / n_likes) * weight
                hessian[row] += p * (1.0 - p) * weight
        start = stop
