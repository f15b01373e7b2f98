"""Rankings that are drawn instead of sorted, with the probability of every draw.

A service that always shows the same learns nothing of what else would have been liked; with the propensities
beside them, what it did show can be weighed (Joachims, Swaminathan and Schnabel 2017).
"""

import numpy as np
from numpy.typing import NDArray


def draw_ranking(
    scores: NDArray[np.float64], k: int, temperature: float, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Up to `k` positions of `scores` in the order drawn, and the propensity of each.

    Plackett-Luce: each place goes to one of the positions that are left, with a probability proportional to
    exp(z / temperature), where z are the scores in their standard deviations over the request. Drawn in one
    go by sorting with Gumbel noise (Yellott 1977). `temperature` above 0; at 1, a movie one standard
    deviation better is 2.7 times as likely to be next; towards 0 the order becomes that of the scores.

    The propensity of a place is the exact probability that its movie was drawn there given those above it;
    their product is the probability of the list.
    """
    if temperature <= 0:
        raise ValueError(f"temperature is {temperature}, expected above 0")
    if not len(scores):
        return np.zeros(0, np.int64), np.zeros(0)
    spread = float(scores.std())
    utility = (scores - scores.max()) / (spread * temperature) if spread > 0 else np.zeros(len(scores))
    order = np.argsort(-(utility + rng.gumbel(size=len(scores))), kind="stable")
    drawn = utility[order]
    # Log of the sum over what is left, added from the smallest end: nothing is ever subtracted.
    log_left = np.logaddexp.accumulate(drawn[::-1])[::-1]
    return order[:k], np.exp(drawn - log_left)[:k]
