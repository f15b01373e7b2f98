"""Candidate sources: one contract for all of them, then the formula of each."""

import re
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl
import pytest
from implicit.cpu.als import AlternatingLeastSquares
from numpy.typing import NDArray

from movierank_core.config import ModelConfig
from movierank_core.data.history import EVENT_TYPES, History
from movierank_core.data.interactions import InteractionArrays
from movierank_core.data.timestamps import to_epoch
from movierank_core.errors import ConfigError
from movierank_core.kernels.top_k import best_rows
from movierank_core.recommender.reasons import BECAUSE_FAMILIES
from movierank_core.recommender.state import RankingState, fit_movie_state, fit_state
from movierank_core.retrieval import fit_context
from movierank_core.retrieval.fit_context import FitContext, co_occurrence
from movierank_core.retrieval.fusion import RANK_OFFSET, fuse, proposals_of
from movierank_core.retrieval.query import Query
from movierank_core.retrieval.registry import SOURCES, fit_sources
from movierank_core.retrieval.source import Source
from movierank_core.retrieval.sources.als import ImplicitALS, confidences
from movierank_core.retrieval.sources.content import Content
from movierank_core.retrieval.sources.ease import EaseRecent, ease_weights
from movierank_core.retrieval.sources.item_to_item import ItemToItem
from movierank_core.retrieval.sources.neighbours import ItemNeighbours
from movierank_core.retrieval.sources.sequence import ContextNeighbours, HazardMarkov, NextItem
from tests.support.simulated import CONFIG, SimulatedRatings

RATING = EVENT_TYPES["rating"].code


@pytest.fixture(scope="module")
def state(simulated: SimulatedRatings) -> RankingState:
    return fit_state(
        simulated.data, simulated.catalogue, to_epoch(simulated.ratings["timestamp"].max()) + 1, CONFIG
    )


@pytest.fixture(scope="module")
def empty_state(simulated: SimulatedRatings) -> RankingState:
    """Fitted before the first event."""
    return fit_state(simulated.data, simulated.catalogue, 0, CONFIG)


@pytest.fixture(scope="module")
def quiet_state(simulated: SimulatedRatings) -> RankingState:
    """Fitted without any event of row 40."""
    return fit_state(simulated.data.select(simulated.data.rows != 40), simulated.catalogue, 2**40, CONFIG)


@pytest.fixture(scope="module")
def past_states(simulated: SimulatedRatings) -> tuple[RankingState, RankingState]:
    """Fitted on the events before one moment, from data with and without later events."""
    as_of = int(np.quantile(simulated.data.timestamps, 0.6))
    past = simulated.data.select(simulated.data.timestamps < as_of)
    assert len(past) < len(simulated.data)
    return (
        fit_state(simulated.data, simulated.catalogue, as_of, CONFIG),
        fit_state(past, simulated.catalogue, as_of, CONFIG),
    )


@pytest.fixture(scope="module")
def shuffled_states(simulated: SimulatedRatings) -> tuple[RankingState, RankingState]:
    """Fitted on the same events in two orders; no two events of a user share their second."""
    distinct = simulated.interactions.unique(["user_id", "timestamp"], keep="first", maintain_order=True)
    shuffled = distinct.sample(fraction=1, shuffle=True, seed=3)
    assert not shuffled.equals(distinct)
    first, second = (
        InteractionArrays.from_frame(frame, simulated.catalogue) for frame in (distinct, shuffled)
    )
    return (
        fit_state(first, simulated.catalogue, 2**40, CONFIG),
        fit_state(second, simulated.catalogue, 2**40, CONFIG),
    )


@pytest.fixture(scope="module")
def state_of_one_user_more(simulated: SimulatedRatings, state: RankingState) -> RankingState:
    """Fitted with one more user, who has the same events as user 1."""
    copied = simulated.ratings.filter(simulated.ratings["user_id"] == 1).with_columns(user_id=pl.lit(5_000))
    joined = pl.concat([simulated.ratings, copied.cast(simulated.ratings.schema)])
    more = SimulatedRatings(
        joined.sort("user_id", "timestamp", maintain_order=True), simulated.catalogue_frame
    )
    return fit_state(more.data, simulated.catalogue, state.as_of, CONFIG)


