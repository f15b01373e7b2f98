"""Picking the best of many scores, in one pass over them."""

from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from movierank_core.kernels.simd import N_LANES, first_lane, lanes_above, load, n_lanes


def best_rows(
    scores: NDArray[np.float32], rows: NDArray[np.int64], eligible: NDArray[np.bool_], n: int
) -> NDArray[np.int64]:
    """The `n` eligible rows with the highest positive scores, best first, ties by row; fewer if there are.

    `scores` are those of `rows`, which are ascending; `eligible` has an entry per catalogue row.
    """
    if n > 0 and len(rows) >= max(8 * n, 2 * SAMPLE):
        keys = _keys_above_floor(np.ascontiguousarray(scores), rows, eligible, n)
        if len(keys):
            keys.sort()  # All different, so any sort will do; numpy's takes a few microseconds.
            return (keys[:n] & np.uint64(0xFFFFFFFF)).astype(np.int64)
    best: NDArray[np.int64] = rows[best_of(scores, rows, eligible, n)]
    return best


def first_rows(ordered: NDArray[np.int64], eligible: NDArray[np.bool_], n: int) -> NDArray[np.int64]:
    """The first `n` eligible rows of `ordered`."""
    rows: NDArray[np.int64] = _first_of(ordered, eligible, n)
    return rows


def descending(scores: NDArray[np.float32], rows: NDArray[np.int64] | None = None) -> NDArray[np.int64]:
    """The places of finite `scores`, along the last axis, from the highest to the lowest; ties by `rows`, or
    by place without them.

    The bits of a float order like an integer, once those of a negative one are turned over. With the row in
    the lower half of a key all keys differ, and any sort will do: numpy's takes a few microseconds.
    """
    bits = (scores + np.float32(0)).view(np.uint32)  # -0 and 0 are the same number with different bits.
    ascending = np.where(bits >> 31, ~bits, bits | np.uint32(1 << 31))
    ties = np.arange(scores.shape[-1]) if rows is None else rows
    return np.argsort((~ascending).astype(np.uint64) << np.uint64(32) | ties.astype(np.uint64), axis=-1)


SAMPLE: Final = 512
"""Rows that `_keys_above_floor` looks at first; a multiple of N_LANES."""
_BISECTIONS: Final = 16
"""Enough to tell scores apart that differ by a sixty-thousandth of the whole range of floats."""
_INFINITY_BITS: Final = 0x7F800000


