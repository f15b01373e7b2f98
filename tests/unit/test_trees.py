"""The numba scorer is LightGBM, exactly; its contributions add up to the score."""

from concurrent.futures import ThreadPoolExecutor
from itertools import permutations
from typing import Any

import lightgbm as lgb
import numpy as np
import pytest
from numpy.testing import assert_array_equal
from numpy.typing import NDArray

from movierank_core.errors import BundleError
from movierank_core.ranker.lightgbm_text import Tree, parse_lightgbm_text
from movierank_core.ranker.shapley import N_POINTS
from movierank_core.ranker.tree_ensemble import MAX_LEAVES, TreeEnsemble
from tests.support.lightgbm_models import BY_HAND, edge_rows, random_matrix, train

N_FEATURES = 8
SINGLE_PRECISION = 1e-5
"""Maximum error of a Shapley value in these tests, whose raw scores are below 10."""


def test_a_score_is_the_sum_of_the_leaves_reached() -> None:
    ensemble = TreeEnsemble.from_text(BY_HAND)
    rows = np.array([[1.5, 4.0], [1.5, 4.1], [1.6, 0.0], [np.nan, np.nan]])
    # Missing types are "none" (decision_type 2), so NaN is read as 0.
    assert ensemble.predict(rows).tolist() == [0.75, 2.25, -0.75, 0.75]


def test_a_threshold_of_infinity_tells_missing_from_known() -> None:
    text = BY_HAND.replace("threshold=1.5 4", "threshold=inf 4").replace(
        "decision_type=2 2", "decision_type=8 2"
    )
    rows = np.array([[np.inf, 0.0], [-np.inf, 0.0], [np.nan, 0.0]])
    assert TreeEnsemble.from_text(text).predict(rows).tolist() == [0.75, 0.75, -0.75]


def test_a_shapley_value_is_the_mean_change_over_the_orders_of_features() -> None:
    ensemble = TreeEnsemble.from_text(BY_HAND)
    # Expected scores of the first row when nothing, age, popularity or both are known: 0.125, 1.25, 0.5, 2.
    values, base = ensemble.shapley_values(np.array([[1.0, 9.0], [2.0, 9.0]]))
    assert base == 0.375
    np.testing.assert_allclose(values, [[1.3125, 0.5625], [-1.3125, 0.1875]], rtol=1e-6)


def test_no_rows_have_no_scores() -> None:
    ensemble = TreeEnsemble.from_text(BY_HAND)
    assert ensemble.predict(np.empty((0, 2))).shape == (0,)
    assert ensemble.shapley_values(np.empty((0, 2)))[0].shape == (0, 2)


SETTINGS: list[dict[str, Any]] = [
    {"objective": "binary"},
    {"objective": "binary", "boost_from_average": False},
    {"objective": "lambdarank"},
    {"objective": "regression", "learning_rate": 0.5},
    {"zero_as_missing": True},
    {"use_missing": False},
    {"num_leaves": 2},
    {"num_leaves": 32, "min_data_in_leaf": 1},
    {"num_leaves": 33, "min_data_in_leaf": 1},
    {"num_leaves": 64, "min_data_in_leaf": 1},
    {"min_data_in_leaf": 100_000},  # No split is allowed: every tree is one leaf.
    {"boosting": "dart"},
    {"max_bin": 7},  # Has thresholds of +inf: splits that only tell missing from known.
]


def setting_name(settings: dict[str, Any]) -> str:
    return ",".join(f"{name}={value}" for name, value in settings.items())


@pytest.mark.parametrize("settings", SETTINGS, ids=setting_name)
def test_scores_equal_lightgbm_bit_for_bit_and_shapley_values_its_treeshap(settings: dict[str, Any]) -> None:
    rng = np.random.default_rng(7)
    booster, text = train(rng, random_matrix(rng, 1200, N_FEATURES), **settings)
    ensemble = TreeEnsemble.from_text(text)
    fresh = random_matrix(rng, 700, N_FEATURES)
    fresh[rng.random(fresh.shape) < 0.1] = np.nan  # Missing where training never saw it missing, too.
    with np.errstate(over="ignore"):
        edges = edge_rows(booster, N_FEATURES).astype(np.float32)
    for rows in (fresh, np.asfortranarray(fresh), fresh[::3], fresh.astype(np.float64), edges):
        expected = booster.predict(rows, raw_score=True, num_threads=1)
        assert_array_equal(ensemble.predict(rows), expected)
        values, base = ensemble.shapley_values(rows[:50])
        np.testing.assert_allclose(base + values.sum(axis=1), expected[:50], rtol=0, atol=1e-9)
    for rows in (fresh[:70], edges[::40], np.asfortranarray(fresh[:1])):
        exact = np.asarray(booster.predict(rows, pred_contrib=True, num_threads=1))
        values, base = ensemble.shapley_values(rows)
        np.testing.assert_allclose(values, exact[:, :-1], rtol=0, atol=SINGLE_PRECISION)
        np.testing.assert_allclose(base, exact[:, -1], rtol=0, atol=1e-9)


