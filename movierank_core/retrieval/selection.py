"""Picking the best of many scores, in one pass over them."""

import numpy as np
from numba import njit
from numpy.typing import NDArray


def best_rows(scores: NDArray[np.float32], eligible: NDArray[np.bool_], n: int) -> NDArray[np.int64]:
    """The `n` eligible rows with the highest positive scores, best first, ties by row; fewer if there are."""
    rows: NDArray[np.int64] = best_rows_unsorted(scores, eligible, n)
    return rows[np.lexsort((rows, -scores[rows]))]


@njit(cache=True, nogil=True)
def best_rows_unsorted(scores, eligible, n):  # type: ignore[no-untyped-def]  # numba
    """The best rows in no order: a heap of `n` with the worst on top, of equal scores the highest row."""
    heap = np.empty(min(n, len(scores)), np.int64)
    if len(heap) == 0:
        return heap
    size = 0
    worst = np.float32(0)
    for row in range(len(scores)):
        # Rows come in ascending order, so one that equals the worst comes after it and loses.
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
            if size == len(heap):
                worst = scores[heap[0]]
            continue
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
        worst = scores[heap[0]]
    return heap[:size]


@njit(cache=True, nogil=True, inline="always")
def _is_worse(scores, row, than):  # type: ignore[no-untyped-def]  # numba
    return scores[row] < scores[than] or (scores[row] == scores[than] and row > than)


@njit(cache=True, nogil=True)
def add_reciprocal_ranks(rows, weight, offset, out):  # type: ignore[no-untyped-def]  # numba
    """Adds weight / (offset + rank) of each of `rows`, ranks from 1, to `out`."""
    for place in range(len(rows)):
        out[rows[place]] += np.float32(weight / (offset + 1.0 + place))