@njit(cache=True, nogil=True)
def _keys_above_floor(scores, rows, eligible, n):  # type: ignore[no-untyped-def]  # numba
    """A key for each of at least `n` eligible rows, among them the best; none where that did not work out.

    The score that about three times `n` rows reach is estimated from an even sample, and only the rows above
    it are collected. A key has the bits of the score, which order like an integer where it is above 0, turned
    over, above those of the row: ascending keys are descending scores, with ties by row.
    """
    bits = scores.view(np.int32)
    floor = _floor(scores, rows, eligible, min(3 * n * SAMPLE // len(rows) + 1, SAMPLE - 1))
    keys = np.empty(8 * n, np.uint64)
    size = 0
    n_in_lanes = len(rows) // N_LANES * N_LANES
    for start in range(0, len(rows), N_LANES):
        if start < n_in_lanes:
            left = lanes_above(load(scores, start), floor)
        else:
            left = np.uint32(0)
            for lane in range(len(rows) - start):
                left |= np.uint32(scores[start + lane] > floor) << np.uint32(lane)
        while left != 0:
            # An unsigned place is not asked whether it counts from the end.
            place = np.uint64(start) + np.uint64(first_lane(left))
            left &= left - np.uint32(1)
            row = np.uint64(rows[place])
            if eligible[row]:
                if size == len(keys):
                    return keys[:0]
                keys[size] = np.uint64(0x7FFFFFFF - bits[place]) << np.uint64(32) | row
                size += 1
    return keys[:size] if size >= n else keys[:0]


@njit(cache=True, nogil=True)
def _floor(scores, rows, eligible, n_above):  # type: ignore[no-untyped-def]  # numba
    """A score, 0 at least, that about `n_above` of SAMPLE eligible ones are over, by bisecting bits."""
    step = len(rows) // SAMPLE
    sample = np.empty(SAMPLE, np.float32)
    for number in range(SAMPLE):
        place = np.uint64(number * step)
        sample[number] = scores[place] if eligible[np.uint64(rows[place])] else np.float32(0)
    limit = np.zeros(1, np.float32)
    limit_bits = limit.view(np.int32)
    low, high = np.int32(0), np.int32(_INFINITY_BITS)
    for _ in range(_BISECTIONS):
        middle = np.int32(low + ((high - low) >> 1))
        limit_bits[0] = middle
        count = np.uint32(0)
        for start in range(0, SAMPLE, N_LANES):
            count += n_lanes(lanes_above(load(sample, start), limit[0]))
        if count > n_above:
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
    """Places of `best_rows`: a heap with the worst on top, of equal scores the last; emptied from behind."""
    heap = np.empty(min(n, len(rows)), np.int64)
    if len(heap) == 0:
        return heap
    size = 0
    worst = np.float32(0)
    for candidate in range(len(rows)):
        # Of places with equal scores the first comes first, so one that equals the worst loses.
        if scores[candidate] <= worst or not eligible[rows[candidate]]:
            continue
        if size < len(heap):
            place = size
            size += 1
            while place > 0:
                parent = (place - 1) >> 1
                if _is_worse(scores, heap[parent], candidate):
                    break
                heap[place] = heap[parent]
                place = parent
            heap[place] = candidate
        else:
            _replace_top(scores, heap, size, candidate)
        if size == len(heap):
            worst = scores[heap[0]]
    for last in range(size - 1, 0, -1):
        candidate = heap[last]
        heap[last] = heap[0]
        _replace_top(scores, heap, last, candidate)
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
def add_reciprocal_ranks(rows, starts, weights, offset):  # type: ignore[no-untyped-def]  # numba
    """Each row proposed, once, with its sum of weight / (offset + rank), ranks from 1, and how often it was.

    List k is rows[starts[k] : starts[k + 1]] and weighs weights[k].
    """
    n_slots = 1024
    while n_slots < 4 * len(rows):
        n_slots *= 2
    # A hash table, since an array with a place for each movie takes longer to clear than the rest to do.
    slots = np.zeros(n_slots, np.int32)  # One more than the place in the answer.
    proposed = np.empty(len(rows), np.int64)
    fused, n_lists = np.zeros(len(rows), np.float32), np.zeros(len(rows), np.float32)
    size = 0
    for k in range(len(weights)):
        for at in range(starts[k], starts[k + 1]):
            row = rows[at]
            slot = (row * 2654435761) & (n_slots - 1)
            while slots[slot] != 0 and proposed[slots[slot] - 1] != row:
                slot = (slot + 1) & (n_slots - 1)
            if slots[slot] == 0:
                proposed[size] = row
                size += 1
                slots[slot] = size
            place = slots[slot] - 1
            fused[place] += np.float32(weights[k] / (offset + 1.0 + at - starts[k]))
            n_lists[place] += 1
    return proposed[:size], fused[:size], n_lists[:size]


@njit(cache=True, nogil=True)
def add_rows(rows, more, proposed):  # type: ignore[no-untyped-def]  # numba
    """`rows` and behind them those of `more` that are not among them; the place of each of `more` there; and
    for each added row how often it is in `proposed`. No row is twice in `rows` or in `more`."""
    both = np.empty(len(rows) + len(more), np.int64)
    both[: len(rows)] = rows
    places, counts = np.empty(len(more), np.int64), np.zeros(len(more), np.float32)
    size = len(rows)
    for number, row in enumerate(more):
        place = 0
        while place < len(rows) and rows[place] != row:
            place += 1
        if place == len(rows):
            place = size
            both[size] = row
            for other in proposed:
                counts[size - len(rows)] += np.float32(other == row)
            size += 1
        places[number] = place
    return both[:size], places, counts[: size - len(rows)]
