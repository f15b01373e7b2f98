"""Any tree that LightGBM can write is scored like LightGBM, whatever is in a row."""

from typing import Any

import lightgbm as lgb
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray

from movierank_core.ranker.tree_ensemble import TreeEnsemble
from tests.support.lightgbm_models import model_text

N_FEATURES = 3
NAMES = [f"feature_{number}" for number in range(N_FEATURES)]

values = st.one_of(
    st.sampled_from([0.0, -0.0, 1.0, -1.0, 1e-35, -1e-35, float(np.float32(1e-35)), float("nan")]),
    st.floats(-3, 3, width=32),
    st.floats(allow_nan=True, allow_infinity=True),
)
thresholds = st.one_of(
    st.sampled_from([0.0, 1.0, -1.0, float(np.float32(1e-35)), -float(np.float32(1e-35)), float("inf")]),
    st.floats(-3, 3, width=32),
    st.floats(-3, 3),
    st.floats(allow_nan=False, allow_infinity=False),
)
# Bit 1: missing values go left. Bits 2 and 3: nothing, 0 or NaN is missing.
decisions = st.integers(0, 5).map(lambda flags: 2 * flags)
leaf_values = st.floats(-5, 5, width=16)


def grow(split_leaves: list[int]) -> tuple[list[int], list[int]]:
    """Children of the nodes 0, 1, …: node i splits the leaf `split_leaves[i]` of the i + 1 there are."""
    left: list[int] = []
    right: list[int] = []
    for node, leaf in enumerate(split_leaves):
        for children in (left, right):
            children[:] = [node if child == ~leaf else child for child in children]
        left.append(~leaf)
        right.append(~(node + 1))
    return left, right


def random_tree(rng: np.random.Generator, n_leaves: int) -> dict[str, list[Any]]:
    n_splits = n_leaves - 1
    left, right = grow([int(rng.integers(0, node + 1)) for node in range(n_splits)])
    return {
        "split_feature": rng.integers(0, N_FEATURES, n_splits).tolist(),
        "threshold": rng.normal(size=n_splits).round(1).tolist(),
        "decision_type": (2 * rng.integers(0, 6, n_splits)).tolist(),
        "left_child": left,
        "right_child": right,
        "leaf_value": rng.normal(size=n_leaves).tolist(),
        "leaf_count": rng.integers(0, 9, n_leaves).tolist(),
    }


@st.composite
def trees(draw: st.DrawFn, max_leaves: int) -> dict[str, list[Any]]:
    """A tree grown as LightGBM does: a leaf becomes a split, with itself on the left and a new leaf."""
    n_leaves = draw(st.integers(1, max_leaves))
    left, right = grow([draw(st.integers(0, node)) for node in range(n_leaves - 1)])
    n_splits = n_leaves - 1

    def each(strategy: st.SearchStrategy[Any], size: int) -> list[Any]:
        return draw(st.lists(strategy, min_size=size, max_size=size))

    return {
        "split_feature": each(st.integers(0, N_FEATURES - 1), n_splits),
        "threshold": each(thresholds, n_splits),
        "decision_type": each(decisions, n_splits),
        "left_child": left,
        "right_child": right,
        "leaf_value": each(leaf_values, n_leaves),
        "leaf_count": each(st.integers(0, 9), n_leaves),
    }


@st.composite
def matrices(draw: st.DrawFn) -> NDArray[Any]:
    n_rows = draw(st.integers(1, 12))
    cells = draw(st.lists(values, min_size=n_rows * N_FEATURES, max_size=n_rows * N_FEATURES))
    with np.errstate(over="ignore"):
        return np.array(cells, np.float32).reshape(n_rows, N_FEATURES)


@settings(max_examples=150, deadline=None)
@given(grown=st.lists(trees(max_leaves=9), min_size=1, max_size=4), X=matrices())
def test_any_trees_score_any_rows_like_lightgbm(grown: list[dict[str, list[Any]]], X: NDArray[Any]) -> None:
    text = model_text(grown, NAMES)
    expected = lgb.Booster(model_str=text).predict(X, raw_score=True, num_threads=1)
    ensemble = TreeEnsemble.from_text(text, NAMES)
    assert_array_equal(ensemble.predict(X), expected)
    values, base = ensemble.shapley_values(X)
    assert_allclose(base + values.sum(axis=1), expected, rtol=0, atol=1e-9)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32), n_leaves=st.integers(30, 64), X=matrices())
def test_trees_of_many_leaves_score_like_lightgbm(seed: int, n_leaves: int, X: NDArray[Any]) -> None:
    rng = np.random.default_rng(seed)
    text = model_text([random_tree(rng, n_leaves), random_tree(rng, 5)], NAMES)
    expected = lgb.Booster(model_str=text).predict(X, raw_score=True, num_threads=1)
    assert_array_equal(TreeEnsemble.from_text(text).predict(X), expected)


@settings(max_examples=50, deadline=None)
@given(grown=st.lists(trees(max_leaves=9), min_size=1, max_size=3), X=matrices())
def test_a_row_scores_alike_alone_and_among_others(
    grown: list[dict[str, list[Any]]], X: NDArray[Any]
) -> None:
    ensemble = TreeEnsemble.from_text(model_text(grown, NAMES))
    together = ensemble.predict(X)
    assert_array_equal([ensemble.predict(X[row : row + 1])[0] for row in range(len(X))], together)
    many = np.tile(X, (600 // len(X) + 1, 1))  # More than one block.
    assert_array_equal(ensemble.predict(many)[-len(X) :], together)
