"""Tree ensembles scored with numba: the ranker's raw scores and their attribution to features.

Equal to `lightgbm.Booster.predict(raw_score=True)` bit for bit for one model of weight 1. The loops are
in `tree_kernels`, which explains the arrays they run over.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from movierank_core.background import rest
from movierank_core.errors import BundleError
from movierank_core.ranker.banzhaf import HalfwayPaths
from movierank_core.ranker.lightgbm_text import TextModel, Tree, parse_lightgbm_text
from movierank_core.ranker.shapley import TreePaths, attribute
from movierank_core.ranker.tree_kernels import score_by_masks, score_by_walking

_MAX_MASKED_LEAVES: Final = 64


class _Column(NamedTuple):
    """A feature as some of the splits see it; the fields are those of `TreeEnsemble.column_*`."""

    feature: int
    fill: float
    zero_is_missing: bool
    is_bounded: bool


@dataclass(frozen=True, slots=True)
class TreeEnsemble:
    """The weighted sum of all trees of one or several models. Immutable, safe to use from any thread."""

    feature_names: tuple[str, ...]
    column_feature: NDArray[np.int64]
    """Per column, the feature it holds. A feature has one column per way its splits treat missing values."""
    column_fill: NDArray[np.float32]
    """Per column, what stands for a missing value: -inf or +inf."""
    column_zero_is_missing: NDArray[np.bool_]
    column_is_bounded: NDArray[np.bool_]
    """Per column, whether +inf is lowered to the largest number, so that only a missing value exceeds it."""
    tree_offset: NDArray[np.int64]
    """Tree t owns the splits [tree_offset[t], tree_offset[t+1]) and, since it has one leaf more than
    splits, the leaves [tree_offset[t] + t, tree_offset[t+1] + t + 1)."""
    split_column: NDArray[np.int64]
    threshold: NDArray[np.float64]
    threshold_float32: NDArray[np.float32]
    """The largest float32 at or below each threshold: float32 values compare with it as with the original."""
    keep_mask: NDArray[np.uint32] | NDArray[np.uint64]
    """Per split, the leaves that remain when a row goes right; empty if a tree has over 64 leaves."""
    left: NDArray[np.int64]
    """Children within the tree; below 0, the complement of a leaf number."""
    right: NDArray[np.int64]
    leaf_value: NDArray[np.float64]
    """Weighted; leaves of a tree from left to right."""
    base: float
    """The mean raw score over the training rows: what `shapley_values` start from."""
    paths: TreePaths
    halfway_paths: HalfwayPaths

    @classmethod
    def from_texts(
        cls, texts: Sequence[str], weights: Sequence[float], feature_names: Sequence[str] | None = None
    ) -> "TreeEnsemble":
        """The ensemble `sum(weight × model)` of LightGBM text models.

        All models must have been trained on the same features in the same order and, when given, on
        exactly `feature_names`. Raises `BundleError` otherwise, and for what `parse_lightgbm_text` refuses.
        """
        if not texts or len(texts) != len(weights) or not np.isfinite(weights).all():
            raise BundleError(
                f"The bundle holds {len(texts)} ranker models and the weights {list(weights)}",
                expected="at least one model and one finite weight for each",
            )
        models = [parse_lightgbm_text(text) for text in texts]
        names = models[0].feature_names if feature_names is None else tuple(feature_names)
        for model in models:
            _require_features(model, names)
        trees = [_left_to_right(tree) for model in models for tree in model.trees]
        per_tree = np.repeat(np.asarray(weights, np.float64), [len(model.trees) for model in models])
        return cls(names, **_flatten(trees, per_tree.tolist()))

    @property
    def n_trees(self) -> int:
        return len(self.tree_offset) - 1

    def predict(self, X: NDArray[Any]) -> NDArray[np.float64]:
        """The raw score of each row of `X` [n, features], columns in the order of `feature_names`.

        NaN is a missing value. float32 and float64 are read as they are, other types as float64.
        """
        X = self._matrix(X)
        scores = np.zeros(len(X))
        if len(self.keep_mask) and X.dtype == np.float32:
            score_by_masks(*self._splits(X), self.keep_mask, self.leaf_value, scores)
        else:
            score_by_walking(*self._splits(X), self.left, self.right, self.leaf_value, scores)
        return scores

    def shapley_values(self, X: NDArray[Any]) -> tuple[NDArray[np.float64], float]:
        """What each feature added to each row's raw score [n, features], and the base they start from.

        The Shapley value of each feature (Lundberg et al. 2020), which LightGBM gives as `pred_contrib`.
        Base plus a row's values is its raw score.
        """
        X = np.ascontiguousarray(self._matrix(X))  # Few rows: not worth compiling for another layout.
        added = np.zeros(X.shape)
        paths = self.paths
        attribute(
            X,
            *self._columns(),
            self.split_column,
            self._thresholds(X),
            paths.tree_offset,
            paths.n_points,
            paths.split,
            paths.is_right,
            paths.parent,
            paths.previous,
            paths.first_child,
            paths.factors,
            paths.changes,
            added,
        )
        return added, self.base

    def banzhaf_values(self, X: NDArray[Any]) -> NDArray[np.float64]:
        """What each feature changes in the mean over all sets of other known features [n, features].

        Where a feature counts much or little, and its sign, they say what `shapley_values` say, in a tenth
        of the time; they do not add up to the raw score. Values of `X` are read in single precision.
        """
        X = np.ascontiguousarray(self._matrix(X), np.float32)
        return self.halfway_paths.values(X, self._columns())

    def _matrix(self, X: NDArray[Any]) -> NDArray[Any]:
        if X.ndim != 2 or X.shape[1] != len(self.feature_names):
            raise ValueError(f"X has the shape {X.shape}, the ranker needs [n, {len(self.feature_names)}]")
        if X.dtype not in (np.float32, np.float64):
            X = X.astype(np.float64)
        return X if X.flags.c_contiguous or X.flags.f_contiguous else np.ascontiguousarray(X)

    def _columns(self) -> tuple[NDArray[Any], ...]:
        return self.column_feature, self.column_fill, self.column_zero_is_missing, self.column_is_bounded

    def _thresholds(self, X: NDArray[Any]) -> NDArray[Any]:
        return self.threshold_float32 if X.dtype == np.float32 else self.threshold

    def _splits(self, X: NDArray[Any]) -> tuple[NDArray[Any], ...]:
        """What the kernels that score begin with."""
        return X, *self._columns(), self.tree_offset, self.split_column, self._thresholds(X)


def _require_features(model: TextModel, names: tuple[str, ...]) -> None:
    if model.feature_names == names:
        return
    differences = [
        f"{position}: {found!r} instead of {wanted!r}"
        for position, (found, wanted) in enumerate(zip(model.feature_names, names, strict=False))
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

    Where leaves without training rows leave means undefined, all leaves count alike.
    """
    rest()
    order: list[int] = []
    pending = [0] if len(tree.left) else [-1]
    while pending:
        node = pending.pop()
        if node < 0:
            order.append(~node)
        else:
            pending += [int(tree.right[node]), int(tree.left[node])]
    position = np.empty(tree.n_leaves, np.int64)
    position[order] = np.arange(tree.n_leaves)
    return Tree(
        tree.split_feature,
        tree.threshold,
        tree.goes_left_when_missing,
        tree.zero_is_missing,
        np.where(tree.left < 0, ~position[~np.minimum(tree.left, -1)], tree.left),
        np.where(tree.right < 0, ~position[~np.minimum(tree.right, -1)], tree.right),
        tree.leaf_value[order],
        tree.leaf_count[order] if bool((tree.leaf_count > 0).all()) else np.ones(tree.n_leaves),
    )


