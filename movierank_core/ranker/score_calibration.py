"""Score calibration: raw ranker scores become probabilities, and their order stays.

Genre calibration is different: it matches the genres of a list to a user's taste.
"""

from typing import Final

import msgspec
import numpy as np
from numpy.typing import ArrayLike, NDArray

MIN_SLOPE: Final = 0.01
"""Minimum slope, so that the map increases for any data."""
MIN_SPREAD: Final = 0.01
"""Minimum standard deviation of the raw scores in the fit: a smaller spread would allow steep slopes."""
MAX_ITERATIONS: Final = 100
"""Maximum Newton steps of a fit."""
_TOLERANCE: Final = 1e-10
"""Maximum step of a parameter at which the fit has converged."""


class ScoreCalibration(msgspec.Struct, frozen=True):
    """P(like | watched) = sigmoid(slope * raw + intercept + user_slope * logit(like_share)).

    Platt scaling (Platt 1999) with the user's share of likes as a second input. The user's term is constant
    within a request, so the order of the raw scores stays.
    """

    slope: float
    """At least `MIN_SLOPE`."""
    intercept: float
    user_slope: float

    def probabilities(self, raw: ArrayLike, like_share: ArrayLike) -> NDArray[np.float64]:
        """One probability in [0, 1] per raw score.

        `like_share` is the user's shrunken share of likes in [0, 1], one number or one per score, clipped to
        1 % and 99 %. A higher raw score has a higher probability; probabilities within 1e-16 of 1 may be
        equal.
        """
        return _sigmoid(
            self.slope * np.asarray(raw, np.float64) + self.intercept + self.user_slope * _logit(like_share)
        )


def fit_score_calibration(
    raw: ArrayLike, like_share: ArrayLike, liked: ArrayLike, weights: ArrayLike | None = None
) -> ScoreCalibration:
    """The calibration that fits rated movies best, by penalised maximum likelihood.

    All arguments have one entry per movie that a user rated later: its raw score, the user's like share at
    that moment, whether they liked it, and its weight (1 by default).

    The penalty is a normal prior of variance 1 around the user's own like share for any score; the slope is
    measured in standard deviations of the raw score. Without data the prior decides alone. It keeps the fit
    finite if all movies are likes, or none, and hardly matters with hundreds of rows.

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
    if parameters[0] / scale < MIN_SLOPE:  # At the bound, fit the other parameters.
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
    """The posterior mode of the free parameters, with the others fixed at their prior."""

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
        # A full step can overshoot where the sigmoid is flat. The loss is convex, so halve the step.
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