def history_of(*pairs: tuple[int, float]) -> History:
    movie_ids, ratings = zip(*pairs, strict=True)
    return History.of_arrays(movie_ids, ratings, range(1, len(pairs) + 1), [RATING] * len(pairs))


def context_of(simulated: SimulatedRatings, config: ModelConfig = CONFIG) -> FitContext:
    return FitContext(simulated.data, simulated.catalogue, int(simulated.data.timestamps.max()) + 1, config)


THRILLERS = history_of((20, 5.0), (40, 4.5), (60, 5.0), (10, 1.0))


@pytest.mark.parametrize("source_type", SOURCES, ids=lambda source: source.name)
class TestSourceContract:
    """What holds for every candidate source; a new one is covered by its line in SOURCES."""

    def test_its_definition_is_complete(self, source_type: type[Source]) -> None:
        assert re.fullmatch(r"[a-z][a-z0-9_]*", source_type.name)
        assert source_type.label[:1].isupper()
        assert re.fullmatch(r"[a-z_]+", source_type.family)
        assert re.fullmatch(r".*[^.]", source_type.meaning)
        assert source_type.cold_user_weight == 0 or not source_type.is_personal

    def test_an_empty_history_is_scored_and_zero_where_the_source_is_personal(
        self, source_type: type[Source], state: RankingState, simulated: SimulatedRatings
    ) -> None:
        source = state.sources[source_type.name]
        scores = source.scores(state.query(History.empty(), simulated.catalogue, 10))
        assert scores.shape == (len(source.support),)
        assert scores.dtype == np.float32
        assert bool(np.isfinite(scores).all())
        assert scores.any() != source_type.is_personal

    def test_a_history_of_unknown_movies_is_an_empty_history(
        self, source_type: type[Source], state: RankingState, simulated: SimulatedRatings
    ) -> None:
        source = state.sources[source_type.name]
        unknown = state.query(history_of((7, 5.0), (11, 4.0)), simulated.catalogue, 10)
        empty = state.query(History.empty(), simulated.catalogue, 10)
        np.testing.assert_array_equal(source.scores(unknown), source.scores(empty))

    def test_every_score_of_every_history_is_finite(
        self, source_type: type[Source], state: RankingState, simulated: SimulatedRatings
    ) -> None:
        source = state.sources[source_type.name]
        for user in range(0, len(simulated.data.user_ids), 9):
            query = state.query(simulated.data.history(user), simulated.catalogue, state.as_of)
            scores = source.scores(query)
            assert scores.dtype == np.float32
            assert bool(np.isfinite(scores).all())

    def test_its_support_holds_distinct_rows_of_the_catalogue(
        self, source_type: type[Source], state: RankingState, simulated: SimulatedRatings
    ) -> None:
        source = state.sources[source_type.name]
        rows = source.support.rows
        assert len(np.unique(rows)) == len(rows)
        assert source.support.n_movies == len(simulated.catalogue)
        assert bool((rows >= 0).all() and (rows < len(simulated.catalogue)).all())
        if source_type.is_personal:
            assert bool((np.diff(rows) > 0).all()), "ties go to the lower row"
        else:
            scores = source.scores(state.query(History.empty(), simulated.catalogue, 10))
            assert bool((np.diff(scores) <= 0).all()), "the order never changes"

    def test_arrays_and_scores_survive_a_round_trip_bit_by_bit(
        self, source_type: type[Source], state: RankingState, simulated: SimulatedRatings, tmp_path: Path
    ) -> None:
        source = state.sources[source_type.name]
        state.save(tmp_path)
        query = state.query(THRILLERS, simulated.catalogue, 10)
        for again in (
            source_type.from_arrays(source.arrays()),
            RankingState.load(tmp_path).sources[source_type.name],
        ):
            assert type(again) is source_type
            assert again.scores(query).tobytes() == source.scores(query).tobytes()
            arrays, expected = again.arrays(), source.arrays()
            assert arrays.keys() == expected.keys()
            for key, array in expected.items():
                assert array.dtype == arrays[key].dtype, key
                assert array.tobytes() == arrays[key].tobytes(), key

    def test_personal_sources_tell_tastes_apart(
        self, source_type: type[Source], state: RankingState, simulated: SimulatedRatings
    ) -> None:
        comedies = history_of((10, 5.0), (30, 4.5), (50, 5.0), (20, 1.0))
        source = state.sources[source_type.name]
        differ = not np.array_equal(
            source.scores(state.query(THRILLERS, simulated.catalogue, 10)),
            source.scores(state.query(comedies, simulated.catalogue, 10)),
        )
        assert differ == source_type.is_personal

    def test_its_proposals_are_the_best_of_the_catalogue(
        self, source_type: type[Source], state: RankingState, simulated: SimulatedRatings
    ) -> None:
        source = state.sources[source_type.name]
        scores = source.scores(state.query(THRILLERS, simulated.catalogue, 10))
        n_movies = len(simulated.catalogue)
        eligible = np.arange(n_movies) % 5 > 0
        everywhere = source.support.everywhere(scores)
        np.testing.assert_array_equal(source.support.at(scores, np.arange(n_movies)), everywhere)
        proposed = proposals_of(source, scores, eligible, 30)
        np.testing.assert_array_equal(proposed, best_rows(everywhere, np.arange(n_movies), eligible, 30))
        assert len(proposed) == min(30, int(((everywhere > 0) & eligible).sum())) > 20

    def test_without_events_nothing_is_proposed(
        self, source_type: type[Source], empty_state: RankingState, simulated: SimulatedRatings
    ) -> None:
        query = empty_state.query(THRILLERS, simulated.catalogue, 10)
        scores = empty_state.sources[source_type.name].scores(query)
        assert bool(np.isfinite(scores).all())
        assert source_type.scores_unrated_movies or not scores.any()

    def test_a_movie_without_events_scores_only_where_the_source_says_so(
        self, source_type: type[Source], quiet_state: RankingState, simulated: SimulatedRatings
    ) -> None:
        source = quiet_state.sources[source_type.name]
        query = quiet_state.query(THRILLERS, simulated.catalogue, 10)
        scores = source.support.everywhere(source.scores(query))
        assert (scores[40] > 0) == source_type.scores_unrated_movies

    def test_future_events_change_nothing(
        self, source_type: type[Source], past_states: tuple[RankingState, RankingState]
    ) -> None:
        self.assert_same_arrays(source_type, *past_states)

    def test_the_order_of_rows_is_irrelevant(
        self, source_type: type[Source], shuffled_states: tuple[RankingState, RankingState]
    ) -> None:
        self.assert_same_arrays(source_type, *shuffled_states)

    def assert_same_arrays(
        self, source_type: type[Source], first: RankingState, second: RankingState
    ) -> None:
        expected = second.sources[source_type.name].arrays()
        for key, array in first.sources[source_type.name].arrays().items():
            assert array.tobytes() == expected[key].tobytes(), key

    def test_its_arrays_have_no_entry_per_user(
        self,
        source_type: type[Source],
        state: RankingState,
        state_of_one_user_more: RankingState,
        simulated: SimulatedRatings,
    ) -> None:
        mine = state.sources[source_type.name].arrays()
        more = state_of_one_user_more.sources[source_type.name].arrays()
        assert len(simulated.data.user_ids) not in {len(array) for array in mine.values()}
        for key, array in more.items():
            if key not in {"indices", "values"}:  # Their length is the number of weights that are not 0.
                assert array.shape == mine[key].shape, key

    def test_attribution_names_the_liked_item_that_adds_most(
        self, source_type: type[Source], state: RankingState, simulated: SimulatedRatings
    ) -> None:
        source = state.sources[source_type.name]
        query = state.query(THRILLERS, simulated.catalogue, 10)
        rows = np.array([7, 9, 21, 33])
        named = np.array([-1, 0, -1, -1])
        items = source.attribute(query, rows, named)
        assert named.tolist() == [-1, 0, -1, -1], "the input stays"
        assert items[1] == 0
        assert set(items.tolist()) <= {-1, *np.flatnonzero(query.is_liked).tolist()}
        if source_type.family in BECAUSE_FAMILIES:
            assert (items >= 0).any()

    def test_it_describes_any_row_of_the_catalogue(
        self, source_type: type[Source], state: RankingState, simulated: SimulatedRatings
    ) -> None:
        source = state.sources[source_type.name]
        rows = np.arange(len(simulated.catalogue))[::-1]
        for history in (THRILLERS, History.empty()):
            found = source.describe(state.query(history, simulated.catalogue, 10), rows)
            assert found.shape == (len(source.details), len(rows))
            assert found.dtype == np.float32
            assert not np.isinf(found).any()

    def test_similar_movies_are_rows_of_the_catalogue(
        self, source_type: type[Source], state: RankingState, simulated: SimulatedRatings
    ) -> None:
        rows, values = state.sources[source_type.name].similar_to(4)
        assert len(rows) == len(values)
        assert bool(np.isin(rows, np.arange(len(simulated.catalogue))).all())
        if source_type.is_similarity:
            assert 4 not in rows
            assert len(rows) > 0
            assert float(values.max()) <= 1 + 1e-6


