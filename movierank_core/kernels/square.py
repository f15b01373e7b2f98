"""Square matrices over movies, filled and changed in place: the largest arrays of a fit.

A matrix over 20,000 movies has 1.6 GB in single precision, so no function here makes a second one.
"""

from functools import partial
from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from movierank_core.kernels.row_blocks import in_row_blocks

TILE: Final = 64
"""Number of columns per tile. The mirror image of a tile stays in the first-level cache."""


def gram_matrix(
    users: NDArray[np.int32],
    columns: NDArray[np.int32],
    n_users: int,
    n_columns: int,
    weights: NDArray[np.float32],
    n_threads: int,
) -> NDArray[np.float32]:
    """[n_columns, n_columns]: X' diag(weights) X of the 0/1 matrix X with a 1 per pair of user and column.

    The pairs are sorted by user, and none occurs twice. `weights` has one entry per user. Each entry is a sum
    over ascending users in single precision: counts are exact up to 16,777,216. The memory beside the result
    is 16 bytes per pair.
    """
    # 1. The pairs by column, with ascending users, and by user, with ascending columns.
    column_starts = np.concatenate([[0], np.cumsum(np.bincount(columns, minlength=n_columns))])
    user_starts = np.concatenate([[0], np.cumsum(np.bincount(users, minlength=n_users))])
    user_of = _by_column(users, columns, column_starts)
    columns_of_user, place = _by_user(user_of, column_starts, user_starts)
    # 2. The upper triangle: row i sums over its users, and over their columns from i on.
    gram = np.zeros((n_columns, n_columns), np.float32)
    pairs = (column_starts, user_of, place, user_starts, columns_of_user)
    in_row_blocks(n_columns, n_threads, partial(_add_upper_rows, gram, *pairs, weights))
    # 3. The lower triangle is its mirror image.
    in_row_blocks(n_columns, n_threads, partial(_mirror_rows, gram))
    return gram


def negate_and_divide_columns(matrix: NDArray[np.float32], n_threads: int) -> None:
    """Replaces P by -P / diag(P), columnwise, with a diagonal of 0. P is the upper triangle and its mirror.

    What the lower triangle holds before is not read. No diagonal entry of P may be 0.
    """
    diagonal = np.diag(matrix).copy()
    in_row_blocks(len(matrix), n_threads, partial(_divide_and_mirror_rows, matrix, diagonal))


def divide_by_roots(matrix: NDArray[np.float32], counts: NDArray[np.int64], n_threads: int) -> None:
    """Divides entry (i, j) by sqrt(counts[i] * counts[j]), and sets the diagonal to 0. Counts are above 0."""
    in_row_blocks(len(matrix), n_threads, partial(_divide_rows_by_roots, matrix, counts))


@njit(cache=True, nogil=True)
def _by_column(users, columns, column_starts):  # type: ignore[no-untyped-def]  # numba
    """The users of all pairs, by column; users of one column keep their order."""
    user_of = np.empty(len(users), np.int32)
    following = column_starts.copy()
    for pair in range(len(users)):
        user_of[following[columns[pair]]] = users[pair]
        following[columns[pair]] += 1
    return user_of


@njit(cache=True, nogil=True)
def _by_user(user_of, column_starts, user_starts):  # type: ignore[no-untyped-def]  # numba
    """From pairs by column, their columns by user, and per pair its index there."""
    columns_of_user = np.empty(len(user_of), np.int32)
    place = np.empty(len(user_of), np.int64)
    following = user_starts.copy()
    for column in range(len(column_starts) - 1):
        for pair in range(column_starts[column], column_starts[column + 1]):
            user = user_of[pair]
            columns_of_user[following[user]] = column
            place[pair] = following[user]
            following[user] += 1
    return columns_of_user, place


@njit(cache=True, nogil=True)
def _add_upper_rows(gram, column_starts, user_of, place, user_starts, columns_of_user, weights, first, stop):  # type: ignore[no-untyped-def]  # numba
    for i in range(first, stop):
        row = gram[i]
        for pair in range(column_starts[i], column_starts[i + 1]):
            user = user_of[pair]
            weight = weights[user]
            # Unsigned indices: numba would test signed ones for being negative, entry by entry.
            for other in range(np.uint64(place[pair]), np.uint64(user_starts[user + 1])):
                row[np.uint64(np.uint32(columns_of_user[other]))] += weight


@njit(cache=True, nogil=True)
def _mirror_rows(matrix, first, stop):  # type: ignore[no-untyped-def]  # numba
    for start in range(first, len(matrix), TILE):
        for i in range(first, stop):
            for j in range(max(start, i + 1), min(start + TILE, len(matrix))):
                matrix[j, i] = matrix[i, j]


@njit(cache=True, nogil=True, error_model="numpy")
def _divide_and_mirror_rows(matrix, diagonal, first, stop):  # type: ignore[no-untyped-def]  # numba
    for start in range(first, len(matrix), TILE):
        for i in range(first, stop):
            for j in range(max(start, i + 1), min(start + TILE, len(matrix))):
                negative = -matrix[i, j]
                matrix[j, i] = negative / diagonal[i]
                matrix[i, j] = negative / diagonal[j]
    for i in range(first, stop):
        matrix[i, i] = 0.0


@njit(cache=True, nogil=True, error_model="numpy")
def _divide_rows_by_roots(matrix, counts, first, stop):  # type: ignore[no-untyped-def]  # numba
    for i in range(first, stop):
        for j in range(len(matrix)):
            matrix[i, j] /= np.float32(np.sqrt(counts[i] * counts[j]))
        matrix[i, i] = 0.0
