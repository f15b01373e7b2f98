"""Shapley values of tree ensembles: what each feature adds to a row's raw score.

The game is that of TreeSHAP (Lundberg et al. 2018), LightGBM's `pred_contrib`: a known feature follows its
split, an unknown one goes both ways in proportion to the training rows. Where each feature is known with
probability t, a row reaches a leaf with probability prod_j (t o_j + (1 - t) z_j) over the features on its
path, with o_j = 1 if the row agrees with all splits on j, else 0, and z_j the share of training rows that do.
A Shapley value is the integral over t from 0 to 1 of what knowing the feature changes (Owen 1972). The
integrand is a polynomial, so a few Gauss-Legendre points integrate it.

The kernel works on 32 rows at a time and in single precision. Per tree it needs one pass down the splits, for
the products, and one pass up, for the sums over the leaves below.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from movierank_core.background import throttle
from movierank_core.kernels.simd import N_LANES, load, spread, store, where_above
from movierank_core.ranker.lightgbm_text import Tree
from movierank_core.ranker.tree_kernels import fill_columns

N_POINTS: Final = 4
"""Integration points. Exact where a path from root to leaf asks at most 8 different features.

With more features the error stays that of single precision: below 1e-5 for raw scores up to 10.
"""

_TERMS: Final = 12
"""Coefficients per split and point: 3 each for the factors left and right, and for the changes left and
right."""


@dataclass(frozen=True, slots=True)
class ShapleyPaths:
    """Per split, the constants of the kernel. Splits in the order of the ensemble, parents first.

    Within a tree, slot 0 is the root, and the branches of split s are the slots 2s + 1 (left) and 2s + 2
    (right). A slot holds the values of one branch for every row.
    """

    slot: NDArray[np.uint16]
    """The branch at whose end the split is; 0 for the root."""
    previous: NDArray[np.uint16]
    """The lowest branch above that asks the same feature; 0 if there is none."""
    coefficients: NDArray[np.float32]
    """[n_splits, N_POINTS, 12]: (a, b, c) for the factor of the left branch, the factor of the right one, the
    change of the left one and the change of the right one. Each is a + b·agrees + c·agreed, where `agrees`
    is 1 if the row agrees with all branches on the feature down to this one, and `agreed` down to `previous`.
    """

    @classmethod
    def of(cls, trees: Sequence[Tree]) -> "ShapleyPaths":
        """The paths of trees whose leaf counts are all positive."""
        branches: list[_Branch] = []
        slots: list[int] = []
        for tree in trees:
            throttle()
            of_tree, slots_of_tree = _branches(tree)
            branches += of_tree
            slots += slots_of_tree
        factors, changes = _coefficients(branches)
        both = np.concatenate([factors, changes], axis=2).reshape(-1, 2, N_POINTS, 2, 3)
        # From [split, side, point, kind, term] to [split, point, kind and side and term].
        packed = both.transpose(0, 2, 3, 1, 4).reshape(-1, N_POINTS, _TERMS)
        return cls(
            np.array(slots, np.uint16),
            np.array([branch.previous for branch in branches[::2]], np.uint16),
            np.ascontiguousarray(packed, np.float32),
        )


@dataclass(slots=True)
class _Branch:
    """One side of a split."""

    previous: int
    share: float
    """Share of the training rows that agree with all branches on this feature down to here: the product of
    their shares, each of the rows at its split."""
    previous_share: float
    """The share of `previous`; 1 without one."""
    value: float
    """Leaf value; 1 if another split follows."""


def _branches(tree: Tree) -> tuple[list[_Branch], list[int]]:
    """The two branches of each split of a tree, left before right, and the slot of each split."""
    counts = _split_counts(tree)
    branches: list[_Branch] = []
    slots = [0] * len(tree.left)
    # Per split, for each feature asked above it, the slot of the lowest branch below such a split.
    asked: list[dict[int, int]] = [{} for _ in tree.left]
    for split in range(len(tree.left)):  # LightGBM writes children after their parent.
        feature = int(tree.split_feature[split])
        previous = asked[split].get(feature, 0)
        previous_share = branches[previous - 1].share if previous else 1.0
        for slot, child in (
            (2 * split + 1, int(tree.left[split])),
            (2 * split + 2, int(tree.right[split])),
        ):
            count = tree.leaf_count[~child] if child < 0 else counts[child]
            share = previous_share * float(count) / float(counts[split])
            value = float(tree.leaf_value[~child]) if child < 0 else 1.0
            branches.append(_Branch(previous, share, previous_share, value))
            if child >= 0:
                slots[child] = slot
                asked[child] = {**asked[split], feature: slot}
    return branches, slots


def _split_counts(tree: Tree) -> NDArray[np.float64]:
    """Training rows per split."""
    counts = np.empty(len(tree.left))
    for split in range(len(counts) - 1, -1, -1):  # Children come after their parent.
        left, right = int(tree.left[split]), int(tree.right[split])
        counts[split] = (tree.leaf_count[~left] if left < 0 else counts[left]) + (
            tree.leaf_count[~right] if right < 0 else counts[right]
        )
    return counts


def _coefficients(branches: list[_Branch]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The factors and changes of all branches, [n_branches, N_POINTS, 3] each, as (a, b, c).

    For a branch and a point t, with u = 1 - t and z its share, the factor of its feature in the products
    below is t + u·z if the row agrees, else u·z. Knowing the feature replaces it by 1 - z or by -z. Where
    the feature was asked before, the factor of `previous` is divided out, and the change that was counted at
    `previous` for the leaves below is taken back.
    """
    at, weights = np.polynomial.legendre.leggauss(N_POINTS)
    t, weights = (at + 1) / 2, weights / 2
    u = 1.0 - t
    z = np.array([branch.share for branch in branches], np.float64)[:, None]
    before = np.array([branch.previous_share for branch in branches], np.float64)[:, None]
    value = np.array([branch.value for branch in branches], np.float64)[:, None]
    is_first = np.array([branch.previous == 0 for branch in branches], np.bool_)[:, None]
    # Each in three cases: the row agrees with all branches; only down to `previous`; not even so far.
    undo = np.where(is_first, 1.0, 1.0 / (t + u * before))
    counted = np.where(is_first, 0.0, weights * (1.0 - before) * undo)
    all_factor, all_change = (t + u * z) * undo, weights * (1.0 - z) / (t + u * z) - counted
    part_factor, part_change = u * z * undo, -weights / u - counted
    # Without a `previous` the third case cannot be: `agreed` is 1, and its term is folded into a.
    none_factor, none_change = np.where(is_first, part_factor, z / before), np.where(is_first, part_change, 0)
    factors = np.stack([none_factor, all_factor - part_factor, part_factor - none_factor], axis=2)
    changes = np.stack([none_change, all_change - part_change, part_change - none_change], axis=2)
    return factors * value[:, :, None], changes


