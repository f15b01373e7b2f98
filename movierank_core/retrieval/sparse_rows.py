"""Sparse rows as three arrays, and the two loops that every item-to-item source runs on them."""

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray


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


@njit(cache=True, nogil=True)
def _accumulate(offsets, indices, values, rows, weights, out):  # type: ignore[no-untyped-def]  # numba
    for i in range(len(rows)):
        weight = weights[i]
        if weight == 0.0:
            continue
        for j in range(offsets[rows[i]], offsets[rows[i] + 1]):
            out[indices[j]] += weight * values[j]


def strongest_per_row(
    matrix: NDArray[np.floating], rows: NDArray[np.integer], n_rows: int, n_neighbours: int
) -> SparseRows:
    """The `n_neighbours` entries of largest magnitude in each row of a square matrix over movies."""
    n = len(rows)
    if n == 0:
        return SparseRows.empty(n_rows)
    keep = min(n_neighbours, n)
    sources, targets, values = [], [], []
    for start in range(0, n, 1024):
        block = matrix[start : start + 1024]
        best = (
            np.argpartition(-np.abs(block), keep - 1, axis=1)[:, :keep]
            if keep < n
            else np.broadcast_to(np.arange(n), block.shape)
        )
        strengths = np.take_along_axis(block, best, axis=1)
        row_of, position = np.nonzero(strengths)
        sources.append(rows[start + row_of])
        targets.append(rows[best[row_of, position]])
        values.append(strengths[row_of, position])
    return SparseRows.from_triples(
        np.concatenate(sources), np.concatenate(targets), np.concatenate(values), n_rows
    )
