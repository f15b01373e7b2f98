"""Cold-item slots: ranks that are kept for movies with hardly any events."""

import dataclasses
import json
from pathlib import Path

import msgspec
import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from movierank_core.bundle import read_bundle, write_bundle
from movierank_core.data.catalogue import Catalogue
from movierank_core.data.history import EVENT_TYPES, History
from movierank_core.data.interactions import InteractionArrays
from movierank_core.data.timestamps import to_epoch
from movierank_core.features.movie_state import MovieState
from movierank_core.kernels.top_k import best_rows
from movierank_core.recommender.degradation import GracefulDegradation, PartLatency
from movierank_core.recommender.model import RankingModel, candidate_rows
from movierank_core.recommender.ranking import Ranking, RankOptions
from movierank_core.recommender.recommender import Recommender
from movierank_core.recommender.state import RankingState, fit_state
from movierank_core.reranking.cold_items import fill_cold_item_slots
from movierank_core.reranking.filters import Filters
from movierank_pipeline.evaluation.answers import answer
from movierank_pipeline.evaluation.compare import MAIN
from movierank_pipeline.release.build_bundle import lightgbm_scores
from movierank_pipeline.training.ranker import train_ranker
from movierank_pipeline.training.requests import Request, episode_moments, plan_requests
from movierank_pipeline.training.trained_ranker import TrainedRanker
from movierank_pipeline.training.training_set import build_training_set
from tests.support.simulated import CONFIG, SimulatedRatings, make_catalogue

N_KNOWN, N_NEW = 80, 12
LITTLE = msgspec.structs.replace(CONFIG, n_little_known=3, min_movie_events=1)
OFF = msgspec.structs.replace(LITTLE, n_little_known=0)
LATE = 2_000_000_000


def with_slots(order: list[int], cold: set[int], claims: list[int]) -> tuple[list[int], list[int]]:
    """The list with its slots filled, and the ranks (from 1) to which a movie was moved."""
    mask = np.isin(np.arange(len(order)), list(cold))
    placed, is_moved = fill_cold_item_slots(np.array(order, np.int64), mask, np.array(claims, np.int64), 20)
    return placed.tolist(), (np.flatnonzero(is_moved) + 1).tolist()


def test_every_twentieth_rank_goes_to_the_next_movie_with_a_claim() -> None:
    placed, moved = with_slots(list(range(60)), {45, 50}, [50, 45])
    assert placed == [*range(19), 50, *range(19, 38), 45, *range(38, 45), *range(46, 50), *range(51, 60)]
    assert moved == [20, 40]


def test_a_cold_item_high_in_the_list_keeps_its_rank_and_fills_the_slot() -> None:
    assert with_slots(list(range(60)), {3, 45}, [3, 45]) == (
        [*range(39), 45, *range(39, 45), *range(46, 60)],
        [40],
    )
    assert with_slots(list(range(60)), {3, 30}, [3, 30]) == (list(range(60)), [])


def test_a_list_too_short_or_without_a_claim_stays_as_it_is() -> None:
    assert with_slots(list(range(19)), {18}, [18]) == (list(range(19)), [])
    assert with_slots(list(range(50)), {48}, []) == (list(range(50)), [])


@given(st.permutations(range(90)), st.sets(st.integers(0, 89), max_size=12), st.randoms())
def test_only_movies_with_a_claim_move_up(order: list[int], little: set[int], random: object) -> None:
    claims = sorted(little)[::2]
    placed, moved = with_slots(order, little, claims)
    assert sorted(placed) == list(range(90))
    assert all(place % 20 == 0 and placed[place - 1] in claims for place in moved)
    others = set(range(90)) - {placed[place - 1] for place in moved}
    assert [row for row in placed if row in others] == [row for row in order if row in others]


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    """The movies of the simulated, and twelve that nobody has had an event with."""
    years = pl.when(pl.int_range(pl.len()) < N_KNOWN).then("release_year").otherwise(2024)
    return Catalogue(make_catalogue(N_KNOWN + N_NEW).with_columns(release_year=years.cast(pl.Int32)))


