"""Exact Shapley values of tree ensembles: the loops, and the arrays they run over.

The game is that of TreeSHAP (Lundberg et al. 2018), LightGBM's `pred_contrib`: a known feature follows its
split, an unknown one goes both ways in proportion to the training rows. Where each feature is known with
probability t, a leaf is reached with probability prod_j (t o_j + (1 - t) z_j) over the features on its
path, with o_j = 1 if the row agrees with all splits on j and z_j the share of training rows that do.
A Shapley value is the integral over t from 0 to 1 of what knowing the feature changes (Owen 1972): a
polynomial, so that a few Gauss-Legendre points integrate it exactly. Per point the products go down the tree
once and the sums come up once, for many rows at a time.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from movierank_core.background import rest
from movierank_core.ranker.lightgbm_text import Tree
from movierank_core.ranker.tree_kernels import fill_columns

_LANES: Final = 32
"""Rows attributed at a time: a page of results in one go."""


@dataclass(frozen=True, slots=True)
class TreePaths:
    """Every node but the roots, by the edge that leads to it; parents before children, siblings adjacent.

    Within a tree, nodes are numbered from 1 in this order, and 0 is the root.
    """

    tree_offset: NDArray[np.int64]
    n_points: NDArray[np.int64]
    """Per tree, the integration points that make the integral exact."""
    split: NDArray[np.int64]
    """Per node, the split above it, counted over the whole ensemble."""
    is_right: NDArray[np.bool_]
    parent: NDArray[np.int64]
    previous: NDArray[np.int64]
    """The lowest node above whose edge asks the same feature; 0 if there is none."""
    first_child: NDArray[np.int64]
    """0 for a leaf."""
    share: NDArray[np.float64]
    """Of the training rows, those that agree with all edges on this feature down to here, each share taken
    of the rows at the edge's upper end."""
    previous_share: NDArray[np.float64]
    """The share of `previous`; 1 without one."""
    value: NDArray[np.float64]
    """Of a leaf, weighted; 1 for other nodes."""
    factors: NDArray[np.float64]
    """[n_nodes, 3, n_points]: what the product above is multiplied by, at each point, for a row that agrees
    with none of the edges on this feature, or not even with those down to `previous`; what is added to that
    if it agrees with all down to here; and if it agrees down to `previous` only."""
    changes: NDArray[np.float64]
    """[n_nodes, 3, n_points]: in the same way, what knowing the feature changes, as a share of the product
    below, less what was counted at `previous`; times the weight of the point."""

    @classmethod
    def of(cls, trees: Sequence[Tree], weights: Sequence[float]) -> "TreePaths":
        """The exact paths of trees whose leaf counts are all positive."""
        nodes: list[_Node] = []
        offsets, n_points, n_splits = [0], [], 0
        for tree, weight in zip(trees, weights, strict=True):
            rest()
            of_tree, n_features = _nodes(tree, weight, n_splits)
            nodes += of_tree
            n_splits += len(tree.left)
            offsets.append(len(nodes))
            n_points.append((n_features + 1) // 2)  # q points are exact up to degree 2q - 1.
        share = np.array([node.share for node in nodes], np.float64)
        share_before = np.array([node.previous_share for node in nodes], np.float64)
        value = np.array([node.value for node in nodes], np.float64)
        previous = np.array([node.previous for node in nodes], np.int64)
        return cls(
            np.array(offsets, np.int64),
            np.array(n_points, np.int64),
            np.array([node.split for node in nodes], np.int64),
            np.array([node.is_right for node in nodes], np.bool_),
            np.array([node.parent for node in nodes], np.int64),
            previous,
            np.array([node.first_child for node in nodes], np.int64),
            share,
            share_before,
            value,
            *_coefficients(previous == 0, share, share_before, value, np.repeat(n_points, np.diff(offsets))),
        )

    def coefficients(self, n_points: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """`factors` and `changes` with another number of points per tree."""
        return _coefficients(
            self.previous == 0,
            self.share,
            self.previous_share,
            self.value,
            np.repeat(n_points, np.diff(self.tree_offset)),
        )


def _coefficients(
    is_first: NDArray[np.bool_],
    share: NDArray[np.float64],
    previous_share: NDArray[np.float64],
    value: NDArray[np.float64],
    n_points: NDArray[np.int64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """`TreePaths.factors` and `TreePaths.changes`, zero after a node's own number of points.

    For a node and a point t, u = 1 - t: the factor of its feature in the products below it is t + u·share
    if the row agrees, else u·share. What knowing the feature changes is the same product with that factor
    replaced by 1 - share or -share. Where the feature was asked before, the factor of `previous` is
    replaced, and what has been counted there for the leaves below is taken back.
    """
    most = int(n_points.max(initial=0))
    factors, changes = (np.zeros((len(share), 3, most)) for _ in range(2))
    for q in range(1, most + 1):
        at, weights = np.polynomial.legendre.leggauss(q)
        t, weights = (at + 1) / 2, weights / 2
        u = 1.0 - t
        here = np.flatnonzero(n_points == q)
        first = is_first[here][:, None]
        z, before = share[here][:, None], previous_share[here][:, None]
        undo = np.where(first, 1.0, 1.0 / (t + u * before))
        counted = np.where(first, 0.0, (1.0 - before) * undo)
        factor = np.where(first, u * z, z / before)
        change = np.where(first, -weights / u, 0.0)
        factors[here, 0, :q] = factor
        factors[here, 1, :q] = (t + u * z) * undo - factor
        factors[here, 2, :q] = u * z * undo - factor
        changes[here, 0, :q] = change
        changes[here, 1, :q] = weights * ((1.0 - z) / (t + u * z) - counted) - change
        changes[here, 2, :q] = weights * (-1.0 / u - counted) - change
    return factors * value[:, None, None], changes


@dataclass(slots=True)
class _Node:
    """One row of `TreePaths`."""

    split: int
    is_right: bool
    parent: int
    previous: int
    share: float
    previous_share: float
    first_child: int
    value: float


def _nodes(tree: Tree, weight: float, first_split: int) -> tuple[list[_Node], int]:
    """The nodes of one tree, and the most features that a path asks."""
    counts = _split_counts(tree)
    nodes: list[_Node] = []
    most_features = 0
    # A split, its own node number, and for each feature asked above it the lowest node below such a split.
    pending: list[tuple[int, int, dict[int, int]]] = [(0, 0, {})] if len(tree.left) else []
    while pending:
        split, number, asked = pending.pop()
        feature = int(tree.split_feature[split])
        previous = asked.get(feature, 0)
        previous_share = nodes[previous - 1].share if previous else 1.0
        if number:
            nodes[number - 1].first_child = len(nodes) + 1
        for is_right, child in ((False, int(tree.left[split])), (True, int(tree.right[split]))):
            count = tree.leaf_count[~child] if child < 0 else counts[child]
            share = previous_share * float(count) / float(counts[split])
            value = weight * float(tree.leaf_value[~child]) if child < 0 else 1.0
            nodes.append(
                _Node(first_split + split, is_right, number, previous, share, previous_share, 0, value)
            )
            now_asked = {**asked, feature: len(nodes)}
            most_features = max(most_features, len(now_asked))
            if child >= 0:
                pending.append((child, len(nodes), now_asked))
    return nodes, most_features


def _split_counts(tree: Tree) -> NDArray[np.float64]:
    """Training rows per split."""
    counts = np.empty(len(tree.left))
    for split in range(len(counts) - 1, -1, -1):  # Children are written after their parent.
        left, right = int(tree.left[split]), int(tree.right[split])
        counts[split] = (tree.leaf_count[~left] if left < 0 else counts[left]) + (
            tree.leaf_count[~right] if right < 0 else counts[right]
        )
    return counts


@njit(cache=True, nogil=True, error_model="numpy")
def attribute(  # type: ignore[no-untyped-def]
    X, column_feature, column_fill, column_zero_is_missing, column_is_bounded, split_column, threshold,
    tree_offset, n_points, split, is_right, parent, previous, first_child, factors, changes, added,
):  # fmt: skip
    """Adds each row's Shapley values to `added` [n_rows, n_features].

    Down the tree go the products, and a leaf's are counted at once; up come the sums of the leaves below.
    """
    n_nodes = 1
    for tree in range(len(n_points)):
        n_nodes = max(n_nodes, tree_offset[tree + 1] - tree_offset[tree] + 1)
    n_rows = len(X)
    number = factors.dtype.type
    zero, one = number(0), number(1)
    product = np.ones((n_nodes, max(1, factors.shape[2]), _LANES), factors.dtype)
    # Per node and row: whether the row agrees with all edges on the feature, and with all but this one.
    agrees, agreed = np.zeros((n_nodes, _LANES), factors.dtype), np.zeros((n_nodes, _LANES), factors.dtype)
    block = np.empty((_LANES, X.shape[1]), X.dtype)
    columns = np.empty((len(column_feature), _LANES), X.dtype)
    sums = np.empty((X.shape[1], _LANES), factors.dtype)
    for begin in range(0, n_rows, _LANES):
        for r in range(_LANES):
            block[r] = X[min(begin + r, n_rows - 1)]  # The last row fills the lanes left over.
        fill_columns(
            block, 0, column_feature, column_fill, column_zero_is_missing, column_is_bounded, columns
        )
        sums[:] = zero
        for tree in range(len(n_points)):
            offset = tree_offset[tree] - 1
            last = tree_offset[tree + 1] - tree_offset[tree]
            for node in range(1, last + 1):
                i = offset + node
                x, limit = columns[split_column[split[i]]], threshold[split[i]]
                total = sums[column_feature[split_column[split[i]]]]
                is_first, is_leaf = previous[i] == 0, first_child[i] == 0
                here, only_before = agrees[node], agreed[node]
                if is_right[i]:
                    for r in range(_LANES):
                        here[r] = one if x[r] > limit else zero
                else:
                    for r in range(_LANES):
                        here[r] = zero if x[r] > limit else one
                if not is_first:
                    before = agrees[previous[i]]
                    for r in range(_LANES):
                        here[r] *= before[r]
                        only_before[r] = before[r] - here[r]
                for q in range(n_points[tree]):
                    source, target = product[parent[i], q], product[node, q]
                    f, f_here, f_before = factors[i, 0, q], factors[i, 1, q], factors[i, 2, q]
                    c, c_here, c_before = changes[i, 0, q], changes[i, 1, q], changes[i, 2, q]
                    if is_leaf and is_first:
                        for r in range(_LANES):
                            p = source[r] * (f + here[r] * f_here)
                            target[r] = p
                            total[r] += p * (c + here[r] * c_here)
                    elif is_leaf:
                        for r in range(_LANES):
                            p = source[r] * (f + here[r] * f_here + only_before[r] * f_before)
                            target[r] = p
                            total[r] += p * (c + here[r] * c_here + only_before[r] * c_before)
                    elif is_first:
                        for r in range(_LANES):
                            target[r] = source[r] * (f + here[r] * f_here)
                    else:
                        for r in range(_LANES):
                            target[r] = source[r] * (f + here[r] * f_here + only_before[r] * f_before)
            for node in range(last, 0, -1):
                i = offset + node
                child = first_child[i]
                if child == 0:
                    continue
                here, only_before = agrees[node], agreed[node]
                total = sums[column_feature[split_column[split[i]]]]
                for q in range(n_points[tree]):
                    target, left, right = product[node, q], product[child, q], product[child + 1, q]
                    c, c_here, c_before = changes[i, 0, q], changes[i, 1, q], changes[i, 2, q]
                    if previous[i] == 0:
                        for r in range(_LANES):
                            p = left[r] + right[r]
                            target[r] = p
                            total[r] += p * (c + here[r] * c_here)
                    else:
                        for r in range(_LANES):
                            p = left[r] + right[r]
                            target[r] = p
                            total[r] += p * (c + here[r] * c_here + only_before[r] * c_before)
        for r in range(min(_LANES, n_rows - begin)):
            for feature in range(X.shape[1]):
                added[begin + r, feature] = sums[feature, r]