def test_shapley_values_are_treeshap_where_a_path_asks_more_features_than_the_points_integrate() -> None:
    rng = np.random.default_rng(11)
    X = rng.normal(size=(3000, 40)).astype(np.float32)
    # Few features per tree and little data per leaf make long, lopsided paths.
    booster, text = train(rng, X, num_leaves=MAX_LEAVES, min_data_in_leaf=1, n_trees=60)
    ensemble = TreeEnsemble.from_text(text)
    n_asked = max(features_on_a_path(tree) for tree in parse_lightgbm_text(text).trees)
    assert n_asked > 2 * N_POINTS, "or the integral would be exact"
    exact = np.asarray(booster.predict(X[:200], pred_contrib=True, num_threads=1))
    np.testing.assert_allclose(
        ensemble.shapley_values(X[:200])[0], exact[:, :-1], rtol=0, atol=SINGLE_PRECISION
    )


def features_on_a_path(tree: Tree, node: int = 0, asked: frozenset[int] = frozenset()) -> int:
    """The most different features that a path from root to leaf asks."""
    if node < 0:
        return len(asked)
    asked |= {int(tree.split_feature[node])}
    return max(
        features_on_a_path(tree, int(tree.left[node]), asked),
        features_on_a_path(tree, int(tree.right[node]), asked),
    )


def test_a_row_has_the_same_shapley_values_alone_and_among_others() -> None:
    rng = np.random.default_rng(12)
    X = random_matrix(rng, 1200, N_FEATURES)
    _, text = train(rng, X)
    ensemble = TreeEnsemble.from_text(text)
    together, _ = ensemble.shapley_values(X[:70])
    for row in range(70):
        assert_array_equal(ensemble.shapley_values(X[row : row + 1])[0][0], together[row])


def test_a_tree_with_more_leaves_than_a_mask_has_bits_is_refused() -> None:
    rng = np.random.default_rng(13)
    _, text = train(rng, random_matrix(rng, 1200, N_FEATURES), num_leaves=65, min_data_in_leaf=1)
    with pytest.raises(BundleError) as error:
        TreeEnsemble.from_text(text)
    assert str(error.value) == (
        "Tree 0 of the ranker has 65 leaves. Expected: at most 64. "
        "Remedy: train the ranker again with fewer leaves (`n_leaves`)."
    )


def expected_score(tree: Tree, row: NDArray[np.float64], known: set[int], node: int = 0) -> float:
    """Of one tree where only some features are known; unknown ones go both ways by training rows."""
    if node < 0:
        return float(tree.leaf_value[~node])
    left, right = int(tree.left[node]), int(tree.right[node])
    feature = int(tree.split_feature[node])
    if feature in known:
        child = left if row[feature] <= tree.threshold[node] else right
        return expected_score(tree, row, known, child)
    n_left, n_right = n_training_rows(tree, left), n_training_rows(tree, right)
    below = (expected_score(tree, row, known, child) for child in (left, right))
    return float(np.average(list(below), weights=[n_left, n_right]))


def n_training_rows(tree: Tree, node: int) -> float:
    if node < 0:
        return float(tree.leaf_count[~node])
    return n_training_rows(tree, int(tree.left[node])) + n_training_rows(tree, int(tree.right[node]))


def test_a_shapley_value_is_the_mean_change_over_all_orders_in_which_features_become_known() -> None:
    rng = np.random.default_rng(9)
    training, rows = rng.normal(size=(600, 4)), rng.normal(size=(40, 4))
    text = train(rng, training, num_leaves=12, n_trees=5)[1]
    ensemble = TreeEnsemble.from_text(text)
    trees = parse_lightgbm_text(text).trees
    orders = list(permutations(range(4)))
    for row, values in zip(rows, ensemble.shapley_values(rows)[0], strict=True):
        score = {
            known: sum(expected_score(tree, row, set(known)) for tree in trees)
            for known in {tuple(sorted(order[:n])) for order in orders for n in range(5)}
        }
        for feature in range(4):
            before = [order[: order.index(feature)] for order in orders]
            changes = [
                score[tuple(sorted((*known, feature)))] - score[tuple(sorted(known))] for known in before
            ]
            assert values[feature] == pytest.approx(sum(changes) / len(orders), abs=SINGLE_PRECISION)


