"""The best of many scores in one pass, and the sums of reciprocal rank fusion."""

from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray


def best_rows(
    scores: NDArray[np.float32], rows: NDArray[np.int64], eligible: NDArray[np.bool_], n: int
) -> NDArray[np.int64]:
    """Up to `n` eligible rows with the highest scores above 0, best first, ties by row.

    `scores` has one entry per row of `rows`, which are ascending; `eligible` has one per catalogue row.
    """
    if n > 0 and len(rows) >= max(8 * n, 2 * SAMPLE_SIZE):
        keys = _keys_above_floor(np.ascontiguousarray(scores), rows, eligible, n)
        if len(keys):
            keys.sort()  # All keys differ, so the order does not depend on the sort.
            return (keys[:n] & np.uint64(0xFFFFFFFF)).astype(np.int64)
    best: NDArray[np.int64] = rows[best_of(scores, rows, eligible, n)]
    return best


def first_rows(ordered: NDArray[np.int64], eligible: NDArray[np.bool_], n: int) -> NDArray[np.int64]:
    """The first `n` eligible rows of `ordered`."""
    rows: NDArray[np.int64] = _first_of(ordered, eligible, n)
    return rows


SAMPLE_SIZE: Final = 512
"""Number of rows in the sample that estimates a floor."""
N_BISECTIONS: Final = 16
"""Number of bisection steps of the floor. They tell scores apart that differ by 1/65,536 of all floats."""
_INFINITY_BITS: Final = 0x7F800000


