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
"""Minimum standard deviation of the margins in the fit: a smaller spread would allow steep slopes."""
MAX_ITERATIONS: Final = 100
"""Maximum Newton steps of a fit."""
_TOLERANCE: Final = 1e-10
"""Maximum step of a parameter at which the fit has converged."""


def margins_of(raw: NDArray[np.float64], n_fused: int) -> NDArray[np.float64]:
    """Raw scores of one request less the log of the mean exponential of its first `n_fused` scores.

    The listwise objective leaves the level of a request's scores open: a constant added to every score
    changes no probability of the softmax. The margin is the logarithm of that probability, relative to a
    candidate drawn at random, so it compares between requests. The order stays. Movies that are scored
    beside the fused candidates do not change the margins of the others.
    """
    fused = raw[:n_fused]
    if not len(fused):
        return raw.copy()
    highest = fused.max()
    margins: NDArray[np.float64] = raw - (highest + np.log(np.exp(fused - highest).mean()))
    return margins


class ScoreCalibration(msgspec.Struct, frozen=True):
    """P(like | watched) = sigmoid(slope * margin + intercept + user_slope * logit(like_share)).

    Platt scaling (Platt 1999) of the margins of `margins_of`, with the user's share of likes as a second
    input. The user's term is constant within a request, so the order of the raw scores stays.
    """

    slope: float
    """At least `MIN_SLOPE`."""
    intercept: float
    user_slope: float

    def probabilities(self, margin: ArrayLike, like_share: ArrayLike) -> NDArray[np.float64]:
        """One probability in [0, 1] per margin.

        `like_share` is the user's shrunken share of likes in [0, 1], one number or one per score, clipped to
        1 % and 99 %. A higher margin has a higher probability; probabilities within 1e-16 of 1 may be
        equal.
        """
        return _sigmoid(
            self.slope * np.asarray(margin, np.float64)
            + self.intercept
            + self.user_slope * _logit(like_share)
        )


def fit_score_calibration(
    margin: ArrayLike, like_share: ArrayLike, liked: ArrayLike, weights: ArrayLike | None = None
) -> ScoreCalibration:
    """The calibration that fits rated movies best, by penalised maximum likelihood.

    All arguments have one entry per movie that a user rated later: its margin, the user's like share at
    that moment, whether they liked it, and its weight (1 by default).

    The penalty is a normal prior of variance 1 around the user's own like share for any score; the slope is
    measured in standard deviations of the margin. Without data the prior decides alone. It keeps the fit
    finite if all movies are likes, or none, and hardly matters with hundreds of rows.

    Raises ValueError for margins or shares that are not finite and for negative weights.
    """
    score, share, label = (
        np.asarray(margin, np.float64),
        np.asarray(like_share, np.float64),
        np.asarray(liked),
    )
    weight = np.ones(len(score)) if weights is None else np.asarray(weights, np.float64)
    if not np.isfinite(score).all() or not np.isfinite(share).all() or not (weight >= 0).all():
        raise ValueError("margins and like shares must be finite, weights at least 0")
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
