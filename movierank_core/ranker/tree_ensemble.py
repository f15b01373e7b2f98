"""Tree ensembles scored with numba: the ranker's raw scores, and what each feature adds to them.

For float32 rows, scores equal `lightgbm.Booster.predict(raw_score=True)` bit for bit. The loops
are in `tree_kernels` and `shapley`, which explain the arrays they run over.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from movierank_core.background import throttle
from movierank_core.errors import BundleError
from movierank_core.ranker.lightgbm_text import TextModel, Tree, parse_lightgbm_text
from movierank_core.ranker.shapley import ShapleyPaths, add_shapley_values
from movierank_core.ranker.tree_kernels import add_leaf_values

MAX_LEAVES: Final = 64
"""Maximum leaves of a tree: the bits of a mask."""


class _Column(NamedTuple):
    """A feature as some of the splits see it; the fields are those of `TreeEnsemble.column_*`."""

    feature: int
    fill: float
    zero_is_missing: bool
    is_bounded: bool


@dataclass(frozen=True, slots=True)
class TreeEnsemble:
    """The sum of all trees of a model. Immutable, safe to use from any thread."""

    feature_names: tuple[str, ...]
    column_feature: NDArray[np.int64]
    """Per column, its feature. A feature has one column for each way in which splits treat missing values."""
    column_fill: NDArray[np.float32]
    """Per column, the replacement of a missing value: -inf or +inf."""
    column_zero_is_missing: NDArray[np.bool_]
    column_is_bounded: NDArray[np.bool_]
    """Per column, whether +inf is lowered to the largest float32, so that only a missing value exceeds it."""
    tree_offset: NDArray[np.int64]
    """Tree t owns the splits [tree_offset[t], tree_offset[t+1]) and, since it has one leaf more than
    splits, the leaves [tree_offset[t] + t, tree_offset[t+1] + t + 1)."""
    split_column: NDArray[np.int64]
    threshold: NDArray[np.float32]
    """The largest float32 at or below each threshold: float32 values compare with it as with the original."""
    keep_mask: NDArray[np.uint32] | NDArray[np.uint64]
    """Per split, the leaves that remain when a row goes right."""
    leaf_value: NDArray[np.float64]
    """Leaves of a tree from left to right."""
    base: float
    """The mean raw score over the training rows: the start of `shapley_values`."""
    paths: ShapleyPaths

    @classmethod
    def from_text(cls, text: str, feature_names: Sequence[str] | None = None) -> "TreeEnsemble":
        """The trees of a LightGBM text model.

        Where `feature_names` is given, the model must have been trained on exactly these, in this order.

        Raises BundleError for other features, for trees of more than `MAX_LEAVES` leaves, and for every
        model that `parse_lightgbm_text` refuses.
        """
        model = parse_lightgbm_text(text)
        if feature_names is not None:
            _require_features(model, tuple(feature_names))
        return cls(model.feature_names, **_flatten([_left_to_right(tree) for tree in model.trees]))

    @property
    def n_trees(self) -> int:
        return len(self.tree_offset) - 1

    def predict(self, X: NDArray[Any]) -> NDArray[np.float64]:
        """The raw score of each row of `X` [n, features], columns in the order of `feature_names`.

        NaN is a missing value. Values are read in single precision.
        """
        X = self._matrix(X)
        scores = np.zeros(len(X))
        add_leaf_values(X, *self._splits(), self.keep_mask, self.leaf_value, scores)
        return scores

    def shapley_values(self, X: NDArray[Any]) -> tuple[NDArray[np.float64], float]:
        """What each feature adds to each row's raw score [n, features], and the base that they start from.

        The Shapley values that LightGBM gives as `pred_contrib` (Lundberg et al. 2020), in single precision.
        Base plus a row's values is its raw score: the difference, which is rounding (below 1e-5), is spread
        over the features in proportion to the size of their values. A row has the same values alone and
        among others.
        """
        X = np.ascontiguousarray(self._matrix(X))
        values = np.zeros(X.shape)
        paths = self.paths
        add_shapley_values(X, *self._splits(), paths.slot, paths.previous, paths.coefficients, values)
        size = np.abs(values)
        rounding = self.predict(X) - self.base - values.sum(axis=1)
        total = size.sum(axis=1)
        return values + size * (rounding / np.where(total > 0, total, 1.0))[:, None], self.base

    def _matrix(self, X: NDArray[Any]) -> NDArray[np.float32]:
        if X.ndim != 2 or X.shape[1] != len(self.feature_names):
            raise ValueError(f"X has the shape {X.shape}, the ranker needs [n, {len(self.feature_names)}]")
        with np.errstate(over="ignore"):  # Beyond the largest float32 there is only infinity.
            X = X.astype(np.float32, copy=False)
        return X if X.flags.c_contiguous or X.flags.f_contiguous else np.ascontiguousarray(X)

    def _splits(self) -> tuple[NDArray[Any], ...]:
        """The arguments with which both kernels begin, after `X`."""
        return (
            self.column_feature,
            self.column_fill,
            self.column_zero_is_missing,
            self.column_is_bounded,
            self.tree_offset,
            self.split_column,
            self.threshold,
        )


def _require_features(model: TextModel, names: tuple[str, ...]) -> None:
    if model.feature_names == names:
        return
    differences = [
        f"{column}: {found!r} instead of {wanted!r}"
        for column, (found, wanted) in enumerate(zip(model.feature_names, names, strict=False))
        if found != wanted
    ]
    shown = "; ".join(differences[:3]) or "none among the first"
    raise BundleError(
        f"A ranker was trained on {len(model.feature_names)} features, {len(names)} are given; "
        f"differences: {shown}",
        expected="the same features in the same order",
        remedy="train the ranker again with the present code",
    )


def _left_to_right(tree: Tree) -> Tree:
    """The same tree with its leaves numbered from left to right.

    If a leaf has no training rows, some means are undefined; then every leaf counts as one row.
    """
    throttle()
    order: list[int] = []
    pending = [0] if len(tree.left) else [-1]
    while pending:
        node = pending.pop()
        if node < 0:
            order.append(~node)
        else:
            pending += [int(tree.right[node]), int(tree.left[node])]
    new_number = np.empty(tree.n_leaves, np.int64)
    new_number[order] = np.arange(tree.n_leaves)
    return Tree(
        tree.split_feature,
        tree.threshold,
        tree.goes_left_when_missing,
        tree.zero_is_missing,
        np.where(tree.left < 0, ~new_number[~np.minimum(tree.left, -1)], tree.left),
        np.where(tree.right < 0, ~new_number[~np.minimum(tree.right, -1)], tree.right),
        tree.leaf_value[order],
        tree.leaf_count[order] if bool((tree.leaf_count > 0).all()) else np.ones(tree.n_leaves),
    )


def _flatten(trees: list[Tree]) -> dict[str, Any]:
    """The arrays of `TreeEnsemble` for trees whose leaves are numbered from left to right."""
    columns: dict[_Column, int] = {}
    split_column: list[int] = []
    keep_mask: list[int] = []
    base = 0.0
    for index, tree in enumerate(trees):
        throttle()
        if tree.n_leaves > MAX_LEAVES:
            raise BundleError(
                f"Tree {index} of the ranker has {tree.n_leaves} leaves",
                expected=f"at most {MAX_LEAVES}",
                remedy="train the ranker again with fewer leaves (`n_leaves`)",
            )
        keys = map(
            _Column,
            tree.split_feature.tolist(),
            np.where(tree.goes_left_when_missing, -np.inf, np.inf).tolist(),
            tree.zero_is_missing.tolist(),
            np.isposinf(tree.threshold).tolist(),
        )
        split_column += [columns.setdefault(key, len(columns)) for key in keys]
        keep_mask += _keep_masks(tree)
        base += float(np.average(tree.leaf_value, weights=tree.leaf_count))
    threshold = np.minimum(_joined([tree.threshold for tree in trees], np.float64), np.finfo(np.float64).max)
    # Masks of 32 bits take half the instructions where they hold every leaf.
    mask_type = np.uint32 if max((tree.n_leaves for tree in trees), default=1) <= 32 else np.uint64
    return {
        "column_feature": np.array([column.feature for column in columns], np.int64),
        "column_fill": np.array([column.fill for column in columns], np.float32),
        "column_zero_is_missing": np.array([column.zero_is_missing for column in columns], np.bool_),
        "column_is_bounded": np.array([column.is_bounded for column in columns], np.bool_),
        "tree_offset": np.cumsum([0, *(len(tree.left) for tree in trees)], dtype=np.int64),
        "split_column": np.array(split_column, np.int64),
        "threshold": _rounded_down(threshold),
        "keep_mask": np.array(keep_mask, np.uint64).astype(mask_type),
        "leaf_value": _joined([tree.leaf_value for tree in trees], np.float64),
        "base": base,
        "paths": ShapleyPaths.of(trees),
    }


def _rounded_down(values: NDArray[np.float64]) -> NDArray[np.float32]:
    """The largest float32 at or below each value; -inf below the least float32."""
    limits = np.finfo(np.float32)
    nearest = np.clip(values, limits.min, limits.max).astype(np.float32)
    with np.errstate(over="ignore"):  # Below the least float32 there is only -inf.
        return np.where(nearest > values, np.nextafter(nearest, np.float32(-np.inf)), nearest)


def _joined(parts: list[NDArray[Any]], dtype: type) -> NDArray[Any]:
    return np.concatenate([np.empty(0, dtype), *parts]).astype(dtype)


def _keep_masks(tree: Tree) -> list[int]:
    """Per split, a mask of 64 bits without the leaves of its left side."""
    first, middle = (np.empty(len(tree.left), np.int64) for _ in range(2))
    # Per split, its first leaf and the first leaf of its right side; children come after their parent.
    for split in range(len(tree.left) - 1, -1, -1):
        left, right = int(tree.left[split]), int(tree.right[split])
        first[split] = ~left if left < 0 else first[left]
        middle[split] = ~right if right < 0 else first[right]
    return [(2**64 - 1) ^ ((1 << m) - (1 << f)) for f, m in zip(first.tolist(), middle.tolist(), strict=True)]
