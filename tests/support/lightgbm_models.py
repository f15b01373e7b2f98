"""LightGBM models for tests: random ones that are trained here, and one small enough to compute by hand."""

from typing import Any

import lightgbm as lgb
import numpy as np
from numpy.typing import NDArray

BY_HAND = """tree
version=v4
num_class=1
num_tree_per_iteration=1
label_index=0
max_feature_idx=1
objective=binary sigmoid:1
feature_names=age_days popularity
feature_infos=[0:9] [0:9]
tree_sizes=1 1

Tree=0
num_leaves=3
num_cat=0
split_feature=0 1
split_gain=2 1
threshold=1.5 4
decision_type=2 2
left_child=1 -1
right_child=-2 -3
leaf_value=0.5 -1 2
leaf_weight=1 1 1
leaf_count=2 4 2
internal_value=0 0
internal_weight=0 2
internal_count=8 4
is_linear=0
shrinkage=1


Tree=1
num_leaves=1
num_cat=0
split_feature=
split_gain=
threshold=
decision_type=
left_child=
right_child=
leaf_value=0.25
leaf_weight=
leaf_count=8
internal_value=
internal_weight=
internal_count=
is_linear=0
shrinkage=1


end of trees

feature_importances:
age_days=1

parameters:
[boosting: gbdt]
end of parameters
"""
"""age_days <= 1.5 ? (popularity <= 4 ? 0.5 : 2) : -1, and a constant 0.25.

Means over the training rows: 1.25 below the second split, 0.125 at the root, so the base is 0.375.
"""


def random_matrix(rng: np.random.Generator, n_rows: int, n_features: int) -> NDArray[np.float32]:
    """Normal, integer, half-missing and mostly zero columns in turn."""
    X = rng.normal(size=(n_rows, n_features)).astype(np.float32)
    X[:, 1::4] = np.round(2 * X[:, 1::4])
    X[:, 2::4][rng.random(X[:, 2::4].shape) < 0.5] = np.nan
    X[:, 3::4][rng.random(X[:, 3::4].shape) < 0.7] = 0.0
    return X


def train(
    rng: np.random.Generator, X: NDArray[Any], n_trees: int = 20, **params: Any
) -> tuple[lgb.Booster, str]:
    """A booster trained on a noisy function of `X`, and its text."""
    filled = np.nan_to_num(X)
    taste = filled @ rng.normal(size=X.shape[1]) + np.abs(filled[:, 0]) + np.isnan(X).sum(axis=1)
    label = (taste + rng.normal(size=len(X)) > np.median(taste)).astype(int)
    settings = {
        "objective": "binary",
        "num_leaves": 15,
        "min_data_in_leaf": 5,
        "learning_rate": 0.2,
        "num_threads": 1,
        "deterministic": True,
        "force_row_wise": True,
        "verbose": -1,
        **params,
    }
    group = np.full(len(X) // 20, 20) if settings["objective"] == "lambdarank" else None
    booster = lgb.train(settings, lgb.Dataset(X, label, group=group), n_trees)
    return booster, booster.model_to_string()


def edge_rows(booster: lgb.Booster, n_features: int) -> NDArray[np.float64]:
    """Rows that show an inexact comparison.

    They hold NaN, zeros, infinities, numbers that count as zero, and every threshold of the model with its
    float32 neighbours.
    """
    thresholds = [
        float(value)
        for line in booster.model_to_string().split("\n")
        if line.startswith("threshold=")
        for value in line.partition("=")[2].split()
    ]
    near = np.array(thresholds[:200], np.float32)
    above, below = (np.nextafter(near, np.float32(end)) for end in (np.inf, -np.inf))
    zero = float(np.float32(1e-35))
    special = [np.nan, 0.0, -0.0, np.inf, -np.inf, 1e-35, -1e-35, zero, -zero, 1e-34, 1e-40, 1e300]
    values = np.concatenate([near, above, below]).astype(np.float64).tolist() + special
    return np.repeat(np.array(values)[:, None], n_features, axis=1)


def model_text(trees: list[dict[str, list[Any]]], feature_names: list[str]) -> str:
    """The LightGBM text of trees, from the lists of their fields; tree sizes are filled in."""
    blocks = []
    for number, tree in enumerate(trees):
        n_leaves = len(tree["leaf_value"])
        fields = {
            "num_leaves": [n_leaves],
            "num_cat": [0],
            **tree,
            "leaf_weight": [1] * n_leaves,
            "internal_value": [0] * (n_leaves - 1),
            "internal_weight": [1] * (n_leaves - 1),
            "internal_count": [1] * (n_leaves - 1),
            "split_gain": [1] * (n_leaves - 1),
            "is_linear": [0],
            "shrinkage": [1],
        }
        lines = [f"{name}={' '.join(map(repr, values))}" for name, values in fields.items()]
        blocks.append(f"Tree={number}\n" + "\n".join(lines) + "\n\n\n")
    header = [
        "tree",
        "version=v4",
        "num_class=1",
        "num_tree_per_iteration=1",
        "label_index=0",
        f"max_feature_idx={len(feature_names) - 1}",
        "objective=regression",
        f"feature_names={' '.join(feature_names)}",
        f"feature_infos={' '.join('[-1:1]' for _ in feature_names)}",
        f"tree_sizes={' '.join(str(len(block)) for block in blocks)}",
    ]
    return "\n".join(header) + "\n\n" + "".join(blocks) + "end of trees\n\nparameters:\nend of parameters\n"