def test_names_and_labels_are_unique() -> None:
    for values in (
        [source.name for source in SOURCES],
        [source.label for source in SOURCES],
    ):
        assert len(set(values)) == len(values)


def test_arrays_without_a_stored_decay_score_as_they_did(
    state: RankingState, simulated: SimulatedRatings
) -> None:
    """The decay was a constant of the class before arrays held it."""
    query = state.query(THRILLERS, simulated.catalogue, 10)
    for source_type, decay in ((EaseRecent, 0.9), (ContextNeighbours, 0.8)):
        source = state.sources[source_type.name]
        arrays = source.arrays()
        assert arrays.pop("decay").tolist() == [decay]
        assert source_type.from_arrays(arrays).scores(query).tobytes() == source.scores(query).tobytes()


def test_the_fold_in_of_als_is_the_half_sweep_of_its_fit(simulated: SimulatedRatings) -> None:
    context = FitContext(simulated.data, simulated.catalogue, 2**40, CONFIG)
    als = ImplicitALS.fit(context)
    events = confidences(context, als.support.rows)
    library = AlternatingLeastSquares(
        factors=CONFIG.als_factors, regularization=CONFIG.als_l2, alpha=1.0, num_threads=1
    )
    library.item_factors = als.factors
    movies = fit_movie_state(simulated.data, simulated.catalogue, 2**40)
    mean, share = movies.mean_rating_of_all, movies.like_share_of_all
    for user in range(len(simulated.data.user_ids)):
        query = Query.of(simulated.data.history(user), simulated.catalogue, 2**40, mean, share)
        expected = library.recalculate_user(user, events[user])
        np.testing.assert_allclose(als.fold_in(query), expected, rtol=1e-4, atol=1e-5)