def _flatten(trees: list[Tree], weights: list[float]) -> dict[str, Any]:
    """The arrays of `TreeEnsemble` for trees whose leaves are numbered from left to right."""
    columns: dict[_Column, int] = {}
    split_column: list[int] = []
    keep_mask: list[int] = []
    base = 0.0
    for tree, weight in zip(trees, weights, strict=True):
        rest()
        keys = map(
            _Column,
            tree.split_feature.tolist(),
            np.where(tree.goes_left_when_missing, -np.inf, np.inf).tolist(),
            tree.zero_is_missing.tolist(),
            np.isposinf(tree.threshold).tolist(),
        )
        split_column += [columns.setdefault(key, len(columns)) for key in keys]
        first, middle, _ = _leaf_ranges(tree)
        keep_mask += [
            (2**64 - 1) ^ ((1 << m) - (1 << f)) for f, m in zip(first.tolist(), middle.tolist(), strict=True)
        ]
        base += weight * float(np.average(tree.leaf_value, weights=tree.leaf_count))
    threshold = np.minimum(_joined([tree.threshold for tree in trees], np.float64), np.finfo(np.float64).max)
    threshold_float32 = _rounded_down(threshold)
    most_leaves = max((tree.n_leaves for tree in trees), default=1)
    masks = np.array(keep_mask if most_leaves <= _MAX_MASKED_LEAVES else [], np.uint64)
    paths = TreePaths.of(trees, weights)
    split_columns = np.array(split_column, np.int64)
    column_features = np.array([column.feature for column in columns], np.int64)
    return {
        "column_feature": column_features,
        "column_fill": np.array([column.fill for column in columns], np.float32),
        "column_zero_is_missing": np.array([column.zero_is_missing for column in columns], np.bool_),
        "column_is_bounded": np.array([column.is_bounded for column in columns], np.bool_),
        "tree_offset": np.cumsum([0, *(len(tree.left) for tree in trees)], dtype=np.int64),
        "split_column": split_columns,
        "threshold": threshold,
        "threshold_float32": threshold_float32,
        # Masks of 32 bits take half the instructions where registers are short.
        "keep_mask": masks.astype(np.uint32) if most_leaves <= 32 else masks,
        "left": _joined([tree.left for tree in trees], np.int64),
        "right": _joined([tree.right for tree in trees], np.int64),
        "leaf_value": _joined(
            [weight * tree.leaf_value for tree, weight in zip(trees, weights, strict=True)], np.float64
        ),
        "base": base,
        "paths": paths,
        "halfway_paths": HalfwayPaths.of(paths, split_columns, column_features, threshold_float32),
    }


def _rounded_down(values: NDArray[np.float64]) -> NDArray[np.float32]:
    """The largest float32 at or below each value, -inf included."""
    limits = np.finfo(np.float32)
    nearest = np.clip(values, limits.min, limits.max).astype(np.float32)
    with np.errstate(over="ignore"):  # Below the least float32 there is only -inf.
        return np.where(nearest > values, np.nextafter(nearest, np.float32(-np.inf)), nearest)


def _joined(parts: list[NDArray[Any]], dtype: type) -> NDArray[Any]:
    return np.concatenate([np.empty(0, dtype), *parts]).astype(dtype)


def _leaf_ranges(tree: Tree) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Per split: its first leaf, the first leaf of its right side, and one past its last leaf."""
    first, middle, end = (np.empty(len(tree.left), np.int64) for _ in range(3))
    # Children are written after their parent.
    for node in range(len(tree.left) - 1, -1, -1):
        left, right = int(tree.left[node]), int(tree.right[node])
        first[node] = ~left if left < 0 else first[left]
        middle[node] = ~right if right < 0 else first[right]
        end[node] = ~right + 1 if right < 0 else end[right]
    return first, middle, end
