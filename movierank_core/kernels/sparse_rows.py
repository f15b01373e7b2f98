"""Sparse rows as three arrays, their weighted sum, and the strongest entries of a dense matrix."""

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from movierank_core.kernels.top_k import best_of


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


def strongest_per_row(
    matrix: NDArray[np.floating], rows: NDArray[np.int64], n_rows: int, n_neighbours: int
) -> SparseRows:
    """The `n_neighbours` entries of largest magnitude above 0 in each row of a square matrix over movies.

    Row i of `matrix` becomes row `rows[i]` of `n_rows`, with `rows` ascending; columns keep their index and
    ascend within a row. Of equal magnitudes the lower column stays.
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
    """Per row the number of kept entries, their ascending columns and their values."""
    n = len(matrix)
    counts = np.zeros(n, np.int64)
    columns = np.zeros((n, keep), np.int32)
    values = np.zeros((n, keep), np.float32)
    is_kept_column = np.ones(n, np.bool_)
    every_row = np.arange(n)
    for row in range(n):
        best = np.sort(best_of(np.abs(matrix[row]), every_row, is_kept_column, keep))
        counts[row] = len(best)
        for k in range(len(best)):
            columns[row, k] = best[k]
            values[row, k] = matrix[row, best[k]]
    return counts, columns, values
