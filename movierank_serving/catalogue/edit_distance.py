"""Edit distance of one word to many, for typing errors."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

MAX_WORD: int = 24
"""Letters compared; longer words are cut."""


@njit(cache=True, nogil=True)
def distances(
    word: NDArray[np.uint16],
    others: NDArray[np.uint16],
    lengths: NDArray[np.int64],
    which: NDArray[np.int64],
    limit: int,
    is_prefix: bool,
) -> NDArray[np.int64]:
    """For each row of `others` in `which`, its distance to `word`; `limit` + 1 where it is more than `limit`.

    Optimal string alignment: insertions, deletions, substitutions and swaps of neighbours count 1 each.
    With `is_prefix` the distance is that to the closest beginning of the other word.
    """
    n = len(word)
    found = np.full(len(which), limit + 1, np.int64)
    rows = np.zeros((3, others.shape[1] + 1), np.int64)
    for place, index in enumerate(which):
        m = lengths[index]
        if is_prefix:
            m = min(m, n + limit)
        elif abs(m - n) > limit:
            continue
        for j in range(m + 1):
            rows[0, j] = j
        best = 0
        for i in range(1, n + 1):
            now, before, earlier = i % 3, (i - 1) % 3, (i - 2) % 3
            rows[now, 0] = i
            best = i
            for j in range(1, m + 1):
                cost = 0 if word[i - 1] == others[index, j - 1] else 1
                value = min(rows[before, j] + 1, rows[now, j - 1] + 1, rows[before, j - 1] + cost)
                if (
                    i > 1
                    and j > 1
                    and word[i - 1] == others[index, j - 2]
                    and word[i - 2] == others[index, j - 1]
                ):
                    value = min(value, rows[earlier, j - 2] + 1)
                rows[now, j] = value
                best = min(best, value)
            if best > limit:
                break
        if best <= limit:
            last = n % 3
            result = rows[last, m]
            if is_prefix:
                for j in range(m + 1):
                    result = min(result, rows[last, j])
            found[place] = min(result, limit + 1)
    return found