@njit(cache=True, nogil=True)
def _keys_above_floor(scores, rows, eligible, n):  # type: ignore[no-untyped-def]  # numba
    """One key per eligible row above an estimated floor, the `n` best rows among them.

    Ascending keys are descending scores with ties by row: the upper half of a key holds the inverted bits of
    the score, which order like an integer above 0, and the lower half holds the row. Empty if fewer than `n`
    or more than 8 `n` rows are above the floor.
    """
    bits = scores.view(np.int32)
    # 1. The score that about 3 n rows reach.
    floor = _floor(scores, rows, eligible, min(3 * n * SAMPLE_SIZE // len(rows) + 1, SAMPLE_SIZE - 1))
    # 2. Collect the keys of the eligible rows above it.
    keys = np.empty(8 * n, np.uint64)
    size = 0
    for column in range(len(rows)):
        index = np.uint64(column)  # numba does not test an unsigned index for being negative.
        if scores[index] > floor:
            row = np.uint64(rows[index])
            if eligible[row]:
                if size == len(keys):
                    return keys[:0]
                keys[size] = np.uint64(0x7FFFFFFF - bits[index]) << np.uint64(32) | row
                size += 1
    return keys[:size] if size >= n else keys[:0]


@njit(cache=True, nogil=True)
def _floor(scores, rows, eligible, n_above):  # type: ignore[no-untyped-def]  # numba
    """A score of at least 0 that about `n_above` rows of an even sample exceed."""
    # 1. Take every step-th score; a row that is not eligible counts as 0.
    step = len(rows) // SAMPLE_SIZE
    sample = np.empty(SAMPLE_SIZE, np.float32)
    for k in range(SAMPLE_SIZE):
        index = np.uint64(k * step)
        sample[k] = scores[index] if eligible[np.uint64(rows[index])] else np.float32(0)
    # 2. Bisect the bits of the floor, which order like the floats that they encode.
    limit = np.zeros(1, np.float32)
    limit_bits = limit.view(np.int32)
    low, high = np.int32(0), np.int32(_INFINITY_BITS)
    for _ in range(N_BISECTIONS):
        middle = np.int32(low + ((high - low) >> 1))
        limit_bits[0] = middle
        floor = limit[0]
        n_over = np.int32(0)
        for k in range(SAMPLE_SIZE):
            n_over += np.int32(sample[k] > floor)
        if n_over > n_above:
            low = middle
        else:
            high = middle
    limit_bits[0] = low
    return limit[0]


@njit(cache=True, nogil=True)
def _first_of(ordered, eligible, n):  # type: ignore[no-untyped-def]  # numba
    rows = np.empty(min(n, len(ordered)), np.int64)
    size = 0
    for row in ordered:
        if size == len(rows):
            break
        if eligible[row]:
            rows[size] = row
            size += 1
    return rows[:size]


@njit(cache=True, nogil=True)
def best_of(scores, rows, eligible, n):  # type: ignore[no-untyped-def]  # numba
    """Indices in `rows` of the best ones, as `best_rows` orders them.

    Top-n by bounded min-heap; of equal scores the heap keeps the lower index.
    """
    heap = np.empty(min(n, len(rows)), np.int64)
    if len(heap) == 0:
        return heap
    # 1. Keep the n best so far, with the worst one at the root.
    size = 0
    worst = np.float32(0)
    for candidate in range(len(rows)):
        # Indices ascend, so a candidate that equals the worst score loses against it.
        if scores[candidate] <= worst or not eligible[rows[candidate]]:
            continue
        if size < len(heap):
            # Append, and move up while the parent is better.
            node = size
            size += 1
            while node > 0:
                parent = (node - 1) >> 1
                if _is_worse(scores, heap[parent], candidate):
                    break
                heap[node] = heap[parent]
                node = parent
            heap[node] = candidate
        else:
            _replace_root(scores, heap, size, candidate)
        if size == len(heap):
            worst = scores[heap[0]]
    # 2. Sort in place: move the worst of the rest behind the rest.
    for last in range(size - 1, 0, -1):
        candidate = heap[last]
        heap[last] = heap[0]
        _replace_root(scores, heap, last, candidate)
    return heap[:size]


@njit(cache=True, nogil=True)
def _replace_root(scores, heap, size, candidate):  # type: ignore[no-untyped-def]  # numba
    """Replaces the root of a heap of `size` indices by `candidate`, and restores the heap."""
    node = 0
    while True:
        child = 2 * node + 1
        if child >= size:
            break
        other = child + 1
        if other < size and _is_worse(scores, heap[other], heap[child]):
            child = other
        if not _is_worse(scores, heap[child], candidate):
            break
        heap[node] = heap[child]
        node = child
    heap[node] = candidate


@njit(cache=True, nogil=True, inline="always")
def _is_worse(scores, index, than):  # type: ignore[no-untyped-def]  # numba
    return scores[index] < scores[than] or (scores[index] == scores[than] and index > than)


@njit(cache=True, nogil=True)
def add_reciprocal_ranks(rows, starts, weights, offset, n_movies):  # type: ignore[no-untyped-def]  # numba
    """Each proposed row once, its sum of weight / (offset + rank) with ranks from 1, and its number of lists.

    List k is rows[starts[k] : starts[k + 1]], best first, with weight weights[k]. Rows are below `n_movies`.
    """
    index_of = np.zeros(n_movies, np.int32)  # Per row one more than its index in the result; 0: none yet.
    proposed = np.empty(len(rows), np.int64)
    fused, n_lists = np.zeros(len(rows), np.float32), np.zeros(len(rows), np.float32)
    size = 0
    for k in range(len(weights)):
        for entry in range(starts[k], starts[k + 1]):
            row = rows[entry]
            if index_of[row] == 0:
                proposed[size] = row
                size += 1
                index_of[row] = size
            index = index_of[row] - 1
            rank = 1.0 + entry - starts[k]
            fused[index] += np.float32(weights[k] / (offset + rank))
            n_lists[index] += 1
    return proposed[:size], fused[:size], n_lists[:size]


@njit(cache=True, nogil=True)
def add_rows(rows, more, proposed):  # type: ignore[no-untyped-def]  # numba
    """`rows` followed by the rows of `more` that it lacks.

    Returns these rows, the index of each row of `more` in them, and per added row the number of times that
    `proposed` holds it. Neither `rows` nor `more` holds a row twice.
    """
    joined = np.empty(len(rows) + len(more), np.int64)
    joined[: len(rows)] = rows
    indices, counts = np.empty(len(more), np.int64), np.zeros(len(more), np.float32)
    size = len(rows)
    for k, row in enumerate(more):
        index = 0
        while index < len(rows) and rows[index] != row:
            index += 1
        if index == len(rows):
            index = size
            joined[size] = row
            for other in proposed:
                counts[size - len(rows)] += np.float32(other == row)
            size += 1
        indices[k] = index
    return joined[:size], indices, counts[: size - len(rows)]
