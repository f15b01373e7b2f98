"""Picking the best of many scores, in one pass over them."""

import numpy as np
from numba import njit
from numpy.typing import NDArray


def best_rows(
    scores: NDArray[np.float32],
    eligible: NDArray[np.bool_],
    n: int,
    among: NDArray[np.int64] | None = None,
) -> NDArray[np.int64]:
    """The `n` eligible rows with the highest positive scores, best first, ties by row; fewer if there are.

    `among` names the rows that can have a positive score, where that is known: the others are not looked
    at. It must be ascending, or ordered by descending score with ties by row.
    """
    if among is None:
        among = np.arange(len(scores))
    rows: NDArray[np.int64] = best_of(scores, eligible, among, n)
    return rows


@njit(cache=True, nogil=True)
def best_of(scores, eligible, among, n):  # type: ignore[no-untyped-def]  # numba
    """`best_rows`: a heap with the worst on top, of equal scores the highest row, emptied from the back."""
    heap = np.empty(min(n, len(among)), np.int64)
    if len(heap) == 0:
        return heap
    size = 0
    worst = np.float32(0)
    for row in among:
        # Of rows with equal scores the lowest comes first, so one that equals the worst loses.
        if scores[row] <= worst or not eligible[row]:
            continue
        if size < len(heap):
            place = size
            size += 1
            while place > 0:
                parent = (place - 1) >> 1
                if _is_worse(scores, heap[parent], row):
                    break
                heap[place] = heap[parent]
                place = parent
            heap[place] = row
        else:
            _replace_top(scores, heap, size, row)
        if size == len(heap):
            worst = scores[heap[0]]
    for last in range(size - 1, 0, -1):
        row = heap[last]
        heap[last] = heap[0]
        _replace_top(scores, heap, last, row)
    return heap[:size]


@njit(cache=True, nogil=True)
def _replace_top(scores, heap, size, row):  # type: ignore[no-untyped-def]  # numba
    """Puts `row` where the worst was, and the heap of `size` rows in order again."""
    place = 0
    while True:
        child = 2 * place + 1
        if child >= size:
            break
        other = child + 1
        if other < size and _is_worse(scores, heap[other], heap[child]):
            child = other
        if not _is_worse(scores, heap[child], row):
            break
        heap[place] = heap[child]
        place = child
    heap[place] = row


@njit(cache=True, nogil=True, inline="always")
def _is_worse(scores, row, than):  # type: ignore[no-untyped-def]  # numba
    return scores[row] < scores[than] or (scores[row] == scores[than] and row > than)


@njit(cache=True, nogil=True)
def add_reciprocal_ranks(rows, weight, offset, out):  # type: ignore[no-untyped-def]  # numba
    """Adds weight / (offset + rank) of each of `rows`, ranks from 1, to `out`."""
    for place in range(len(rows)):
        out[rows[place]] += np.float32(weight / (offset + 1.0 + place))
