"""The compiled loops over sparse rows give what dense matrices give."""

import numpy as np
import polars as pl
import pytest

from movierank_core.data.catalogue import Catalogue
from movierank_core.data.schema import CATALOGUE
from movierank_core.kernels.sparse_rows import SparseRows, strongest_per_row
from movierank_core.retrieval.source import Support
from movierank_core.retrieval.sources.item_to_item import _attribute

RNG = np.random.default_rng(5)


def sparse_and_dense(n_rows: int, n_columns: int) -> tuple[SparseRows, np.ndarray]:
    """Rows of no entry, of few, and of more than a line of memory holds."""
    share = RNG.choice([0.0, 0.02, 0.5], n_rows)
    dense = np.where(
        RNG.random((n_rows, n_columns)) < share[:, None], RNG.normal(size=(n_rows, n_columns)), 0
    )
    rows, columns = np.nonzero(dense)
    return SparseRows.from_triples(rows, columns, dense[rows, columns], n_rows), dense


@pytest.mark.parametrize("length", [0, 1, 2, 3, 40])
def test_the_weighted_sum_is_that_of_the_dense_rows(length: int) -> None:
    sparse, dense = sparse_and_dense(60, 90)
    rows = RNG.integers(0, 60, length)
    weights = np.where(RNG.random(length) < 0.3, 0, RNG.normal(size=length)).astype(np.float32)
    np.testing.assert_allclose(sparse.weighted_sum(rows, weights, 90), weights @ dense[rows], atol=1e-5)


def test_the_history_item_that_adds_most_is_named_where_none_is_yet() -> None:
    sparse, dense = sparse_and_dense(60, 90)
    rows = RNG.permutation(60)[:20]
    weights = np.where(RNG.random(20) < 0.3, 0, RNG.random(20)).astype(np.float32)
    wanted = np.array([3, -1, 70, 8, 9, 40, 41, 42])
    best = np.array([-1, -1, 5, -1, -1, -1, -1, -1])
    _attribute(sparse.offsets, sparse.indices, sparse.values, rows, weights, wanted, best)
    added = weights[:, None] * dense[rows]
    for place, column in enumerate(wanted):
        if place == 2:
            assert best[place] == 5, "was named before"
        elif column < 0 or added[:, column].max() <= 0:
            assert best[place] == -1
        else:
            assert best[place] == added[:, column].argmax()
    assert (best >= 0).sum() > 3


def test_a_support_knows_where_each_row_has_its_score() -> None:
    rows = np.array([2, 5, 9])
    support = Support(rows, 12)
    scores = np.array([0.5, -1.0, 2.0], np.float32)
    assert support.at(scores, np.array([9, 0, 2, 11])).tolist() == [2.0, 0.0, 0.5, 0.0]
    assert support.everywhere(scores).tolist() == [0, 0, 0.5, 0, 0, -1, 0, 0, 0, 2, 0, 0]
    nothing = Support(rows[:0], 12)
    assert nothing.at(scores[:0], rows).tolist() == [0, 0, 0]


@pytest.mark.parametrize("keep", [1, 7, 60, 200])
@pytest.mark.parametrize("kind", ["floats", "ties", "counts", "small", "sparse"])
def test_the_strongest_entries_of_a_row_are_kept_and_of_equal_ones_the_first(kind: str, keep: int) -> None:
    n = 150
    matrix = {
        "floats": RNG.normal(size=(n, n)),
        "ties": RNG.integers(-2, 3, (n, n)),
        "counts": RNG.zipf(1.5, (n, n)).clip(0, 2**24),
        "small": RNG.normal(size=(n, n)) * 1e-42,  # Below the smallest normal float32.
        "sparse": np.where(RNG.random((n, n)) < 0.05, RNG.normal(size=(n, n)), 0.0),
    }[kind].astype(np.float32)
    rows = np.arange(n) * 2
    found = strongest_per_row(matrix, rows, 2 * n, keep, n_threads=2)
    assert len(found) == 2 * n
    for i in range(n):
        order = np.lexsort((np.arange(n), -np.abs(matrix[i])))
        expected = np.sort(order[: min(keep, np.count_nonzero(matrix[i]))])
        columns, values = found.row(2 * i)
        assert columns.tolist() == expected.tolist()
        assert values.tobytes() == matrix[i, expected].tobytes()
        assert len(found.row(2 * i + 1)[0]) == 0


@pytest.mark.parametrize(
    "ids", [[1, 5, 7], [1, 5, 2**40], [-3, 5, 7], []], ids=["near", "far", "negative", "none"]
)
def test_rows_of_movie_ids_are_found_however_far_apart_they_are(ids: list[int]) -> None:
    frame = pl.DataFrame(
        {"movie_id": ids, "title": ["A film"] * len(ids)}, schema_overrides={"movie_id": pl.Int64}
    )
    catalogue = Catalogue(frame.match_to_schema(CATALOGUE, missing_columns="insert"))
    asked = [*ids, 6, 0, -1, -3, 2**40, 2**62, -(2**62)]
    expected = [ids.index(one) if one in ids else -1 for one in asked]
    assert catalogue.rows_of(asked).tolist() == expected
    assert catalogue.rows_of(np.zeros(0, np.int64)).tolist() == []
