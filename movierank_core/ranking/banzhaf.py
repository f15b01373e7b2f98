"""Banzhaf values of tree ensembles: which features count most, for less work than Shapley values.

The game is that of `shapley`. A Banzhaf value is the mean of what knowing the feature changes over all sets
of other known features, each set as likely as any other (Banzhaf 1965): the integrand of the Shapley value
at t = 1/2 instead of its integral. They do not add up to the score, but name the same large ones.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from movierank_core.ranking.shapley import TreePaths
from movierank_core.ranking.tree_kernels import fill_columns

_N_LANES: Final = 32
"""Rows attributed at a time: a page of results in one go."""
_LANES: Final = np.uint64(_N_LANES)
"""Unsigned, as all that places are made of: whether an index may be negative would be asked for each, and
keep loops from being vectorised."""


@dataclass(frozen=True, slots=True)
class HalfwayPaths:
    """`TreePaths` with what there is to say at t = 1/2, in single precision, in as few bytes as will do."""

    tree_offset: NDArray[np.int64]
    threshold: NDArray[np.float64]
    threshold_float32: NDArray[np.float32]
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
        threshold: NDArray[np.float64],
        threshold_float32: NDArray[np.float32],
    ) -> "HalfwayPaths":
        """`threshold` and what else there is per split or column are those of the ensemble."""
        factors, changes = paths.coefficients(np.ones_like(paths.n_points))
        column = split_column[paths.split]
        return cls(
            paths.tree_offset,
            threshold[paths.split],
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

    def values(self, X: NDArray[Any], columns: tuple[NDArray[Any], ...]) -> NDArray[np.float64]:
        """[n_rows, n_features]; `columns` are the `column_*` of the ensemble."""
        added = np.zeros(X.shape)
        _attribute(
            X,
            *columns,
            self.tree_offset,
            self.column,
            self.feature,
            self.threshold_float32 if X.dtype == np.float32 else self.threshold,
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


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def _attribute(  # type: ignore[no-untyped-def]  # numba
    X, column_feature, column_fill, column_zero_is_missing, column_is_bounded, tree_offset, column, feature,
    threshold, is_right, parent, previous, first_child, factors, changes, added,
):  # fmt: skip
    """Adds each row's Banzhaf values to `added` [n_rows, n_features]: down the tree go the products, up come
    the sums of the leaves below, as in `shapley.attribute`."""
    n_nodes = 1
    for tree in range(len(tree_offset) - 1):
        n_nodes = max(n_nodes, tree_offset[tree + 1] - tree_offset[tree] + 1)
    lanes = _N_LANES
    one, zero = np.float32(1), np.float32(0)
    product = np.ones(n_nodes * lanes, np.float32)
    agrees = np.zeros(n_nodes * lanes, np.float32)
    block = np.empty((lanes, X.shape[1]), X.dtype)
    by_column = np.empty((len(column_feature), lanes), X.dtype)
    known = by_column.reshape(-1)
    sums = np.empty(X.shape[1] * lanes, np.float32)
    for begin in range(0, len(X), lanes):
        for r in range(lanes):
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
                here, above = np.uint64(node) * _LANES, np.uint64(parent[i]) * _LANES
                x, limit = np.uint64(column[i]) * _LANES, threshold[i]
                over, under = (one, zero) if is_right[i] else (zero, one)
                f, f_here, f_before = factors[i, 0], factors[i, 1], factors[i, 2]
                if previous[i] == 0:
                    for r in range(_LANES):
                        agreed = over if known[x + r] > limit else under
                        agrees[here + r] = agreed
                        product[here + r] = product[above + r] * (f + agreed * f_here)
                else:
                    before = np.uint64(previous[i]) * _LANES
                    for r in range(_LANES):
                        agreed_before = agrees[before + r]
                        agreed = (over if known[x + r] > limit else under) * agreed_before
                        agrees[here + r] = agreed
                        product[here + r] = product[above + r] * (
                            f + agreed * f_here + (agreed_before - agreed) * f_before
                        )
            for node in range(last, 0, -1):
                i = offset + node
                here, total = np.uint64(node) * _LANES, np.uint64(feature[i]) * _LANES
                if first_child[i] != 0:
                    left = np.uint64(first_child[i]) * _LANES
                    for r in range(_LANES):
                        product[here + r] = product[left + r] + product[left + _LANES + r]
                c, c_here, c_before = changes[i, 0], changes[i, 1], changes[i, 2]
                if previous[i] == 0:
                    for r in range(_LANES):
                        sums[total + r] += product[here + r] * (c + agrees[here + r] * c_here)
                else:
                    before = np.uint64(previous[i]) * _LANES
                    for r in range(_LANES):
                        agreed = agrees[here + r]
                        sums[total + r] += product[here + r] * (
                            c + agreed * c_here + (agrees[before + r] - agreed) * c_before
                        )
        for r in range(min(lanes, len(X) - begin)):
            for number in range(X.shape[1]):
                added[begin + r, number] = sums[number * lanes + r]
