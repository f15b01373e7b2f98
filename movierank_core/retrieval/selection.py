"""Picking the best of many scores, in one pass over them."""

from typing import Final

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
    rows: NDArray[np.int64] = _best_above_floor(scores, eligible, among, n)
    return rows


SAMPLE: Final = 512
"""Rows that `_best_above_floor` looks at first."""


@njit(cache=True, nogil=True)
def _best_above_floor(scores, eligible, among, n):  # type: ignore[no-untyped-def]  # numba
    """`best_of`, at a fraction of its cost where `among` is long.

    The score that about three times `n` rows reach is estimated from an even sample; only the rows above it
    are collected and put in order. Where they turn out to be fewer than `n`, or too many, the heap does it.
    """
    if n == 0 or len(among) < 8 * n or len(among) < 2 * SAMPLE:
        return best_of(scores, eligible, among, n)
    step = len(among) // SAMPLE
    sample = np.empty(SAMPLE, np.float32)
    for place in range(SAMPLE):
        row = among[place * step]
        sample[place] = scores[row] if eligible[row] else np.float32(0)
    above = min(3 * n * SAMPLE // len(among) + 1, SAMPLE - 1)
    floor = max(np.partition(sample, SAMPLE - 1 - above)[SAMPLE - 1 - above], np.float32(0))
    rows = np.empty(8 * n, np.int64)
    size = 0
    for row in among:
        if scores[row] > floor and eligible[row]:
            if size == len(rows):
                return best_of(scores, eligible, among, n)
            rows[size] = row
            size += 1
    if size < n and floor > 0:
        return best_of(scores, eligible, among, n)
    # Stable, and rows of equal scores were met in ascending order, so that ties go by row.
    return rows[:size][np.argsort(-scores[rows[:size]], kind="mergesort")[:n]]


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