@njit(cache=True, nogil=True, error_model="numpy")
def add_shapley_values(  # type: ignore[no-untyped-def]  # numba
    X, column_feature, column_fill, column_zero_is_missing, column_is_bounded, tree_offset, split_column,
    threshold, slot, previous, coefficients, added,
):  # fmt: skip
    """Adds each row's Shapley values to `added` [n_rows, n_features]; `X` is float32 in row order."""
    n_slots = 1
    for tree in range(len(tree_offset) - 1):
        n_slots = max(n_slots, 2 * (tree_offset[tree + 1] - tree_offset[tree]) + 1)
    one, zero = np.float32(1), np.float32(0)
    width = N_LANES * N_POINTS
    # Per slot, point and row: the product down to here; in the second pass, the sum over the leaves below.
    product = np.ones(n_slots * width, np.float32)
    # Per slot and row: whether the row agrees with all branches on the feature down to here. Slot 0 is 1.
    agrees = np.ones(n_slots * N_LANES, np.float32)
    block = np.empty((N_LANES, X.shape[1]), np.float32)
    columns = np.empty((len(column_feature), N_LANES), np.float32)
    values = columns.reshape(-1)
    sums = np.empty(X.shape[1] * N_LANES, np.float32)
    for begin in range(0, len(X), N_LANES):
        # 1. The values of the next 32 rows, one column after the other, missing values replaced.
        for r in range(N_LANES):
            block[r] = X[min(begin + r, len(X) - 1)]  # The last row fills the lanes left over.
        fill_columns(
            block, 0, column_feature, column_fill, column_zero_is_missing, column_is_bounded, columns
        )
        sums[:] = zero
        for tree in range(len(tree_offset) - 1):
            first, last = tree_offset[tree], tree_offset[tree + 1] - 1
            product[:width] = one
            # 2. Down the tree: which rows agree with each branch, and its product from that of its parent.
            for i in range(first, last + 1):
                left_slot = 2 * (i - first) + 1
                agreed = load(agrees, previous[i] * N_LANES)
                x = load(values, split_column[i] * N_LANES)
                right = agreed * where_above(x, threshold[i], one, zero)
                left = agreed - right
                store(agrees, left_slot * N_LANES, left)
                store(agrees, (left_slot + 1) * N_LANES, right)
                for p in range(N_POINTS):
                    above = load(product, slot[i] * width + p * N_LANES)
                    left_factor, right_factor = (
                        left * coefficients[i, p, 1] + spread(coefficients[i, p, 0]),
                        right * coefficients[i, p, 4] + spread(coefficients[i, p, 3]),
                    )
                    if previous[i] != 0:
                        left_factor, right_factor = (
                            agreed * coefficients[i, p, 2] + left_factor,
                            agreed * coefficients[i, p, 5] + right_factor,
                        )
                    store(product, left_slot * width + p * N_LANES, above * left_factor)
                    store(product, (left_slot + 1) * width + p * N_LANES, above * right_factor)
            # 3. Up the tree: the sum over the leaves below each branch times the change goes to the feature.
            for i in range(last, first - 1, -1):
                left_slot = 2 * (i - first) + 1
                agreed = load(agrees, previous[i] * N_LANES)
                left, right = load(agrees, left_slot * N_LANES), load(agrees, (left_slot + 1) * N_LANES)
                feature = column_feature[split_column[i]] * N_LANES
                total = load(sums, feature)
                for p in range(N_POINTS):
                    below_left = load(product, left_slot * width + p * N_LANES)
                    below_right = load(product, (left_slot + 1) * width + p * N_LANES)
                    store(product, slot[i] * width + p * N_LANES, below_left + below_right)
                    left_change, right_change = (
                        left * coefficients[i, p, 7] + spread(coefficients[i, p, 6]),
                        right * coefficients[i, p, 10] + spread(coefficients[i, p, 9]),
                    )
                    if previous[i] != 0:
                        left_change, right_change = (
                            agreed * coefficients[i, p, 8] + left_change,
                            agreed * coefficients[i, p, 11] + right_change,
                        )
                    total = total + below_left * left_change + below_right * right_change
                store(sums, feature, total)
        # 4. Back to one row per result.
        for r in range(min(N_LANES, len(X) - begin)):
            for feature in range(X.shape[1]):
                added[begin + r, feature] += sums[feature * N_LANES + r]
