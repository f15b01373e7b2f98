"""Sparse rows as three arrays, and the two loops that every item-to-item source runs on them."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from movierank_core.kernels.prefetch import LINE_BYTES, prefetch
from movierank_core.kernels.top_k import best_of


@dataclass(frozen=True, slots=True)
class SparseRows:
    """Row i holds `indices[offsets[i]:offsets[i + 1]]` with `values` of the same slice."""

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
        """The sum over `rows` of weight times sparse row, as a dense vector."""
        out = np.zeros(n_columns, np.float32)
        _accumulate(self.offsets, self.indices, self.values, rows, weights, out)
        return out

    def row(self, row: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        part = slice(int(self.offsets[row]), int(self.offsets[row + 1]))
        return self.indices[part], self.values[part]


_AHEAD: Final = 2
"""Sparse rows between the one that is added and the one whose memory is asked for."""
_PER_LINE: Final = LINE_BYTES // 4
"""Indices, or values, that one line of memory holds."""


@njit(cache=True, nogil=True)
def _accumulate(offsets, indices, values, rows, weights, out):  # type: ignore[no-untyped-def]  # numba
    for i in range(len(rows)):
        ahead = i + _AHEAD
        if ahead < len(rows) and weights[ahead] != 0.0:
            for j in range(offsets[rows[ahead]], offsets[rows[ahead] + 1], _PER_LINE):
                prefetch(indices, j)
                prefetch(values, j)
        weight = weights[i]
        if weight == 0.0:
            continue
        # Unsigned, or each place would be asked whether it counts from the end.
        for j in range(np.uint64(offsets[rows[i]]), np.uint64(offsets[rows[i] + 1])):
            out[np.uint64(np.uint32(indices[j]))] += weight * values[j]


def strongest_per_row(
    matrix: NDArray[np.floating], rows: NDArray[np.int64], n_rows: int, n_neighbours: int
) -> SparseRows:
    """The `n_neighbours` entries of largest magnitude in each row of a square matrix over movies.

    Row i of `matrix` becomes the row `rows[i]` (ascending) of `n_rows`; its columns stay as they are.
    """
    keep = min(n_neighbours, len(rows))
    counts, columns, values = _strongest(np.ascontiguousarray(matrix, np.float32), keep)
    used = np.arange(keep) < counts[:, None]
    lengths = np.zeros(n_rows, np.int64)
    lengths[rows] = counts
    return SparseRows(
        offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        indices=columns[used],
        values=values[used],
    )


@njit(cache=True, nogil=True)
def _strongest(matrix, keep):  # type: ignore[no-untyped-def]  # numba
    """Per row the number of entries kept, their columns in ascending order, and their values."""
    n = len(matrix)
    counts = np.zeros(n, np.int64)
    columns = np.zeros((n, keep), np.int32)
    values = np.zeros((n, keep), np.float32)
    everything = np.ones(n, np.bool_)
    every_row = np.arange(n)
    for row in range(n):
        best = np.sort(best_of(np.abs(matrix[row]), every_row, everything, keep))
        counts[row] = len(best)
        for place in range(len(best)):
            columns[row, place] = best[place]
            values[row, place] = matrix[row, best[place]]
    return counts, columns, values
