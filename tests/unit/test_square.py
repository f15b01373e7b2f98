"""Matrices over movies: the kernels that fill and change them in place, and how many a fit holds at once."""

import tracemalloc

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from movierank_core.config import ModelConfig
from movierank_core.data.catalogue import Catalogue
from movierank_core.data.interactions import InteractionArrays
from movierank_core.kernels.row_blocks import BLOCK_ROWS, in_row_blocks
from movierank_core.kernels.square import divide_by_roots, gram_matrix, negate_and_divide_columns
from movierank_core.retrieval.fit_context import FitContext
from movierank_core.retrieval.source import Source
from movierank_core.retrieval.sources.ease import EaseLikes, EasePresence
from movierank_core.retrieval.sources.item_to_item import ItemToItem
from movierank_core.retrieval.sources.neighbours import ItemNeighbours, UserNeighbours
from movierank_core.retrieval.sources.sequence import ContextNeighbours
from tests.support.simulated import CONFIG, SimulatedRatings, make_catalogue

N = 2 * BLOCK_ROWS + 5
"""More rows than two blocks have."""


def pairs_of(
    n_users: int, n_columns: int, share: float
) -> tuple[NDArray[np.bool_], NDArray[np.int32], NDArray[np.int32]]:
    """A 0/1 matrix, and its pairs by user; within a user in random order."""
    rng = np.random.default_rng(3)
    seen = rng.random((n_users, n_columns)) < share
    users, columns = np.nonzero(seen)
    order = np.lexsort((rng.random(len(users)), users))
    return seen, users[order].astype(np.int32), columns[order].astype(np.int32)


@pytest.mark.parametrize("n_threads", [1, 3])
@pytest.mark.parametrize("share", [0.0, 0.02, 0.6])
def test_the_gram_matrix_is_that_of_the_dense_product(n_threads: int, share: float) -> None:
    seen, users, columns = pairs_of(40, N, share)
    counts = gram_matrix(users, columns, 40, N, np.ones(40, np.float32), n_threads)
    assert counts.dtype == np.float32
    np.testing.assert_array_equal(counts, seen.T.astype(int) @ seen)
    weights = np.random.default_rng(4).random(40).astype(np.float32)
    weighted = gram_matrix(users, columns, 40, N, weights, n_threads)
    np.testing.assert_allclose(weighted, (seen.T * weights) @ seen, rtol=1e-5)
    alone = gram_matrix(users, columns, 40, N, weights, 1)
    assert weighted.tobytes() == alone.tobytes(), "the number of threads changes nothing"


def test_columns_are_negated_and_divided_by_their_diagonal_entry_from_the_upper_triangle_alone() -> None:
    half = np.random.default_rng(5).normal(size=(N, N)).astype(np.float32)
    symmetric = half @ half.T + np.eye(N, dtype=np.float32)
    expected = -symmetric / np.diag(symmetric)
    np.fill_diagonal(expected, 0.0)
    triangle = np.triu(symmetric) + np.tril(np.full((N, N), np.nan, np.float32), -1)
    negate_and_divide_columns(triangle, 2)
    np.testing.assert_array_equal(triangle, expected)


def test_entries_are_divided_by_the_roots_of_both_counts() -> None:
    rng = np.random.default_rng(6)
    counts = rng.integers(1, 2_000_000_000, N)  # Their product does not fit 32 bits.
    matrix = rng.random((N, N)).astype(np.float32)
    expected = matrix / np.sqrt(np.outer(counts, counts).astype(np.float64))
    np.fill_diagonal(expected, 0.0)
    divide_by_roots(matrix, counts, 2)
    np.testing.assert_allclose(matrix, expected, rtol=1e-6)


@pytest.mark.parametrize("n_threads", [1, 4])
@pytest.mark.parametrize("n_rows", [0, 1, BLOCK_ROWS, N])
def test_blocks_cover_every_row_once(n_rows: int, n_threads: int) -> None:
    times = np.zeros(n_rows, np.int64)

    def count(first: int, stop: int) -> None:
        times[first:stop] += 1

    in_row_blocks(n_rows, n_threads, count)
    assert (times == 1).all()


@pytest.mark.parametrize("n_threads", [1, 2])
def test_the_error_of_a_block_is_raised(n_threads: int) -> None:
    def fail(first: int, stop: int) -> None:
        if first:
            raise ValueError(f"rows {first} to {stop}")

    with pytest.raises(ValueError, match=f"rows {BLOCK_ROWS} to "):
        in_row_blocks(2 * BLOCK_ROWS, n_threads, fail)


@pytest.mark.parametrize(
    "source", [EaseLikes, EasePresence, ItemNeighbours, UserNeighbours, ContextNeighbours]
)
def test_sources_do_not_depend_on_the_number_of_threads(
    source: type[ItemToItem], simulated: SimulatedRatings
) -> None:
    def fitted(n_threads: int) -> dict[str, bytes]:
        config = msgspec.structs.replace(CONFIG, n_threads=n_threads)
        context = FitContext(simulated.data, simulated.catalogue, 2**40, config)
        return {name: array.tobytes() for name, array in context.fitted(source).arrays().items()}

    assert fitted(1) == fitted(3)


@pytest.fixture(scope="module")
def many_movies() -> FitContext:
    """Events of 1,200 movies, with few neighbours per movie: matrices are by far the largest arrays."""
    catalogue = Catalogue(make_catalogue(1_200))
    rng = np.random.default_rng(7)
    n_users, n_each = 100, 60
    rows = np.concatenate([rng.permutation(1_200)[:n_each] for _ in range(n_users)]).astype(np.int32)
    users = np.repeat(np.arange(n_users, dtype=np.int32), n_each)
    data = InteractionArrays(
        user_ids=np.arange(n_users),
        offsets=np.arange(n_users + 1) * n_each,
        users=users,
        rows=rows,
        movie_ids=catalogue.movie_ids[rows],
        ratings=rng.integers(1, 6, len(rows)).astype(np.float32),
        timestamps=np.arange(len(rows)),
        event_codes=np.zeros(len(rows), np.uint8),
    )
    config = ModelConfig(min_movie_events=1, n_neighbours=5, max_neighbours=5)
    return FitContext(data, catalogue, 2**40, config)


@pytest.mark.parametrize(
    ("sources", "limit"),
    [
        ((EaseLikes,), 1),
        ((EasePresence, ItemNeighbours), 2),
        ((UserNeighbours,), 1),
        ((ContextNeighbours,), 1),
    ],
    ids=lambda value: "_".join(source.name for source in value) if isinstance(value, tuple) else "",
)
def test_a_fit_holds_few_matrices_over_movies_at_once(
    many_movies: FitContext, sources: tuple[type[Source], ...], limit: int
) -> None:
    """With n movies each has n * n entries of 4 bytes; half a matrix is left for everything else."""
    n = len(many_movies.movies(20_000))
    assert n > 1_150
    many_movies.columns(many_movies.movies(20_000))
    tracemalloc.start()
    try:
        for source in sources:
            source.fit(many_movies)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert limit <= peak / (4 * n * n) < limit + 0.5
