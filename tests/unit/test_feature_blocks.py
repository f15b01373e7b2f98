"""The contract of every feature block."""

from dataclasses import replace
from types import ModuleType
from typing import Any

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from movierank_core.data.catalogue import Catalogue
from movierank_core.data.history import EVENT_TYPES, Event, History
from movierank_core.data.interactions import InteractionArrays
from movierank_core.errors import BundleError
from movierank_core.features import registry
from movierank_core.features.block import Block
from movierank_core.features.families import FAMILIES
from movierank_core.features.feature import CROSS, Feature
from movierank_core.features.matrix import assemble
from movierank_core.features.movie_state import MovieState
from movierank_core.features.registry import BLOCKS, all_features, feature_list
from movierank_core.features.request import FeatureRequest
from movierank_core.recommender.state import RankingState, fit_state
from movierank_core.retrieval.query import Query
from tests.support.simulated import CONFIG, SimulatedRatings

each_block = pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.NAME)
UNTOUCHED = np.float32(-12345.0)


@pytest.fixture(scope="module")
def as_of(simulated: SimulatedRatings) -> int:
    return int(np.quantile(simulated.data.timestamps, 0.7))


@pytest.fixture(scope="module")
def catalogue(simulated: SimulatedRatings) -> Catalogue:
    """The small simulated's catalogue with the facts of every third movie unknown."""
    frame = simulated.catalogue_frame.with_row_index("row")

    unknown = pl.col("row") % 3 == 1
    for column in ("release_year", "runtime_minutes", "original_language"):
        frame = frame.with_columns(pl.when(~unknown).then(column).alias(column))
    for column in ("genres", "directors"):
        frame = frame.with_columns(pl.when(unknown).then(pl.lit([])).otherwise(column).alias(column))
    return Catalogue(frame.drop("row").cast(simulated.catalogue_frame.schema))


@pytest.fixture(scope="module")
def state(simulated: SimulatedRatings, catalogue: Catalogue, as_of: int) -> RankingState:
    return fit_state(simulated.data, catalogue, as_of, CONFIG)


@pytest.fixture(scope="module")
def other_future(simulated: SimulatedRatings, catalogue: Catalogue, as_of: int) -> RankingState:
    """The state of a simulated in which every rating from the fit on is another."""
    data = simulated.data
    is_later = data.timestamps >= as_of
    assert is_later.any()
    other = replace(data, ratings=np.where(is_later, 5.5 - data.ratings, data.ratings))
    return fit_state(other, catalogue, as_of, CONFIG)


def query_of(state: RankingState, catalogue: Catalogue, history: History) -> Query:
    return state.query(history, catalogue, state.as_of)


def fill(block: type[Block], query: Query, state: RankingState, catalogue: Catalogue) -> NDArray[np.float32]:
    """What the block writes for every candidate, between two rows that it must not touch."""
    candidates = state.candidates(query, np.ones(len(catalogue), np.bool_))
    movies = state.movies
    request = FeatureRequest.of(
        query,
        candidates,
        log_events=movies.log_events,
        mean_ratings=movies.mean_rating,
        release_years=movies.release_year,
    )
    n = len(block.features())
    values = np.full((n + 2, len(candidates.rows)), UNTOUCHED, np.float32)
    movies.block(block).fill(values[1:-1], request)
    assert (values[[0, -1]] == UNTOUCHED).all()
    return values[1:-1]


def assert_nan_is_declared(block: type[Block], values: NDArray[np.float32]) -> None:
    """Only features whose meaning says when they are NaN may be NaN."""
    undeclared = [
        feature.name
        for feature, of_feature in zip(block.features(), values, strict=True)
        if np.isnan(of_feature).any() and "NaN" not in feature.meaning
    ]
    assert undeclared == []


@each_block
def test_definitions_are_complete(block: type[Block]) -> None:
    assert block.features()
    for feature in block.features():
        assert feature.name
        assert feature.unit
        assert feature.family in FAMILIES
        assert feature.meaning.endswith(".")


def test_names_of_features_and_blocks_are_different() -> None:
    names = [feature.name for feature in all_features()]
    assert len(set(names)) == len(names)
    assert len({block.NAME for block in BLOCKS}) == len(BLOCKS)


@each_block
def test_fill_writes_every_value_of_its_rows_and_no_other(
    block: type[Block], state: RankingState, catalogue: Catalogue, simulated: SimulatedRatings
) -> None:
    values = fill(block, query_of(state, catalogue, simulated.data.history(3)), state, catalogue)
    assert values.shape[1] > 20
    assert not (values == UNTOUCHED).any()
    assert not np.isinf(values).any()
    assert_nan_is_declared(block, values)


@each_block
@pytest.mark.parametrize("history", ["empty", "unknown movies"])
def test_a_history_without_known_movies_gives_defaults_or_nan(
    block: type[Block], history: str, state: RankingState, catalogue: Catalogue, as_of: int
) -> None:
    rating = EVENT_TYPES["rating"].code
    unknown = History.of_arrays([999_999_991], [4.0], [as_of - 9], [rating])
    query = query_of(state, catalogue, History.empty() if history == "empty" else unknown)
    assert len(query) == 0
    values = fill(block, query, state, catalogue)
    assert values.shape[1] > 0
    assert not (values == UNTOUCHED).any()
    assert not np.isinf(values).any()
    assert_nan_is_declared(block, values)


