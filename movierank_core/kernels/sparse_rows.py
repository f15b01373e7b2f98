"""Sparse rows as three arrays, their weighted sum, and the strongest entries of a dense matrix."""

from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from movierank_core.kernels.row_blocks import in_row_blocks


@dataclass(frozen=True, slots=True)
class SparseRows:
    """Row i holds `indices[offsets[i]:offsets[i + 1]]`, which ascend, with `values` of the same slice."""

    offsets: NDArray[np.int64]
    indices: NDArray[np.int32]
    values: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @classmethod
    def empty(cls, n_rows: int) -> "SparseRows":
        return cls(np.zeros(n_rows + 1, np.int64), np.zeros(0, np.int32), np.zeros(0, np.float32))

    @classmethod
    def from_triples(
        cls,
        rows: NDArray[np.integer],
        columns: NDArray[np.integer],
        values: NDArray[np.floating],
        n_rows: int,
    ) -> "SparseRows":
        """Rows from coordinates, in row order; within a row by ascending column."""
        order = np.lexsort((columns, rows))
        counts = np.bincount(rows, minlength=n_rows)
        return cls(
            np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
            columns[order].astype(np.int32),
            values[order].astype(np.float32),
        )

    def weighted_sum(
        self, rows: NDArray[np.int64], weights: NDArray[np.float32], n_columns: int
    ) -> NDArray[np.float32]:
        """[n_columns] sum over `rows` of weight times sparse row. A row may occur more than once."""
        out = np.zeros(n_columns, np.float32)
        _accumulate(self.offsets, self.indices, self.values, rows, weights, out)
        return out

    def at(self, rows: NDArray[np.int64], columns: NDArray[np.int32], n_columns: int) -> NDArray[np.float32]:
        """[len(rows), len(columns)] the stored values, 0 where none is stored.

        `columns` are distinct and below `n_columns`; those below 0 are no column and give 0.
        """
        out = np.zeros((len(rows), len(columns)), np.float32)
        _take(self.offsets, self.indices, self.values, rows, columns, n_columns, out)
        return out

    def column(self, rows: NDArray[np.int64], column: int) -> NDArray[np.float32]:
        """[len(rows)] the stored values of one column, 0 where none is stored; a column below 0 has none."""
        out = np.zeros(len(rows), np.float32)
        _take_column(self.offsets, self.indices, self.values, rows, column, out)
        return out

    def row(self, row: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """The columns and the values of one row."""
        part = slice(int(self.offsets[row]), int(self.offsets[row + 1]))
        return self.indices[part], self.values[part]


@njit(cache=True, nogil=True)
def _accumulate(offsets, indices, values, rows, weights, out):  # type: ignore[no-untyped-def]  # numba
    for i in range(len(rows)):
        weight = weights[i]
        if weight == 0.0:
            continue
        # Unsigned indices: numba would test signed ones for being negative, entry by entry.
        for entry in range(np.uint64(offsets[rows[i]]), np.uint64(offsets[rows[i] + 1])):
            out[np.uint64(np.uint32(indices[entry]))] += weight * values[entry]


@njit(cache=True, nogil=True)
def _take(offsets, indices, values, rows, columns, n_columns, out):  # type: ignore[no-untyped-def]  # numba
    index_of_column = np.full(n_columns, -1, np.int32)
    for k in range(len(columns)):
        if columns[k] >= 0:
            index_of_column[columns[k]] = k
    for i in range(len(rows)):
        for entry in range(offsets[rows[i]], offsets[rows[i] + 1]):
            k = index_of_column[indices[entry]]
            if k >= 0:
                out[i, k] = values[entry]


@njit(cache=True, nogil=True)
def _take_column(offsets, indices, values, rows, column, out):  # type: ignore[no-untyped-def]  # numba
    for i in range(len(rows)):
        entry = find_entry(indices, offsets[rows[i]], offsets[rows[i] + 1], column)
        if entry >= 0:
            out[i] = values[entry]


@njit(cache=True, nogil=True)
def find_entry(indices, start, stop, column):  # type: ignore[no-untyped-def]  # numba
    """The entry of `column` among the ascending `indices[start:stop]`, by bisection; -1 without one."""
    low, high = start, stop
    while low < high:
        middle = (low + high) // 2
        if indices[middle] < column:
            low = middle + 1
        else:
            high = middle
    return low if low < stop and indices[low] == column else -1


def strongest_per_row(
    matrix: NDArray[np.floating], rows: NDArray[np.int64], n_rows: int, n_neighbours: int, n_threads: int = 1
) -> SparseRows:
    """The `n_neighbours` entries of largest magnitude above 0 in each row of a square matrix over movies.

    Row i of `matrix` becomes row `rows[i]` of `n_rows`, with `rows` ascending; columns keep their index and
    ascend within a row. Of equal magnitudes the lower column stays. Entries are finite.
    """
    keep = min(n_neighbours, len(rows))
    matrix = np.ascontiguousarray(matrix, np.float32)
    counts = np.zeros(len(matrix), np.int64)
    columns = np.zeros((len(matrix), keep), np.int32)
    values = np.zeros((len(matrix), keep), np.float32)
    in_row_blocks(len(matrix), n_threads, partial(_strongest, matrix, keep, counts, columns, values))
    used = np.arange(keep) < counts[:, None]
    lengths = np.zeros(n_rows, np.int64)
    lengths[rows] = counts
    return SparseRows(
        offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        indices=columns[used],
        values=values[used],
    )


MAGNITUDE: Final = np.uint32(0x7FFFFFFF)
"""The bits of a float32 without its sign. They order like the magnitudes that they encode."""


@njit(cache=True, nogil=True)
def _strongest(matrix, keep, counts, columns, values, first, stop):  # type: ignore[no-untyped-def]  # numba
    """For rows `first` to `stop` the number of kept entries, their ascending columns and their values."""
    bits = matrix.view(np.uint32)
    for row in range(first, stop):
        # 1. The smallest magnitude that is kept, and how many entries may equal it.
        lowest, n_equal = np.uint32(1), keep
        if np.count_nonzero(matrix[row]) > keep:
            lowest, n_equal = _kth_largest_magnitude(bits[row], keep)
        # 2. The entries above it, and the first ones that equal it.
        size = 0
        for column in range(matrix.shape[1]):
            magnitude = bits[row, column] & MAGNITUDE
            if magnitude < lowest or (magnitude == lowest and n_equal == 0):
                continue
            if magnitude == lowest:
                n_equal -= 1
            columns[row, size] = column
            values[row, size] = matrix[row, column]
            size += 1
        counts[row] = size


@njit(cache=True, nogil=True)
def _kth_largest_magnitude(bits, k):  # type: ignore[no-untyped-def]  # numba
    """The k-th largest magnitude, as bits, and how many of the k largest equal it. k is at least 1.

    Radix selection: the leading 11 bits of the magnitude by their counts, then the next 10, then the last 10.
    """
    prefix, remaining = np.uint32(0), k
    counts = np.empty(2048, np.int64)
    for shift in (20, 10, 0):
        n_bits = 11 if shift == 20 else 10
        # 1. Count the next bits of the magnitudes with this prefix.
        counts[:] = 0
        for column in range(len(bits)):
            magnitude = bits[column] & MAGNITUDE
            if magnitude >> np.uint32(shift + n_bits) == prefix:
                counts[(magnitude >> np.uint32(shift)) & np.uint32((1 << n_bits) - 1)] += 1
        # 2. Those of the entry sought: larger ones come before it.
        digit = (1 << n_bits) - 1
        while counts[digit] < remaining:
            remaining -= counts[digit]
            digit -= 1
        prefix = (prefix << np.uint32(n_bits)) | np.uint32(digit)
    return prefix, remaining
