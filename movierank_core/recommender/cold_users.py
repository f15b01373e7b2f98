"""Probabilities of the list for a cold-start user: one without a history."""

import numpy as np
from numpy.typing import NDArray


def isotonic_decreasing(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """The never-increasing sequence closest to `values` in least squares (pool adjacent violators).

    A cold-start list is ordered by popularity, and a movie's probability is the share of its raters who
    liked it. After isotonic regression the probabilities agree with the order of the list.
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
