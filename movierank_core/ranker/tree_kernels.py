"""The scoring loops of `TreeEnsemble`, compiled by numba; arguments are its fields of the same names.

Columns: LightGBM's rules for missing values are applied once per feature instead of once per node. A missing
value becomes -inf where the splits send it left and +inf where they send it right, so each split is one
comparison.

Leaf masks (QuickScorer, Lucchese et al. 2015, with one split applied to many rows at once): each split that
sends a row right removes the leaves on its left, and the row reaches the first leaf that remains. These are
more comparisons than a walk down the tree, but without branches and for 32 rows at a time: 20 times faster
than a walk for 500 rows and 300 trees of 31 leaves.
"""

from typing import Final

import numpy as np
from numba import njit

from movierank_core.kernels.simd import N_LANES, keep_where_above, load, spread_bits, store_lowest

_BLOCK_ROWS: Final = 640
"""Rows per block: the columns of a block stay in the second-level cache."""
_ZERO: Final = float(np.float32(1e-35))
"""Maximum distance from 0 that counts as 0: LightGBM's kZeroThreshold, a float32."""


@njit(cache=True, nogil=True, error_model="numpy")
def fill_columns(  # type: ignore[no-untyped-def]
    X, begin, column_feature, column_fill, column_zero_is_missing, column_is_bounded, columns
):  # fmt: skip
    """Fills `columns` [n_columns, n] with the rows from `begin` on, missing values replaced."""
    zero = columns.dtype.type(0)
    nearly_zero = columns.dtype.type(_ZERO)
    for c in range(len(column_feature)):
        feature = column_feature[c]
        fill = columns.dtype.type(column_fill[c])
        instead_of_zero = fill if column_zero_is_missing[c] else zero
        highest = columns.dtype.type(np.finfo(columns.dtype).max if column_is_bounded[c] else np.inf)
        for r in range(columns.shape[1]):
            value = X[begin + r, feature]
            known = instead_of_zero if abs(value) <= nearly_zero else min(value, highest)
            columns[c, r] = known if value == value else fill


@njit(cache=True, nogil=True, error_model="numpy")
def add_leaf_values(  # type: ignore[no-untyped-def]
    X, column_feature, column_fill, column_zero_is_missing, column_is_bounded, tree_offset, split_column,
    threshold, keep_mask, leaf_value, scores,
):  # fmt: skip
    """Adds the values of the leaves that each row reaches to `scores`; `X` is float32."""
    all_leaves = keep_mask.dtype.type(0xFFFFFFFFFFFFFFFF)
    for begin in range(0, len(X), _BLOCK_ROWS):
        # 1. The values of a block of rows, one column after the other. The rows that fill up the last vector
        #    hold anything: their leaves are not read.
        n = min(_BLOCK_ROWS, len(X) - begin)
        n_padded = (n + N_LANES - 1) // N_LANES * N_LANES
        columns = np.empty((len(column_feature), n_padded), np.float32)
        fill_columns(
            X, begin, column_feature, column_fill, column_zero_is_missing, column_is_bounded, columns[:, :n]
        )
        values = columns.reshape(-1)
        leaf_of = np.empty(n_padded, np.uint32)
        block_scores = scores[begin : begin + n]
        for t in range(len(tree_offset) - 1):
            # 2. Per 32 rows, the leaves that no split removes; each row reaches the lowest of its leaves.
            #    Unsigned indices spare the check for a negative one.
            first, last = np.uint64(tree_offset[t]), np.uint64(tree_offset[t + 1])
            for start in range(0, n_padded, N_LANES):
                remaining = spread_bits(all_leaves)
                for i in range(first, last):
                    column = np.uint64(split_column[i]) * np.uint64(n_padded)
                    x = load(values, column + np.uint64(start))
                    remaining = keep_where_above(remaining, x, threshold[i], keep_mask[i])
                store_lowest(leaf_of, start, remaining)
            # 3. Add the leaf values.
            leaves = leaf_value[tree_offset[t] + t : tree_offset[t + 1] + t + 1]
            for r in range(np.uint64(n)):
                block_scores[r] += leaves[np.uint64(leaf_of[r])]
