"""Banzhaf values of tree ensembles: which features count most, for less work than Shapley values.

The game is that of `shapley`. A Banzhaf value is the mean of what knowing the feature changes over all sets
of other known features, each set as likely as any other (Banzhaf 1965): the integrand of the Shapley value
at t = 1/2 instead of its integral. They do not add up to the score, but name the same large ones.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from movierank_core.kernels.simd import N_LANES, load, store, where_above
from movierank_core.ranker.shapley import TreePaths
from movierank_core.ranker.tree_kernels import fill_columns


@dataclass(frozen=True, slots=True)
class HalfwayPaths:
    """`TreePaths` with what there is to say at t = 1/2, in single precision, in as few bytes as will do."""

    tree_offset: NDArray[np.int64]
    threshold: NDArray[np.float32]
    column: NDArray[np.uint16]
    feature: NDArray[np.uint16]
    is_right: NDArray[np.bool_]
    parent: NDArray[np.uint16]
    previous: NDArray[np.uint16]
    first_child: NDArray[np.uint16]
    factors: NDArray[np.float32]
    """[n_nodes, 3]"""
    changes: NDArray[np.float32]
    """[n_nodes, 3]"""

    @classmethod
    def of(
        cls,
        paths: TreePaths,
        split_column: NDArray[np.int64],
        column_feature: NDArray[np.int64],
        threshold_float32: NDArray[np.float32],
    ) -> "HalfwayPaths":
        """What there is per split or column is the ensemble's."""
        factors, changes = paths.coefficients(np.ones_like(paths.n_points))
        column = split_column[paths.split]
        return cls(
            paths.tree_offset,
            threshold_float32[paths.split],
            column.astype(np.uint16),
            column_feature[column].astype(np.uint16),
            paths.is_right,
            _short(paths.parent),
            _short(paths.previous),
            _short(paths.first_child),
            np.ascontiguousarray(factors[:, :, :1].reshape(-1, 3), np.float32),
            np.ascontiguousarray(changes[:, :, :1].reshape(-1, 3), np.float32),
        )

    def values(self, X: NDArray[np.float32], columns: tuple[NDArray[Any], ...]) -> NDArray[np.float64]:
        """[n_rows, n_features]; `columns` are the `column_*` of the ensemble."""
        added = np.zeros(X.shape)
        _attribute(
            X,
            *columns,
            self.tree_offset,
            self.column,
            self.feature,
            self.threshold,
            self.is_right,
            self.parent,
            self.previous,
            self.first_child,
            self.factors,
            self.changes,
            added,
        )
        return added


def _short(numbers: NDArray[np.int64]) -> NDArray[np.uint16]:
    """Numbers of nodes within a tree; ValueError where one has too many to be served."""
    if numbers.max(initial=0) > np.iinfo(np.uint16).max:
        raise ValueError(f"a tree has {numbers.max()} nodes; expected at most {np.iinfo(np.uint16).max}")
    return numbers.astype(np.uint16)


@njit(cache=True, nogil=True, error_model="numpy")
def _attribute(  # type: ignore[no-untyped-def]  # numba
    X, column_feature, column_fill, column_zero_is_missing, column_is_bounded, tree_offset, column, feature,
    threshold, is_right, parent, previous, first_child, factors, changes, added,
):  # fmt: skip
    """Adds each row's Banzhaf values to `added` [n_rows, n_features]: down the tree go the products, up come
    the sums of the leaves below, as in `shapley.attribute`."""
    n_nodes = 1
    for tree in range(len(tree_offset) - 1):
        n_nodes = max(n_nodes, tree_offset[tree + 1] - tree_offset[tree] + 1)
    one, zero = np.float32(1), np.float32(0)
    product = np.ones(n_nodes * N_LANES, np.float32)
    agrees = np.zeros(n_nodes * N_LANES, np.float32)
    block = np.empty((N_LANES, X.shape[1]), np.float32)
    by_column = np.empty((len(column_feature), N_LANES), np.float32)
    known = by_column.reshape(-1)
    sums = np.empty(X.shape[1] * N_LANES, np.float32)
    for begin in range(0, len(X), N_LANES):
        for r in range(N_LANES):
            block[r] = X[min(begin + r, len(X) - 1)]  # The last row fills the lanes left over.
        fill_columns(
            block, 0, column_feature, column_fill, column_zero_is_missing, column_is_bounded, by_column
        )
        sums[:] = zero
        for tree in range(len(tree_offset) - 1):
            offset = tree_offset[tree] - 1
            last = tree_offset[tree + 1] - tree_offset[tree]
            for node in range(1, last + 1):
                i = offset + node
                x, limit = load(known, column[i] * N_LANES), threshold[i]
                over, under = (one, zero) if is_right[i] else (zero, one)
                above = load(product, parent[i] * N_LANES)
                f, f_here, f_before = factors[i, 0], factors[i, 1], factors[i, 2]
                if previous[i] == 0:
                    store(agrees, node * N_LANES, where_above(x, limit, over, under))
                    factor = where_above(x, limit, f + over * f_here, f + under * f_here)
                else:
                    agreed_before = load(agrees, previous[i] * N_LANES)
                    agreed = agreed_before * where_above(x, limit, over, under)
                    store(agrees, node * N_LANES, agreed)
                    factor = agreed * f_here + f + (agreed_before - agreed) * f_before
                store(product, node * N_LANES, above * factor)
            for node in range(last, 0, -1):
                i = offset + node
                weight = load(product, node * N_LANES)
                if first_child[i] != 0:
                    left = first_child[i] * N_LANES
                    weight = load(product, left) + load(product, left + N_LANES)
                    store(product, node * N_LANES, weight)
                agreed = load(agrees, node * N_LANES)
                change = agreed * changes[i, 1] + changes[i, 0]
                if previous[i] != 0:
                    change = change + (load(agrees, previous[i] * N_LANES) - agreed) * changes[i, 2]
                total = feature[i] * N_LANES
                store(sums, total, load(sums, total) + weight * change)
        for r in range(min(N_LANES, len(X) - begin)):
            for number in range(X.shape[1]):
                added[begin + r, number] = sums[number * N_LANES + r]