def test_threads_score_alike() -> None:
    rng = np.random.default_rng(9)
    X = random_matrix(rng, 1500, N_FEATURES)
    _, text = train(rng, X)
    ensemble = TreeEnsemble.from_text(text)
    expected = ensemble.predict(X)
    with ThreadPoolExecutor(4) as pool:
        for scores in pool.map(lambda _: ensemble.predict(X), range(20)):
            assert_array_equal(scores, expected)


def test_a_matrix_of_another_width_is_refused() -> None:
    ensemble = TreeEnsemble.from_text(BY_HAND)
    with pytest.raises(ValueError, match=r"^X has the shape \(1, 3\), the ranker needs \[n, 2\]$"):
        ensemble.predict(np.zeros((1, 3)))


def test_other_features_are_refused() -> None:
    with pytest.raises(BundleError) as error:
        TreeEnsemble.from_text(BY_HAND, ["popularity", "age_days"])
    assert str(error.value) == (
        "A ranker was trained on 2 features, 2 are given; differences: "
        "0: 'age_days' instead of 'popularity'; 1: 'popularity' instead of 'age_days'. "
        "Expected: the same features in the same order. "
        "Remedy: train the ranker again with the present code."
    )


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ("tree\nversion", "forest\nversion", "the text does not start like a LightGBM model"),
        ("num_class=1", "num_class=3", "the model has several outputs per row"),
        ("label_index=0", "average_output", "the model averages its trees (boosting=rf)"),
        ("end of trees", "", "the text is cut short: 2 of 2 trees"),
        ("tree_sizes=1 1", "tree_sizes=1 1 1", "the text is cut short: 2 of 3 trees"),
        ("max_feature_idx=1", "max_feature_idx=4", "the header names 2 features but counts others"),
        ("num_leaves=3", "num_leaves=three", "tree 0 has no num_leaves"),
        ("num_cat=0\nsplit_feature=0 1", "num_cat=1\nsplit_feature=0 1", "tree 0 has categorical splits"),
        ("decision_type=2 2", "decision_type=1 2", "tree 0 has splits of an unknown kind"),
        ("is_linear=0", "is_linear=1", "tree 0 has linear leaves"),
        ("leaf_value=0.5 -1 2", "leaf_value=0.5 nan 2", "tree 0 needs 3 sound numbers as its leaf_value"),
        ("leaf_value=0.5 -1 2", "leaf_value=0.5 -1", "tree 0 needs 3 sound numbers as its leaf_value"),
        ("threshold=1.5 4", "threshold=nan 4", "tree 0 needs 2 sound numbers as its threshold"),
        ("leaf_value=0.5 -1 2", "leaf_value=0.5 -1 x", "tree 0 has no readable leaf_value"),
        ("split_feature=0 1", "split_feature=0 2", "tree 0 splits on a feature that the model does not name"),
        ("left_child=1 -1", "left_child=0 -1", "tree 0 does not hang together"),
        ("right_child=-2 -3", "right_child=-2 -2", "tree 0 does not hang together"),
    ],
)
def test_a_model_that_would_not_be_scored_exactly_is_refused(old: str, new: str, found: str) -> None:
    assert old in BY_HAND
    with pytest.raises(BundleError) as error:
        TreeEnsemble.from_text(BY_HAND.replace(old, new, 1))
    assert str(error.value) == (
        f"A ranker in the bundle cannot be scored: {found}. "
        "Expected: LightGBM text with one output, numerical splits and finite constant leaves. "
        "Remedy: train the ranker again with `movierank demo` or the job `retrain`"
    )


def test_categorical_splits_of_lightgbm_itself_are_refused() -> None:
    rng = np.random.default_rng(10)
    X = np.abs(np.nan_to_num(random_matrix(rng, 800, N_FEATURES)))
    dataset = lgb.Dataset(X, X[:, 1] % 2, categorical_feature=[1])
    booster = lgb.train({"objective": "binary", "verbose": -1, "min_data_per_group": 5}, dataset, 2)
    with pytest.raises(BundleError, match="tree 0 has categorical splits"):
        TreeEnsemble.from_text(booster.model_to_string())
