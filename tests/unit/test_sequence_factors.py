"""The learned model of the next movie learns an order, alike each time, and scores as it says."""

import msgspec
import numpy as np
import polars as pl
import pytest
from numpy.testing import assert_array_equal

from movierank_core.history import EVENT_TYPES, History
from movierank_core.interaction_arrays import InteractionArrays
from movierank_core.retrieval.query import Query
from movierank_core.retrieval.sequence_factors import DECAYS, SequenceFactors
from movierank_core.schema import RATINGS
from tests.support.world import CONFIG, START, World, make_catalogue

N_MOVIES = 24
SETTINGS = msgspec.structs.replace(CONFIG, sequence_epochs=30)


@pytest.fixture(scope="module")
def world() -> World:
    """Everybody goes up by one movie at a time from where they begin, and around at the end."""
    rng = np.random.default_rng(5)
    rows = [
        (user, 10 * ((first + step) % N_MOVIES + 1), 4.0, START.replace(minute=step))
        for user, first in enumerate(rng.integers(0, N_MOVIES, 120).tolist())
        for step in range(10)
    ]
    return World(pl.DataFrame(rows, schema=RATINGS, orient="row"), make_catalogue(N_MOVIES))


@pytest.fixture(scope="module")
def source(world: World) -> SequenceFactors:
    return SequenceFactors.fit(world.data, N_MOVIES, SETTINGS)


def query(world: World, rows: list[int]) -> Query:
    n = len(rows)
    movie_ids = world.catalogue.movie_ids[rows]
    history = History.of_arrays(movie_ids, [4.0] * n, range(n), [EVENT_TYPES["rating"].code] * n)
    return Query.of(history, world.catalogue, 1000, 3.5, 0.5)


def test_what_came_next_comes_next(source: SequenceFactors, world: World) -> None:
    found = [
        int(np.argmax(source.scores(query(world, [last - 2, last - 1, last]))))
        for last in range(2, N_MOVIES - 1)
    ]
    assert np.mean(np.array(found) == np.arange(3, N_MOVIES)) > 0.9


def test_the_order_of_the_history_counts(source: SequenceFactors, world: World) -> None:
    up, down = (source.scores(query(world, rows)) for rows in ([4, 5, 6], [6, 5, 4]))
    assert up[7] > up[5]
    assert not np.array_equal(up, down)


def test_a_seed_gives_one_model(source: SequenceFactors, world: World) -> None:
    again = SequenceFactors.fit(world.data, N_MOVIES, SETTINGS)
    for name, array in source.arrays().items():
        assert_array_equal(again.arrays()[name], array)
    other = SequenceFactors.fit(world.data, N_MOVIES, msgspec.structs.replace(SETTINGS, seed=2))
    assert not np.array_equal(other.outputs, source.outputs)


def test_scores_are_logits_of_the_weighted_history_above_the_lowest(
    source: SequenceFactors, world: World
) -> None:
    taste = np.zeros(source.outputs.shape[1])
    for vectors, decay in zip(source.inputs, DECAYS, strict=True):
        weights = np.array([decay**2, decay, 1.0])
        taste += weights @ vectors[[8, 3, 11]] / weights.sum()
    logits = source.outputs @ taste + source.biases
    np.testing.assert_allclose(
        source.scores(query(world, [8, 3, 11])), logits - logits.min(), rtol=1e-4, atol=1e-4
    )


def test_nothing_follows_where_nobody_has_two_events(world: World) -> None:
    first = world.data.select(np.append(True, world.data.users[1:] != world.data.users[:-1]))
    assert isinstance(first, InteractionArrays)
    source = SequenceFactors.fit(first, N_MOVIES, SETTINGS)
    assert not source.scores(query(world, [1, 2])).any()
    assert len(source.support) == 0
