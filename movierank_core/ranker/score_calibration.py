"""From raw ranker scores to probabilities, without changing any order.

Score calibration is not genre calibration: the one maps scores to probabilities, the other matches a list
to a taste.
"""

from typing import Final

import msgspec
import numpy as np
from numpy.typing import ArrayLike, NDArray

MIN_SLOPE: Final = 0.01
"""The least weight of a raw score, so that the map is increasing whatever the data say."""
MIN_SPREAD: Final = 0.01
"""Raw scores that spread less (standard deviation) count as spreading this much: no steep slopes on dust."""
MAX_ITERATIONS: Final = 100
_TOLERANCE: Final = 1e-10


class ScoreCalibration(msgspec.Struct, frozen=True):
    """P(like | watched) = sigmoid(slope * raw + intercept + user_slope * logit(like_share)).

    Within a request the user's term is constant, so the order is that of the raw scores. Platt scaling
    (Platt 1999) with the user's leniency as a second input.
    """

    slope: float
    """At least `MIN_SLOPE`."""
    intercept: float
    user_slope: float

    def probabilities(self, raw: ArrayLike, like_share: ArrayLike) -> NDArray[np.float64]:
        """One probability in [0, 1] per raw score.

        `like_share` is the user's shrunken share of likes in [0, 1], a number or one per score; beyond
        1 % and 99 % it counts as that. Higher raw scores get higher probabilities, strictly so up to
        where float64 ends (a probability within 1e-16 of 1).
        """
        return _sigmoid(
            self.slope * np.asarray(raw, np.float64) + self.intercept + self.user_slope * _logit(like_share)
        )


def fit_score_calibration(
    raw: ArrayLike, like_share: ArrayLike, liked: ArrayLike, weights: ArrayLike | None = None
) -> ScoreCalibration:
    """The calibration that fits rated movies best, by penalised maximum likelihood.

    All arguments have one entry per movie that a user went on to rate: its raw score, the user's like
    share at that moment, whether they liked it, and how much it counts (1 each by default).

    The penalty is a normal prior of variance 1 around "the user's own like share, whatever the score",
    for the slope in standard deviations of the raw score. It decides alone where there are no data,
    keeps the fit finite where all are likes or none, and vanishes among hundreds of rows.

    Raises ValueError for scores or shares that are not finite and for negative weights.
    """
    score, share, label = np.asarray(raw, np.float64), np.asarray(like_share, np.float64), np.asarray(liked)
    weight = np.ones(len(score)) if weights is None else np.asarray(weights, np.float64)
    if not np.isfinite(score).all() or not np.isfinite(share).all() or not (weight >= 0).all():
        raise ValueError("raw scores and like shares must be finite, weights at least 0")
    if weight.sum() == 0:
        return ScoreCalibration(MIN_SLOPE, 0.0, 1.0)
    mean = float(np.average(score, weights=weight))
    spread = float(np.sqrt(np.average((score - mean) ** 2, weights=weight)))
    scale = max(spread, MIN_SPREAD)
    design = np.column_stack([(score - mean) / scale, np.ones(len(score)), _logit(share)])
    prior = np.array([0.0, 0.0, 1.0])
    label = label.astype(np.float64)
    parameters = _newton(design, label, weight, prior, np.array([True, True, True]))
    if parameters[0] / scale < MIN_SLOPE:  # On the border of what is allowed, the others fit around it.
        prior[0] = MIN_SLOPE * scale
        parameters = _newton(design, label, weight, prior, np.array([False, True, True]))
    slope = max(float(parameters[0]) / scale, MIN_SLOPE)
    return ScoreCalibration(slope, float(parameters[1]) - slope * mean, float(parameters[2]))


def _newton(
    design: NDArray[np.float64],
    label: NDArray[np.float64],
    weight: NDArray[np.float64],
    prior: NDArray[np.float64],
    free: NDArray[np.bool_],
) -> NDArray[np.float64]:
    """The mode of the posterior over the free parameters, the others held at their prior."""

    def loss(at: NDArray[np.float64]) -> float:
        value = design @ at
        return float(weight @ (np.logaddexp(0.0, value) - label * value) + 0.5 * np.sum((at - prior) ** 2))

    parameters = prior.copy()
    part = design[:, free]
    present = loss(parameters)
    for _ in range(MAX_ITERATIONS):
        p = _sigmoid(design @ parameters)
        gradient = part.T @ (weight * (p - label)) + (parameters - prior)[free]
        hessian = (part.T * (weight * p * (1 - p))) @ part + np.eye(part.shape[1])
        step = np.zeros(len(parameters))
        step[free] = np.linalg.solve(hessian, gradient)
        # A full step can overshoot where the sigmoid is flat; the loss is convex, so a shorter one helps.
        factor = 1.0
        while (proposed := loss(parameters - factor * step)) > present and factor > _TOLERANCE:
            factor /= 2
        if proposed > present:
            break
        parameters -= factor * step
        present = proposed
        if np.abs(factor * step).max() < _TOLERANCE:
            break
    return parameters


def _sigmoid(value: NDArray[np.float64]) -> NDArray[np.float64]:
    return 1.0 / (1.0 + np.exp(-np.clip(value, -700, 700)))


def _logit(share: ArrayLike) -> NDArray[np.float64]:
    p = np.clip(np.asarray(share, np.float64), 0.01, 0.99)
    return np.log(p / (1 - p))
