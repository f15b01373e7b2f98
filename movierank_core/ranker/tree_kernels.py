"""The loops of `TreeEnsemble`, compiled by numba; arguments are its fields of the same names.

Two ideas make them fast. *Columns*: LightGBM's rules for missing values are applied once per feature
instead of once per node, by replacing what a split sends left with -inf and what it sends right with
+inf; from there a split is one comparison. *Leaf masks* (QuickScorer, Lucchese et al. 2015, laid out
so that one split is applied to all rows at once): every split that a row answers with "right" strikes
out the leaves on its left, and the first leaf left standing is the one the row reaches. That is more
comparisons than walking down, but they are the same for all rows, without a branch, and for 32 rows at a
time: 20 times faster than walking for 500 rows and 300 trees of 31 leaves.
"""

from typing import Final

import numpy as np
from numba import njit

from movierank_core.kernels.simd import N_LANES, keep_where_above, load, spread_bits, store_lowest

_BLOCK_ROWS: Final = 640
"""Rows scored at a time: their columns stay in the second-level cache."""
_ZERO: Final = float(np.float32(1e-35))
"""LightGBM's kZeroThreshold, a float32 widened: not farther from 0 than this counts as 0."""


@njit(cache=True, nogil=True, error_model="numpy")
def fill_columns(  # type: ignore[no-untyped-def]
    X, begin, column_feature, column_fill, column_zero_is_missing, column_is_bounded, columns
):  # fmt: skip
    """Rows from `begin` on, column by column, missing values replaced."""
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
def score_by_masks(  # type: ignore[no-untyped-def]
    X, column_feature, column_fill, column_zero_is_missing, column_is_bounded, tree_offset, split_column,
    threshold, keep_mask, leaf_value, scores,
):  # fmt: skip
    """For single precision and masks of 32 or 64 bits."""
    everything = keep_mask.dtype.type(0xFFFFFFFFFFFFFFFF)
    for begin in range(0, len(X), _BLOCK_ROWS):
        n = min(_BLOCK_ROWS, len(X) - begin)
        n_padded = (n + N_LANES - 1) // N_LANES * N_LANES
        # What is in the lanes left over does not matter.
        columns = np.empty((len(column_feature), n_padded), np.float32)
        fill_columns(
            X, begin, column_feature, column_fill, column_zero_is_missing, column_is_bounded, columns[:, :n]
        )
        values = columns.reshape(-1)
        leaf_of = np.empty(n_padded, np.uint32)
        of_block = scores[begin : begin + n]
        for t in range(len(tree_offset) - 1):
            # Unsigned places are not asked whether they count from the end.
            first, last = np.uint64(tree_offset[t]), np.uint64(tree_offset[t + 1])
            for start in range(0, n_padded, N_LANES):
                standing = spread_bits(everything)
                for i in range(first, last):
                    column = np.uint64(split_column[i]) * np.uint64(n_padded)
                    x = load(values, column + np.uint64(start))
                    standing = keep_where_above(standing, x, threshold[i], keep_mask[i])
                store_lowest(leaf_of, start, standing)
            leaves = leaf_value[tree_offset[t] + t : tree_offset[t + 1] + t + 1]
            for r in range(np.uint64(n)):
                of_block[r] += leaves[np.uint64(leaf_of[r])]


@njit(cache=True, nogil=True, error_model="numpy")
def score_by_walking(  # type: ignore[no-untyped-def]
    X, column_feature, column_fill, column_zero_is_missing, column_is_bounded, tree_offset, split_column,
    threshold, left, right, leaf_value, scores,
):  # fmt: skip
    """For double precision, and for trees with more leaves than a mask has bits."""
    for begin in range(0, len(X), _BLOCK_ROWS):
        n = min(_BLOCK_ROWS, len(X) - begin)
        columns = np.empty((len(column_feature), n), X.dtype)
        fill_columns(
            X, begin, column_feature, column_fill, column_zero_is_missing, column_is_bounded, columns
        )
        for t in range(len(tree_offset) - 1):
            root = tree_offset[t]
            for r in range(n):
                node = 0 if tree_offset[t + 1] > root else -1
                while node >= 0:
                    i = root + node
                    node = right[i] if columns[split_column[i], r] > threshold[i] else left[i]
                scores[begin + r] += leaf_value[root + t + ~node]
