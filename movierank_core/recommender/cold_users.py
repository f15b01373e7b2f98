"""Scores of the list for a user without history."""

import numpy as np
from numpy.typing import NDArray


def decreasing_fit(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """The never-increasing sequence closest to `values` in least squares (pool adjacent violators).

    Newcomers see popular movies, and each is scored with the share of its raters who
    liked it. Pooled so, the scores are probabilities of a like that agree with the order shown.
    """
    means: list[float] = []
    sizes: list[int] = []
    for value in values:
        mean, size = float(value), 1
        while means and means[-1] < mean:
            previous_mean, previous_size = means.pop(), sizes.pop()
            mean = (mean * size + previous_mean * previous_size) / (size + previous_size)
            size += previous_size
        means.append(mean)
        sizes.append(size)
    return np.repeat(means, sizes) if means else np.zeros(0)