@pytest.fixture(scope="module")
def data(simulated: SimulatedRatings, catalogue: Catalogue) -> InteractionArrays:
    return InteractionArrays.from_frame(simulated.interactions, catalogue)


@pytest.fixture(scope="module")
def ranker(data: InteractionArrays, catalogue: Catalogue) -> TrainedRanker:
    requests = plan_requests(data, catalogue, LITTLE)
    return train_ranker(build_training_set(data, requests, catalogue, LITTLE), LITTLE)


@pytest.fixture(scope="module")
def state(data: InteractionArrays, catalogue: Catalogue) -> RankingState:
    return fit_state(data, catalogue, int(data.timestamps.max()) + 1, LITTLE)


@pytest.fixture(scope="module")
def folder(
    data: InteractionArrays,
    catalogue: Catalogue,
    state: RankingState,
    ranker: TrainedRanker,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    folder = tmp_path_factory.mktemp("bundles") / "bundle"
    write_bundle(
        folder,
        catalogue=catalogue,
        # As in a real catalogue, hardly anything is a candidate for its content alone.
        state=state.with_fusion({**ranker.fusion, "content": 1e-9}),
        model_text=ranker.model_text,
        feature_names=[feature.name for feature in ranker.features],
        calibration=ranker.calibration,
        predict_raw=lambda matrix: lightgbm_scores(ranker.model_text, matrix),
        dataset="tiny",
        ratings_are_simulated=True,
        data_hash="0",
        n_users=len(data.user_ids),
        n_interactions=len(data),
        metrics={},
        config={},
    )
    return folder


@pytest.fixture(scope="module")
def recommender(folder: Path) -> Recommender:
    return read_bundle(folder)


@pytest.fixture(scope="module")
def history(data: InteractionArrays) -> History:
    return data.history(3)


@pytest.fixture(scope="module")
def without(recommender: Recommender) -> Recommender:
    """The same with the setting 0."""
    state = dataclasses.replace(recommender.model.state, n_little_known=0)
    return Recommender(dataclasses.replace(recommender.model, state=state), recommender.manifest)


def rows(ranking: Ranking) -> list[int]:
    return [movie.row for movie in ranking.results]


def rank(recommender: Recommender, history: History, k: int = 30, **options: object) -> Ranking:
    chosen = msgspec.convert(options, RankOptions)
    return recommender.rank(history, as_of=LATE, k=k, options=chosen)


def claims(model: RankingModel, history: History) -> list[int]:
    """The little-known movies most like the history, by content alone."""
    query = model.state.query(history, model.catalogue, LATE)
    content = model.state.sources["content"]
    mask = model.eligible(query) & model.state.is_cold_item
    return best_rows(content.scores(query), content.support.rows, mask, 3).tolist()


def test_little_known_is_what_has_few_events_none_of_them_old(
    catalogue: Catalogue, state: RankingState
) -> None:
    changed = {
        "n_events": np.array([0, 2, 2, 3, 0, 0, 0], np.float32),
        "days_known": np.array([np.nan, 365, 366, 5, np.nan, np.nan, np.nan], np.float32),
        # Without an event the release year counts. It may end a year after it started.
        "age_years": np.array([0.5, 30, 1, 1, 11, 1.9, np.nan], np.float32),
    }
    movies = MovieState.from_arrays({**state.movies.arrays(), **changed})
    small = dataclasses.replace(state, movies=movies, min_movie_events=3)
    assert small.is_cold_item.tolist() == [True, True, False, False, False, True, True]
    assert small.little_known.tolist() == [0, 1, 5, 6]
    assert set(range(N_KNOWN, N_KNOWN + N_NEW)) <= set(state.little_known.tolist())


def test_the_places_go_to_what_content_finds_and_nothing_else_changes(
    recommender: Recommender, without: Recommender, history: History
) -> None:
    ours, theirs = rank(recommender, history), rank(without, history)
    little = recommender.model.state.is_cold_item
    assert not little[rows(theirs)].any()
    assert rows(ours)[19] == claims(recommender.model, history)[0]
    others = [row for row in rows(ours) if not little[row]]
    assert others == rows(theirs)[: len(others)]
    assert len(others) >= 27
    scores = {movie.row: (movie.raw_score, movie.score) for movie in theirs.results}
    for movie in ours.results:
        assert little[movie.row] or (movie.raw_score, movie.score) == scores[movie.row]


def test_a_movie_above_its_score_says_why(recommender: Recommender, history: History) -> None:
    results = rank(recommender, history).results
    is_lower = [movie.score < max(below.score for below in results[20:]) for movie in results[:20]]
    assert np.flatnonzero(is_lower).tolist() == [19]
    for place, movie in enumerate(results, start=1):
        assert ("few_ratings" in movie.reasons) == (place == 20)
        assert len(movie.reasons) <= 3
    assert results[19].reasons[:2] == ["few_ratings", "content_match"]


def test_contributions_of_a_movie_in_a_slot_are_those_of_its_score(
    recommender: Recommender, history: History
) -> None:
    movie = rank(recommender, history, explain=True).results[19]
    assert movie.contributions is not None
    assert sum(movie.contributions.values()) == pytest.approx(movie.raw_score, abs=1e-9)


def test_every_place_is_explained_as_it_was_given(recommender: Recommender, history: History) -> None:
    ranking = rank(recommender, history, k=500, explain=True)
    assert len(ranking.results) == ranking.n_candidates == 43
    for place, movie in enumerate(ranking.results, start=1):
        found = recommender.explain(history, as_of=LATE, row=movie.row)
        assert (found.rank, found.would_rank, found.is_candidate) == (place, place, True)
        assert (found.score, found.raw_score) == (movie.score, movie.raw_score)
        assert found.contributions == movie.contributions
        assert found.reasons == movie.reasons


def test_rules_and_lengths_hold_for_slots_too(recommender: Recommender, history: History) -> None:
    first, second, third = claims(recommender.model, history)
    ids = recommender.catalogue.movie_ids
    little = recommender.model.state.is_cold_item
    assert rows(rank(recommender, history, k=19)) == rows(rank(recommender, history))[:19]
    unwanted = Filters(exclude_movie_ids=[int(ids[first])])
    assert rows(rank(recommender, history, filters=unwanted))[19] == second
    assert not little[rows(rank(recommender, history, filters=Filters(min_votes=3)))].any()
    alone = rows(rank(recommender, history, k=500, filters=Filters(max_votes=0)))
    assert little[alone].sum() > N_NEW // 2
    assert not recommender.model.state.is_known[alone].any()
    hiding = History(
        np.append(history.movie_ids, ids[[first, second]]),
        np.append(history.ratings, np.float32([2.0, np.nan])),
        np.append(history.timestamps, history.timestamps[-1]).repeat([1] * len(history) + [2]),
        np.append(history.event_codes, np.uint8([EVENT_TYPES[n].code for n in ("not_interested", "seen")])),
    )
    assert not {first, second} & set(rows(rank(recommender, hiding, k=500)))
    assert third in rows(rank(recommender, hiding, k=500))


def test_diversity_keeps_the_slots_and_a_draw_does_not(
    recommender: Recommender, without: Recommender, history: History
) -> None:
    little = recommender.model.state.is_cold_item
    various, theirs = (rank(each, history, k=20, diversity=0.1) for each in (recommender, without))
    assert not little[rows(theirs)].any()
    assert rows(various) == [*rows(theirs)[:19], claims(recommender.model, history)[0]]
    assert rows(various) != rows(rank(recommender, history, k=20))
    assert various.results[19].reasons[0] == "few_ratings"
    drawn = rank(recommender, history, explore=0.5, seed=1)
    assert all("few_ratings" not in movie.reasons for movie in drawn.results)


def test_a_cold_start_list_has_no_slots(recommender: Recommender, without: Recommender) -> None:
    ours, theirs = (rank(each, History.empty(), k=500) for each in (recommender, without))
    assert ours.served_by == "popularity"
    assert ours.results == theirs.results


def test_slots_are_filled_among_fused_candidates_as_well(
    recommender: Recommender, history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr(RankingModel, "rank_candidates", fail)
    ranking = recommender.rank(
        history, as_of=LATE, k=40, degradation=GracefulDegradation(PartLatency(), float("inf"))
    )
    assert ranking.served_by == "candidates"
    first, second, _ = claims(recommender.model, history)
    assert [rows(ranking)[place] for place in (19, 39)] == [first, second]
    assert [movie.reasons for movie in ranking.results if movie.reasons] == [
        ["few_ratings", "content_match"],
        ["few_ratings", "content_match"],
    ]
    model = recommender.model
    query = model.state.query(history, model.catalogue, LATE)
    fused = model.state.candidates(query, model.eligible(query))
    assert rows(ranking)[:19] == fused.rows[:19].tolist()
    assert (np.diff(fused.fused[: fused.n_fused]) <= 0).all()
    assert not fused.fused[fused.n_fused :].any()


def test_evaluation_sees_the_list_that_is_served(recommender: Recommender, history: History) -> None:
    row = claims(recommender.model, history)[0]
    request = Request(3, LATE, history, np.array([row]), {})
    answers = answer(recommender.model, iter([request]), seed=1, only_main=True)
    assert np.flatnonzero(answers.hits[MAIN][0]).tolist() == [19]


def test_what_is_added_does_not_move_the_features_of_the_others(
    recommender: Recommender, without: Recommender, history: History
) -> None:
    features = recommender.model.features
    ours, theirs = (
        candidate_rows(each.model.state, each.catalogue, history, LATE, features)
        for each in (recommender, without)
    )
    n = len(theirs.candidates.rows)
    assert (len(ours.candidates.rows), ours.candidates.n_fused) == (n + 3, n)
    np.testing.assert_array_equal(ours.matrix[:n], theirs.matrix)
    names = [feature.name for feature in features]
    for name in recommender.model.state.sources:
        scores = ours.candidates.scores[name]
        ranks = [1 + int((scores[:n] >= score).sum()) for score in scores[n:]]
        found = ours.matrix[n:, names.index(f"{name}_log_rank")]
        np.testing.assert_allclose(found, np.log(ranks), rtol=1e-6)


def test_a_silent_content_source_reserves_nothing(recommender: Recommender, history: History) -> None:
    model = recommender.model
    silent = model.state.with_fusion({**model.state.fusion, "content": 0.0})
    query = silent.query(history, model.catalogue, LATE)
    assert not len(silent.candidates(query, model.eligible(query)).cold_items)


def test_training_rows_hold_fused_candidates_only(data: InteractionArrays, catalogue: Catalogue) -> None:
    requests = plan_requests(data, catalogue, LITTLE)
    kept = build_training_set(data, requests, catalogue, LITTLE).frame
    off = build_training_set(data, requests, catalogue, OFF).frame
    train = pl.col("role") == "train"
    assert kept.filter(train).equals(off.filter(train))
    assert len(kept.filter(~train)) > len(off.filter(~train))


def test_a_state_saved_before_there_were_slots_has_none(state: RankingState, tmp_path: Path) -> None:
    state.save(tmp_path)
    assert RankingState.load(tmp_path).n_little_known == 3
    facts = json.loads((tmp_path / "state.json").read_text("utf-8"))
    del facts["n_little_known"], facts["min_movie_events"]
    (tmp_path / "state.json").write_text(json.dumps(facts), "utf-8")
    older = RankingState.load(tmp_path)
    assert (older.n_little_known, len(older.little_known)) == (0, 0)


def test_what_is_little_known_is_what_was_so_at_the_moment_of_the_state(
    simulated: SimulatedRatings, catalogue: Catalogue, data: InteractionArrays
) -> None:
    moment = to_epoch(episode_moments(data, CONFIG)[0])
    before = InteractionArrays.from_frame(
        simulated.interactions.filter(pl.col("timestamp").dt.epoch("s") < moment), catalogue
    )
    found = fit_state(data, catalogue, moment, CONFIG).little_known
    counts = np.bincount(before.rows, minlength=len(catalogue))
    is_new = (counts > 0) | (np.arange(len(catalogue)) >= N_KNOWN)
    assert found.tolist() == np.flatnonzero((counts < CONFIG.min_movie_events) & is_new).tolist()
    assert len(found) > N_NEW