def test_shared_viewers_are_counted_once_and_freed(
    simulated: SimulatedRatings, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def counting(*arguments: Any, **named: Any) -> NDArray[np.float32]:
        calls.append(arguments[2])
        return co_occurrence(*arguments, **named)

    monkeypatch.setattr(fit_context, "co_occurrence", counting)
    context = context_of(simulated)
    fit_sources(context)
    assert len(calls) == 1
    movies = context.movies(CONFIG.max_collaborative_movies)
    assert movies is context.movies(CONFIG.max_collaborative_movies)
    counts = context.shared_viewers(movies)
    assert len(calls) == 2, "the last source that reads the matrix took it"
    assert context.shared_viewers(movies) is counts
    with pytest.raises(ValueError, match="read-only"):
        counts[0, 0] = 1
    assert context.take_shared_viewers(movies) is counts
    assert counts.flags.writeable


def test_movies_without_a_shared_viewer_are_no_neighbours_also_without_shrinkage(
    simulated: SimulatedRatings,
) -> None:
    """The share n / (n + s) has no value where both are 0."""
    context = context_of(simulated, msgspec.structs.replace(CONFIG, item_shrinkage=0.0))
    shared = context.shared_viewers(context.movies(CONFIG.max_collaborative_movies)).copy()
    assert (shared == 0).any()
    source = context.fitted(ItemNeighbours)
    assert np.isfinite(source.neighbours.values).all()
    is_pair = (shared > 0) & ~np.eye(len(shared), dtype=np.bool_)
    assert len(source.neighbours.values) == is_pair.sum()


def test_seen_movies_are_no_candidates(state: RankingState, simulated: SimulatedRatings) -> None:
    query = state.query(THRILLERS, simulated.catalogue, 10)
    eligible = np.ones(len(simulated.catalogue), np.bool_)
    eligible[query.excluded] = False
    found = state.candidates(query, eligible)
    assert not set(simulated.catalogue.movie_ids[found.rows]) & {10, 20, 40, 60}


def test_the_collaborative_sources_find_the_camp(state: RankingState, simulated: SimulatedRatings) -> None:
    query = state.query(THRILLERS, simulated.catalogue, 10)
    for name in ("ease_likes", "item_neighbours", "als"):
        source = state.sources[name]
        eligible = np.ones(len(simulated.catalogue), np.bool_)
        eligible[query.excluded] = False
        assert np.mean(proposals_of(source, source.scores(query), eligible, 10) % 2) >= 0.8, name


def test_ease_weights_agree_with_the_closed_form() -> None:
    rng = np.random.default_rng(3)
    events = (rng.random((60, 12)) < 0.4).astype(np.float64)
    gram = events.T @ events
    inverse = np.linalg.inv(gram + 7.0 * np.eye(12))
    expected = -inverse / np.diag(inverse)
    np.fill_diagonal(expected, 0.0)
    np.testing.assert_allclose(ease_weights(gram.astype(np.float32), 7.0, 1), expected, atol=1e-5)


def test_a_gram_matrix_that_is_not_positive_definite_is_refused() -> None:
    """LAPACK reports failure only by `info`; its output is then no inverse."""
    twins = np.array([[4, 4, 1], [4, 4, 1], [1, 1, 3]], np.float32)  # Two movies with the same users.
    assert np.isfinite(ease_weights(twins.copy(), 1.0, 1)).all()
    message = "not positive definite. Expected: a larger ease_l2. Remedy: raise ease_l2, for example tenfold."
    for gram, l2 in ((twins, 0.0), (2.0**30 * twins, 1.0)):
        with pytest.raises(ConfigError) as caught:
            ease_weights(gram.copy(), l2, 1)
        assert message in str(caught.value)


def dense(source: ItemToItem) -> NDArray[np.float64]:
    n_movies = len(source.neighbours)
    out = np.zeros((n_movies, n_movies))
    for row in range(n_movies):
        others, values = source.similar_to(row)
        out[row, others] = values
    return out


def sequences(simulated: SimulatedRatings) -> list[NDArray[np.int64]]:
    """Catalogue rows in the order in which each user rated them."""
    data = simulated.data
    return [
        data.rows[data.offsets[user] : data.offsets[user + 1]].astype(np.int64)
        for user in range(len(data.user_ids))
    ]


def test_next_item_weights_agree_with_least_squares_on_every_pair_of_histories(
    simulated: SimulatedRatings,
) -> None:
    config = msgspec.structs.replace(CONFIG, min_movie_events=1, min_regression_events=1)
    n = len(simulated.catalogue)
    gram, targets = np.zeros((2 * n, 2 * n)), np.zeros((2 * n, n))
    decays = np.repeat([config.next_item_near_decay, config.next_item_far_decay], n)
    for sequence in sequences(simulated):
        histories = np.zeros(2 * n)
        for place, row in enumerate(sequence):
            if place:
                gram += np.outer(histories, histories)
                targets[:, row] += histories
            histories *= decays
            histories[[row, n + row]] += 1.0
    l2 = config.next_item_l2 * np.sqrt(len(simulated.data) / 100_000)
    expected = np.linalg.solve(gram + l2 * np.eye(2 * n), targets)
    context = context_of(simulated, config)
    movies = context.movies(n)
    for found, block in zip(NextItem.weights(context, movies), (expected[:n], expected[n:]), strict=True):
        np.fill_diagonal(block, 0.0)
        # Weights below 0.001 of a step back are left out, which changes sums by as little.
        np.testing.assert_allclose(found, block[np.ix_(movies, movies)], rtol=0.02, atol=2e-4)


def test_next_item_sums_both_histories(state: RankingState, simulated: SimulatedRatings) -> None:
    source = state.sources["next_item"]
    assert isinstance(source, NextItem)
    query = state.query(THRILLERS, simulated.catalogue, 10)
    expected = np.zeros(len(source.support))
    for steps_back, row in enumerate(reversed(query.rows.tolist())):
        for neighbours, decay in zip((source.neighbours, source.far), source.decays, strict=True):
            columns, values = neighbours.row(row)
            expected[columns] += decay**steps_back * values
    np.testing.assert_allclose(source.scores(query), expected, rtol=1e-4, atol=1e-6)


def test_a_rarely_rated_movie_is_not_in_the_regression(simulated: SimulatedRatings) -> None:
    config = msgspec.structs.replace(CONFIG, min_regression_events=12)
    context = context_of(simulated, config)
    assert NextItem.fit(context).support.rows.tolist() == np.flatnonzero(context.n_events >= 12).tolist()


def test_log_odds_compare_transitions_with_hazards_among_those_who_had_not_seen_the_movie(
    simulated: SimulatedRatings,
) -> None:
    """Against the definition, pair by pair, in the form that is not sparse."""
    n = len(simulated.catalogue)
    config = msgspec.structs.replace(CONFIG, min_movie_events=1)
    transitions, before = np.zeros((n, n)), np.zeros((n, n))
    n_events, after = np.zeros(n), np.zeros(n)
    for sequence in sequences(simulated):
        for place, row in enumerate(sequence):
            n_events[row] += 1
            after[row] += len(sequence) - place
            for lag in range(1, min(config.transition_lags, place) + 1):
                transitions[sequence[place - lag], row] += config.transition_lag_decay ** (lag - 1)
            before[row, sequence[:place]] += 1
    hazard = (n_events + 0.1) / (len(simulated.data) - after + 1)
    hazard /= hazard[n_events > 0].sum()
    total = transitions.sum(axis=1, keepdims=True)
    lag_sum = (config.transition_lag_decay ** np.arange(config.transition_lags)).sum()
    at_risk = np.maximum(total - lag_sum * before, 0)
    s = config.transition_smoothing
    exact = np.log((transitions + s * hazard) / ((at_risk + s) * hazard)) - np.log(s / (total + s))
    np.fill_diagonal(exact, 0.0)
    source = HazardMarkov.fit(context_of(simulated, config))
    np.testing.assert_allclose(dense(source), exact, rtol=1e-3, atol=1e-4)
    shift = source.log_hazard - np.log(hazard[source.support.rows])
    np.testing.assert_allclose(shift, shift[0], rtol=1e-4)
    assert float(source.log_hazard.min()) > 0


def test_a_popular_successor_is_kept_before_a_rare_one_of_higher_lift(simulated: SimulatedRatings) -> None:
    """The score is the sum of lift and popularity, so the cut reads the sum."""
    n = len(simulated.catalogue)
    config = msgspec.structs.replace(CONFIG, min_movie_events=1, n_neighbours=5, max_neighbours=5)
    everything = msgspec.structs.replace(config, n_neighbours=n, max_neighbours=n)
    cut, whole = (HazardMarkov.fit(context_of(simulated, each)) for each in (config, everything))
    log_odds, kept = dense(whole), dense(cut)
    sums = np.where(log_odds > 0, log_odds + whole.support.everywhere(whole.log_hazard), 0)
    differs = 0
    for row in range(n):
        best = np.sort(np.argsort(-sums[row], kind="stable")[: min(5, int((log_odds[row] > 0).sum()))])
        assert np.flatnonzero(kept[row]).tolist() == best.tolist()
        differs += set(np.argsort(-log_odds[row], kind="stable")[: len(best)]) != set(best)
    assert differs > 0


def test_user_neighbours_are_all_users_weighted_by_what_they_share(
    state: RankingState, simulated: SimulatedRatings
) -> None:
    """Against user-based collaborative filtering, user by user. A disliked movie counts half."""
    query = state.query(THRILLERS, simulated.catalogue, 10)
    weight = np.where(query.is_disliked, 0.5, 1.0)
    viewers = np.maximum(np.bincount(simulated.data.rows, minlength=len(simulated.catalogue)), 1)
    expected = np.zeros(len(simulated.catalogue))
    for sequence in sequences(simulated):
        shared = weight * np.isin(query.rows, sequence) / np.sqrt(viewers[query.rows] * len(sequence))
        for row in sequence:
            # A movie is no neighbour of itself.
            expected[row] += shared[query.rows != row].sum() / np.sqrt(viewers[row])
    source = state.sources["user_neighbours"]
    scores = source.support.everywhere(source.scores(query))
    known = np.bincount(simulated.data.rows, minlength=len(simulated.catalogue)) >= CONFIG.min_movie_events
    np.testing.assert_allclose(scores[known], expected[known], rtol=1e-4, atol=1e-6)


def test_the_latest_movie_counts_most_for_the_sources_that_know_an_order(
    state: RankingState, simulated: SimulatedRatings
) -> None:
    query = state.query(THRILLERS, simulated.catalogue, 10)
    for name in ("ease_recent", "hazard_markov", "next_item"):
        weights = state.sources[name].history_weights(query)  # type: ignore[attr-defined]
        assert bool((np.diff(weights) > 0).all()), name


def test_content_neighbours_have_the_cosine_of_their_descriptions(simulated: SimulatedRatings) -> None:
    neighbours = dense(Content.fit(context_of(simulated)))
    np.testing.assert_allclose(neighbours, neighbours.T, atol=1e-6)
    assert float(neighbours.max()) <= 1.0 + 1e-6
    genres = simulated.catalogue.frame["genres"].to_list()
    closest = int(np.argmax(neighbours[0]))
    assert set(genres[0]) & set(genres[closest])


def test_als_fold_in_minimises_the_fitted_objective(state: RankingState, simulated: SimulatedRatings) -> None:
    als = state.sources["als"]
    query = state.query(THRILLERS, simulated.catalogue, 10)
    vector = als.fold_in(query).astype(np.float64)  # type: ignore[attr-defined]

    def loss(user: np.ndarray) -> float:
        confidence = np.ones(len(als.support))
        observed = als.support.columns[query.rows]
        confidence[observed] += als.alpha * np.maximum(0.1, 1 + query.centred.astype(np.float64) / 2)  # type: ignore[attr-defined]
        wanted = np.zeros(len(confidence))
        wanted[observed] = 1.0
        error = wanted - als.factors.astype(np.float64) @ user  # type: ignore[attr-defined]
        return float((confidence * error**2).sum() + als.l2 * (user**2).sum())  # type: ignore[attr-defined]

    rng = np.random.default_rng(0)
    assert all(loss(vector) <= loss(vector + rng.normal(0, 0.01, len(vector))) for _ in range(20))


def test_fusion_sums_reciprocal_ranks_and_breaks_ties_by_row() -> None:
    rows, fused, n_sources = fuse({"a": np.array([2, 1]), "b": np.array([1, 3])}, {}, 3)
    assert rows.tolist() == [1, 2, 3]
    assert n_sources.tolist() == [2, 1, 1]
    expected = [1 / (RANK_OFFSET + 2) + 1 / (RANK_OFFSET + 1), 1 / (RANK_OFFSET + 1), 1 / (RANK_OFFSET + 2)]
    np.testing.assert_allclose(fused, expected, rtol=1e-6)


def test_best_rows_are_positive_eligible_and_descending() -> None:
    scores = np.array([0.5, 0.0, 2.0, -1.0, 2.0, 1.0], np.float32)
    eligible = np.array([True, True, True, True, True, False])
    assert best_rows(scores, np.arange(6), eligible, 10).tolist() == [2, 4, 0]
    assert best_rows(scores, np.arange(6), eligible, 2).tolist() == [2, 4]
    assert best_rows(scores[2:], np.arange(2, 6), eligible, 10).tolist() == [2, 4]
