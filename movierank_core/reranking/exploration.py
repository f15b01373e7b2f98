"""Exploration: rankings that are drawn instead of sorted, with the propensity of each movie.

A service that always shows the same movies learns nothing about others. Propensities allow unbiased estimates
from logged rankings (Joachims, Swaminathan and Schnabel 2017).
"""

import numpy as np
from numpy.typing import NDArray


def draw_ranking(
    scores: NDArray[np.float64], k: int, temperature: float, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Up to `k` indices of `scores` in the order drawn, and the propensity of each.

    Plackett-Luce: each rank goes to one of the remaining movies, with a probability proportional to
    exp(z / temperature), where z is the score in standard deviations over the request. One sort with Gumbel
    noise draws the whole list (Yellott 1977). At temperature 1, a movie one standard deviation better is 2.7
    times as likely to be next; towards 0 the order becomes that of the scores.

    A propensity is the exact probability that the movie was drawn at its rank, given the movies above it.
    Their product is the probability of the list.

    Raises ValueError for a temperature of 0 or below.
    """
    if temperature <= 0:
        raise ValueError(f"temperature is {temperature}, expected above 0")
    if not len(scores):
        return np.zeros(0, np.int64), np.zeros(0)
    spread = float(scores.std())
    utility = (scores - scores.max()) / (spread * temperature) if spread > 0 else np.zeros(len(scores))
    order = np.argsort(-(utility + rng.gumbel(size=len(scores))), kind="stable")
    drawn = utility[order]
    # Log of the sum over the remaining movies, accumulated from the end, so that nothing is subtracted.
    log_left = np.logaddexp.accumulate(drawn[::-1])[::-1]
    return order[:k], np.exp(drawn - log_left)[:k]
