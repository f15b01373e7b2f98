"""Exact Shapley values of tree ensembles: the loops, and the arrays they run over.

The game is that of TreeSHAP (Lundberg et al. 2018), LightGBM's `pred_contrib`: a known feature follows its
split, an unknown one goes both ways in proportion to the training rows. Where each feature is known with
probability t, a leaf is reached with probability prod_j (t o_j + (1 - t) z_j) over the features on its
path, with o_j = 1 if the row agrees with all splits on j and z_j the share of training rows that do.
A Shapley value is the integral over t from 0 to 1 of what knowing the feature changes (Owen 1972): a
polynomial, so that a few Gauss-Legendre points integrate it exactly. Per point the products go down the
tree once and the sums come up once, for many rows at a time.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from movierank_core.ranking.lightgbm_text import Tree
from movierank_core.ranking.tree_kernels import fill_columns

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
    share: NDArray[np.float64]
    """Of the training rows, those that agree with all edges on this feature down to here, each share taken
    of the rows at the edge's upper end."""
    previous_share: NDArray[np.float64]
    """The share of `previous`; 1 without one."""
    first_child: NDArray[np.int64]
    """0 for a leaf."""
    value: NDArray[np.float64]
    """Of a leaf, weighted; 1 for other nodes."""
    points: NDArray[np.float64]
    """[n, n]: in row q - 1, the q points on (0, 1) of Gauss-Legendre integration; zeros after them."""
    point_weights: NDArray[np.float64]

    @classmethod
    def of(cls, trees: Sequence[Tree], weights: Sequence[float]) -> "TreePaths":
        """The paths of trees whose leaf counts are all positive."""
        nodes: list[_Node] = []
        offsets, n_points, n_splits = [0], [], 0
        for tree, weight in zip(trees, weights, strict=True):
            of_tree, n_features = _nodes(tree, weight, n_splits)
            nodes += of_tree
            n_splits += len(tree.left)
            offsets.append(len(nodes))
            n_points.append((n_features + 1) // 2)  # q points are exact up to degree 2q - 1.
        most = max(n_points, default=0)
        points, point_weights = np.zeros((most, most)), np.zeros((most, most))
        for q in range(1, most + 1):
            at, weight_at = np.polynomial.legendre.leggauss(q)
            points[q - 1, :q], point_weights[q - 1, :q] = (at + 1) / 2, weight_at / 2
        return cls(
            np.array(offsets, np.int64),
            np.array(n_points, np.int64),
            np.array([node.split for node in nodes], np.int64),
            np.array([node.is_right for node in nodes], np.bool_),
            np.array([node.parent for node in nodes], np.int64),
            np.array([node.previous for node in nodes], np.int64),
            np.array([node.share for node in nodes], np.float64),
            np.array([node.previous_share for node in nodes], np.float64),
            np.array([node.first_child for node in nodes], np.int64),
            np.array([node.value for node in nodes], np.float64),
            points,
            point_weights,
        )


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
def attribute_exactly(  # type: ignore[no-untyped-def]
    X, column_feature, column_fill, column_zero_is_missing, column_is_bounded, split_column, threshold,
    tree_offset, n_points, split, is_right, parent, previous, share, previous_share, first_child, value,
    points, point_weights, added,
):  # fmt: skip
    """Adds each row's Shapley values to `added` [n_rows, n_features].

    For a node and a point t, u = 1 - t: the factor of its feature in the products below it is t + u·share
    if the row agrees, else u·share. What knowing the feature changes is the same product with that factor
    replaced by 1 - share or -share. Where the feature was asked before, the factor of `previous` is
    replaced, and what has been counted there for the leaves below is taken back.
    """
    n_nodes = 1
    for tree in range(len(n_points)):
        n_nodes = max(n_nodes, tree_offset[tree + 1] - tree_offset[tree] + 1)
    n_rows = len(X)
    product = np.ones((n_nodes, max(1, len(points)), _LANES), np.float64)
    agrees = np.ones((n_nodes, _LANES), np.float64)
    if_agreeing, if_not = np.empty((n_nodes, len(points))), np.empty((n_nodes, len(points)))
    block = np.empty((_LANES, X.shape[1]), X.dtype)
    columns = np.empty((len(column_feature), _LANES), X.dtype)
    sums = np.empty((X.shape[1], _LANES))
    for begin in range(0, n_rows, _LANES):
        for r in range(_LANES):
            block[r] = X[min(begin + r, n_rows - 1)]  # The last row fills the lanes left over.
        fill_columns(
            block, 0, column_feature, column_fill, column_zero_is_missing, column_is_bounded, columns
        )
        sums[:] = 0.0
        for tree in range(len(n_points)):
            offset = tree_offset[tree] - 1
            last = tree_offset[tree + 1] - tree_offset[tree]
            n_at = n_points[tree]
            at, weights = points[n_at - 1], point_weights[n_at - 1]
            for node in range(1, last + 1):
                i = offset + node
                x, limit, right = columns[split_column[split[i]]], threshold[split[i]], is_right[i]
                here = agrees[node]
                z, scale, above = share[i], value[i], parent[i]
                if previous[i] == 0:
                    for r in range(_LANES):
                        here[r] = 1.0 if (x[r] > limit) == right else 0.0
                    for q in range(n_at):
                        t = at[q]
                        u = 1.0 - t
                        both, only = (t + u * z) * scale, u * z * scale
                        if_agreeing[node, q] = weights[q] * (1.0 - z) / (t + u * z)
                        if_not[node, q] = -weights[q] / u
                        source, target = product[above, q], product[node, q]
                        for r in range(_LANES):
                            target[r] = source[r] * (both if here[r] != 0.0 else only)
                else:
                    before = agrees[previous[i]]
                    for r in range(_LANES):
                        here[r] = before[r] if (x[r] > limit) == right else 0.0
                    z_before = previous_share[i]
                    for q in range(n_at):
                        t = at[q]
                        u = 1.0 - t
                        undo = 1.0 / (t + u * z_before)
                        counted = (1.0 - z_before) * undo
                        if_agreeing[node, q] = weights[q] * ((1.0 - z) / (t + u * z) - counted)
                        if_not[node, q] = weights[q] * (-1.0 / u - counted)
                        both, only = (t + u * z) * undo * scale, u * z * undo * scale
                        none = z / z_before * scale
                        source, target = product[above, q], product[node, q]
                        for r in range(_LANES):
                            target[r] = source[r] * (
                                both if here[r] != 0.0 else only if before[r] != 0.0 else none
                            )
            for node in range(last, 0, -1):
                i = offset + node
                child = first_child[i]
                if child != 0:
                    for q in range(n_at):
                        target, one, other = product[node, q], product[child, q], product[child + 1, q]
                        for r in range(_LANES):
                            target[r] = one[r] + other[r]
                here, total = agrees[node], sums[column_feature[split_column[split[i]]]]
                if previous[i] == 0:
                    for q in range(n_at):
                        a, b, source = if_agreeing[node, q], if_not[node, q], product[node, q]
                        for r in range(_LANES):
                            total[r] += source[r] * (a if here[r] != 0.0 else b)
                else:
                    before = agrees[previous[i]]
                    for q in range(n_at):
                        a, b, source = if_agreeing[node, q], if_not[node, q], product[node, q]
                        for r in range(_LANES):
                            total[r] += source[r] * (a if here[r] != 0.0 else b if before[r] != 0.0 else 0.0)
        for r in range(min(_LANES, n_rows - begin)):
            for feature in range(X.shape[1]):
                added[begin + r, feature] = sums[feature, r]