@each_block
def test_a_request_without_candidates_has_no_values(
    block: type[Block], state: RankingState, catalogue: Catalogue, simulated: SimulatedRatings
) -> None:
    query = query_of(state, catalogue, simulated.data.history(3))
    candidates = state.candidates(query, np.zeros(len(catalogue), np.bool_))
    features = block.features()
    assert assemble(query, candidates, state.movies, features).shape == (0, len(features))


@each_block
def test_events_at_or_after_the_fit_change_no_value(
    block: type[Block],
    simulated: SimulatedRatings,
    state: RankingState,
    other_future: RankingState,
    catalogue: Catalogue,
) -> None:
    query = query_of(state, catalogue, simulated.data.history(3, state.as_of))
    assert len(query)
    np.testing.assert_array_equal(
        fill(block, query, state, catalogue), fill(block, query, other_future, catalogue)
    )


@each_block
def test_events_at_or_after_the_request_change_no_value(
    block: type[Block], state: RankingState, catalogue: Catalogue, as_of: int
) -> None:
    past = [
        Event(10, "rating", as_of - 90, 4.0),
        Event(50, "like", as_of - 50),
        Event(90, "click", as_of - 1),
    ]
    future = [Event(20, "rating", as_of, 1.0), Event(50, "dislike", as_of), Event(70, "like", as_of + 10)]
    ours, theirs = (
        fill(block, query_of(state, catalogue, History.from_events(events, as_of=as_of)), state, catalogue)
        for events in (past, past + future)
    )
    np.testing.assert_array_equal(ours, theirs)


@each_block
def test_a_block_is_prepared_from_saved_arrays_as_from_fitted_ones(
    block: type[Block], state: RankingState, catalogue: Catalogue, simulated: SimulatedRatings, tmp_path: Any
) -> None:
    state.save(tmp_path / "state")
    loaded = RankingState.load(tmp_path / "state")
    query = query_of(state, catalogue, simulated.data.history(5))
    np.testing.assert_array_equal(fill(block, query, loaded, catalogue), fill(block, query, state, catalogue))


def test_each_column_is_that_of_its_feature_whichever_are_asked_for(
    state: RankingState, catalogue: Catalogue, simulated: SimulatedRatings
) -> None:
    query = query_of(state, catalogue, simulated.data.history(3))
    candidates = state.candidates(query, np.ones(len(catalogue), np.bool_))
    everything = assemble(query, candidates, state.movies, all_features())
    index = {feature.name: column for column, feature in enumerate(all_features())}
    shuffled = tuple(all_features()[column] for column in np.random.default_rng(1).permutation(40))
    for features in (feature_list(), feature_list(("user", "source:als")), shuffled, all_features()[30:33]):
        np.testing.assert_array_equal(
            assemble(query, candidates, state.movies, features),
            everything[:, [index[feature.name] for feature in features]],
        )


class Runtime(Block):
    """A block of a later version, with an array that earlier states have not."""

    NAME = "runtime_again"
    FEATURES = (Feature("runtime_again", CROSS, "runtime", "minutes", "Runtime; NaN if unknown."),)

    @classmethod
    def fit(cls, data: InteractionArrays, catalogue: Catalogue, as_of: int) -> dict[str, NDArray[Any]]:
        return {"runtime_again": np.arange(len(catalogue), dtype=np.float32)}

    def __init__(self, arrays: Any) -> None:
        self._runtimes = arrays["runtime_again"]

    def fill(self, out: NDArray[np.float32], request: FeatureRequest) -> None:
        out[0] = self._runtimes[request.candidates.rows]


@pytest.fixture
def with_new_block(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setattr(registry, "BLOCKS", (*BLOCKS, Runtime))
    return registry


def test_a_state_from_before_a_block_serves_features_of_the_others(
    with_new_block: ModuleType, state: RankingState, catalogue: Catalogue, simulated: SimulatedRatings
) -> None:
    old = MovieState.from_arrays(state.movies.arrays())
    query = query_of(state, catalogue, simulated.data.history(3))
    candidates = state.candidates(query, np.ones(len(catalogue), np.bool_))
    assert assemble(query, candidates, old, feature_list()[:63]).shape[1] == 63
    for use in (
        lambda: old.prepare(feature_list()),
        lambda: assemble(query, candidates, old, feature_list()),
    ):
        with pytest.raises(BundleError, match=r"no array 'runtime_again'.*'runtime_again' needs"):
            use()


def test_a_state_fitted_with_a_new_block_has_its_array(
    with_new_block: ModuleType, catalogue: Catalogue, simulated: SimulatedRatings, as_of: int
) -> None:
    fitted = fit_state(simulated.data, catalogue, as_of, CONFIG)
    query = query_of(fitted, catalogue, simulated.data.history(3))
    candidates = fitted.candidates(query, np.ones(len(catalogue), np.bool_))
    matrix = assemble(query, candidates, fitted.movies, feature_list())
    np.testing.assert_array_equal(matrix[:, -1], candidates.rows)


def test_two_blocks_cannot_fit_the_same_array(
    monkeypatch: pytest.MonkeyPatch, catalogue: Catalogue, simulated: SimulatedRatings, as_of: int
) -> None:
    monkeypatch.setattr(registry, "BLOCKS", (*BLOCKS, Runtime, Runtime))
    with pytest.raises(ValueError, match="runtime_again fits arrays that another block fits"):
        MovieState.fit(simulated.data.before(as_of).standing(), catalogue, as_of)
