"""The loops of `TreeEnsemble`, compiled by numba; arguments are its fields of the same names.

Two ideas make them fast. *Columns*: LightGBM's rules for missing values are applied once per feature
instead of once per node, by replacing what a split sends left with -inf and what it sends right with
+inf; from there a split is one comparison. *Leaf masks* (QuickScorer, Lucchese et al. 2015, laid out
so that one split is applied to all rows at once): every split that a row answers with "right" strikes
out the leaves on its left, and the first leaf left standing is the one the row reaches. That is more
comparisons than walking down, but they are the same for all rows, without a branch, and vectorised:
20 times faster than walking for 500 rows and 300 trees of 31 leaves. The lowest bit standing is a power of
two, so its number is the exponent of the same value as a float, which is vectorised as well.
"""

from typing import Final

import numpy as np
from numba import njit

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
    everything, one = keep_mask.dtype.type(0xFFFFFFFFFFFFFFFF), keep_mask.dtype.type(1)
    for begin in range(0, len(X), _BLOCK_ROWS):
        n = min(_BLOCK_ROWS, len(X) - begin)
        columns = np.empty((len(column_feature), n), X.dtype)
        fill_columns(
            X, begin, column_feature, column_fill, column_zero_is_missing, column_is_bounded, columns
        )
        standing = np.empty(n, keep_mask.dtype)
        lowest = np.empty(n, np.float32)
        exponents = lowest.view(np.uint32)
        of_block = scores[begin : begin + n]
        for t in range(len(tree_offset) - 1):
            standing[:] = everything
            i = tree_offset[t]
            # Four splits at a time: a quarter of the traffic for the masks.
            while i + 3 < tree_offset[t + 1]:
                x0, x1 = columns[split_column[i]], columns[split_column[i + 1]]
                x2, x3 = columns[split_column[i + 2]], columns[split_column[i + 3]]
                t0, t1, t2, t3 = threshold[i], threshold[i + 1], threshold[i + 2], threshold[i + 3]
                k0, k1, k2, k3 = keep_mask[i], keep_mask[i + 1], keep_mask[i + 2], keep_mask[i + 3]
                for r in range(n):
                    standing[r] &= (
                        (k0 if x0[r] > t0 else everything)
                        & (k1 if x1[r] > t1 else everything)
                        & (k2 if x2[r] > t2 else everything)
                        & (k3 if x3[r] > t3 else everything)
                    )
                i += 4
            while i < tree_offset[t + 1]:
                x0, t0, k0 = columns[split_column[i]], threshold[i], keep_mask[i]
                for r in range(n):
                    standing[r] &= k0 if x0[r] > t0 else everything
                i += 1
            leaves = leaf_value[tree_offset[t] + t : tree_offset[t + 1] + t + 1]
            for r in range(n):
                lowest[r] = np.float32(standing[r] & (~standing[r] + one))
            for r in range(n):
                of_block[r] += leaves[(exponents[r] >> np.uint32(23)) - np.uint32(127)]


@njit(cache=True, nogil=True, error_model="numpy")
def score_by_walking(  # type: ignore[no-untyped-def]
    X, column_feature, column_fill, column_zero_is_missing, column_is_bounded, tree_offset, split_column,
    threshold, left, right, leaf_value, scores,
):  # fmt: skip
    """For trees with more leaves than a mask has bits."""
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
